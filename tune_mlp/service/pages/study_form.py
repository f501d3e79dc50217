"""The form of a study, made from the JSON schema of study files: each setting's sentence is its help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from tune_mlp.errors import StudyError
from tune_mlp.service.faults import Refused
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.files import read_yaml
from tune_mlp.study.schema import study_schema
from tune_mlp.study.yaml_edit import REMOVED, SOURCE, as_text, edited

Json = Mapping[str, Any]
FIXED, OTHER = "fixed", "other"
KINDS = {FIXED: "fixed", **{word: word for word in DOMAINS}, OTHER: "other (YAML)"}
"""The ways to give a parameter, as the form names them."""
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("data", "Data", ("data.name", "data.target", "data.validation", "data.test", "data.normalize", "data.samples")),
    ("budget", "Budget", ("trials", "epochs", "until", "time_budget", "patience", "seeds", "concurrent")),
    ("search", "Search", ("search",)),
    ("scheduler", "Scheduler", ("scheduler",)),
    ("score", "Score", ("metric", "metrics", "mode", "measure")),
)
"""The groups of settings that stand open in the form; all others stand in the last one."""
LEFT_OUT = ("space", "published", "name")
CHOICES = ("search", "scheduler", "until")
"""The settings that are one of several names, each with settings of its own."""


class Field(NamedTuple):
    """A setting in the form."""

    path: str
    label: str
    help: str
    value: str
    options: tuple[str, ...] = ()
    """The names to choose from; empty where a reader writes."""
    default: str = ""
    text: bool = False
    """True where what is written is a text, not YAML."""


class SettingsGroup(NamedTuple):
    """Settings that stand together."""

    key: str
    title: str
    fields: tuple[Field, ...]
    is_open: bool = True


class Parameter(NamedTuple):
    """A parameter of the space in the form."""

    name: str
    kind: str
    value: str
    help: str


class StudyForm(NamedTuple):
    """A study as a form."""

    groups: tuple[SettingsGroup, ...]
    parameters: tuple[Parameter, ...]
    unused: tuple[tuple[str, str], ...]
    """The parameters that the space doesn't have yet, each with its help."""


@cache
def _schema() -> Json:
    return study_schema()


def form_of_study(tree: Mapping[Any, Any]) -> StudyForm:
    """Return the form of a study file's tree."""
    fields = {field.path: field for field in _fields(tree)}
    groups = []
    for key, title, names in GROUPS:
        shown = tuple(
            field
            for path, field in fields.items()
            if path in names or (path.partition(".")[0] in CHOICES and path.partition(".")[0] in names)
        )
        order = {name: place for place, name in enumerate(names)}
        groups.append(SettingsGroup(key, title, tuple(sorted(shown, key=lambda field: order.get(field.path, 99)))))
    placed = {field.path for group in groups for field in group.fields}
    rest = tuple(field for path, field in fields.items() if path not in placed)
    groups.append(SettingsGroup("more", "More settings", rest, is_open=False))
    space = tree.get("space")
    parameters = tuple(
        _parameter(str(name), value) for name, value in (space if isinstance(space, dict) else {}).items()
    )
    known = {parameter.name for parameter in parameters}
    helps = parameter_helps()
    return StudyForm(
        tuple(groups), parameters, tuple((name, text) for name, text in helps.items() if name not in known)
    )


@cache
def parameter_helps() -> dict[str, str]:
    """Return what each parameter is, from the schema."""
    properties = _schema()["$defs"]["Parameters"]["properties"]
    return {name: str(given.get("description", "")) for name, given in properties.items()}


def _fields(tree: Mapping[Any, Any]) -> Iterator[Field]:
    for name, given in _schema()["properties"].items():
        if name in LEFT_OUT:
            continue
        value = tree.get(name)
        if name in CHOICES:
            yield from _choice(name, given, value)
        elif "$ref" in given:
            definition = _resolved(given)
            for inner, said in definition["properties"].items():
                yield _field(f"{name}.{inner}", said, value.get(inner) if isinstance(value, dict) else None)
        else:
            yield _field(name, given, value)


def _choice(name: str, given: Json, value: Any) -> Iterator[Field]:
    names = given["anyOf"][0]["enum"]
    chosen = next(iter(value), "") if isinstance(value, dict) else str(value or "")
    yield Field(name, name, given["description"], str(chosen), tuple(names))
    options = _resolved(given["anyOf"][1])["properties"]
    if chosen in options:
        settings = value.get(chosen) if isinstance(value, dict) else None
        for inner, said in _resolved(options[chosen]).get("properties", {}).items():
            yield _field(f"{name}.{chosen}.{inner}", said, settings.get(inner) if isinstance(settings, dict) else None)


def _resolved(given: Json) -> Json:
    if "$ref" in given:
        found: Json = _schema()["$defs"][given["$ref"].rpartition("/")[2]]
        return found
    for one in given.get("anyOf", ()):
        if "$ref" in one:
            return _resolved(one)
    return given


def _field(path: str, given: Json, value: Any) -> Field:
    forms = [one for one in given.get("anyOf", [given]) if one.get("type") != "null"]
    form = forms[0] if len(forms) == 1 else {}
    options: tuple[str, ...] = tuple(map(str, form.get("enum", ())))
    if form.get("type") == "boolean":
        options = ("true", "false")
    text = form.get("type") == "string" and not options
    default = given.get("default")
    said = "" if value is None else str(value) if isinstance(value, str) else as_text(value)
    shown = "" if default in (None, "", [], {}) else str(default) if isinstance(default, str) else as_text(default)
    sentence = str(given.get("description") or _resolved(given).get("description", ""))
    return Field(path, path.rpartition(".")[2], sentence, said, options, shown, text)


def _parameter(name: str, value: Any) -> Parameter:
    text = parameter_helps().get(name, "")
    if isinstance(value, dict):
        word, inner = next(iter(value.items())) if len(value) == 1 else ("", None)
        if word in DOMAINS and isinstance(inner, list) and not any(isinstance(one, list | dict) for one in inner):
            return Parameter(name, word, as_text(inner)[1:-1], text)
        if word in DOMAINS:
            return Parameter(name, word, as_text(inner), text)
        return Parameter(name, OTHER, as_text(value), text)
    return Parameter(name, FIXED, as_text(value), text)


def apply_form(text: str, form: Mapping[str, Sequence[str]]) -> str:
    """Return a study's text with what was changed in the form."""
    tree = read_yaml(text, SOURCE).tree if text.strip() else {}
    before = {field.path: field for field in _fields(tree)}
    for name, given in form.items():
        path = name.removeprefix("set:")
        if path != name and path in before and given[-1].strip() != before[path].value:
            text = _with_field(text, before[path], given[-1].strip())
    return _with_parameters(text, tree, form)


def _with_field(text: str, field: Field, said: str) -> str:
    path = field.path.split(".")
    if path[0] in CHOICES and len(path) == 1:
        return edited(text, path, said or REMOVED)
    if path[0] in CHOICES:  # `scheduler: asha` is written out before asha gets a setting
        now = read_yaml(text, SOURCE).tree.get(path[0])
        if isinstance(now, str):
            text = edited(text, path[:1], {now: {}})
    if not said:
        return edited(text, path, REMOVED)
    return edited(
        text,
        path,
        said if field.text or (field.options and field.options != ("true", "false")) else _value(said, field.path),
    )


def _with_parameters(text: str, tree: Mapping[Any, Any], form: Mapping[str, Sequence[str]]) -> str:
    space = tree.get("space")
    for name, value in (space if isinstance(space, dict) else {}).items():
        now = _parameter(str(name), value)
        kind, said = form.get(f"kind:{name}", [now.kind])[-1], form.get(f"value:{name}", [now.value])[-1].strip()
        if f"{name}" in form.get("remove", ()):
            text = edited(text, ["space", str(name)], REMOVED)
        elif (kind, said) != (now.kind, now.value) and said:
            text = edited(text, ["space", str(name)], _parameter_value(str(name), kind, said))
    for name in form.get("add", ()):
        if name in parameter_helps() and not (isinstance(space, dict) and name in space):
            text = edited(text, ["space", name], {"choice": _first_values(name)})
    return text


def _first_values(name: str) -> list[Any]:
    """Return values to begin with for a parameter that is added."""
    given = _schema()["$defs"]["Parameters"]["properties"][name]["anyOf"]
    names = next((one["enum"] for one in given if "enum" in one), None)
    if names:
        return list(names)[:3]
    numbers: dict[str, list[Any]] = {
        "widths": [[64], [64, 32]],
        "lr": [0.001, 0.01],
        "batch_size": [16, 32, 64],
        "depth": [1, 2, 3],
        "width": [32, 64, 128],
        "dropout": [0.0, 0.2],
        "lr_decay": [0.9, 1.0],
    }
    return numbers.get(name, [False, True] if any(one.get("type") == "boolean" for one in given) else [0.0, 0.01])


def _parameter_value(name: str, kind: str, said: str) -> Any:
    if kind in (FIXED, OTHER):
        return _value(said, f"space.{name}")
    if kind not in KINDS:
        raise Refused(f"space.{name}: there is no kind {kind!r:.40}")
    return {kind: _value(said if said[:1] in "[{" else f"[{said}]", f"space.{name}")}


def _value(said: str, path: str) -> Any:
    try:
        tree = read_yaml(f"value: {said}\n", SOURCE).tree
    except StudyError as error:
        raise Refused(f"{path}: {error.rule}") from None
    if tree.keys() != {"value"}:
        raise Refused(f"{path}: write one value")
    return tree["value"]
