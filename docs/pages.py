"""`make docs` writes the settings page, the tree in docs/architecture.md and the summary and the list of figures in docs/published.md from the code."""

from __future__ import annotations

import ast
import csv
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tune_mlp.config import BRANCHES, Settings, TrialConfig
from tune_mlp.data_settings import CsvFormat, DataSettings
from tune_mlp.published.pictures import LINKS, figures_table
from tune_mlp.space.domains import DOMAINS
from tune_mlp.study.settings import Resources, Scheduler, Search, Until
from tune_mlp.study.study import Study

TARGET = Path(__file__).parent / "settings.md"
ARCHITECTURE = Path(__file__).parent / "architecture.md"
PUBLISHED = Path(__file__).parent / "published.md"
PACKAGE = Path(__file__).parents[1] / "tune_mlp"
START = "\ntune_mlp/\n"
CLAIMS = Path(__file__).parent / "published.csv"
BEGIN, END = "<!-- published:begin -->\n", "<!-- published:end -->\n"
FIGURES = """
## The figures

Every figure of the five publications is drawn again, and `tune-mlp reproduce` shows each beside the claims on its page and writes it
into the folder `figures/` beside it. RUN is the run of the experiment, `runs/reproduced-STAMP/STUDY-EXPERIMENT`; the first column names
the study, which is the word after `tune-mlp reproduce`. The lines of Python begin with `results = Results.load(RUN)`. The study of Padova
that has Figures 1 to 13 is run again as three: `hw1_regression`, `hw1_mnist_fc` and `hw1_mnist_cnn`.

"""
PUBLISHED_HEAD = """
`tune-mlp reproduce all` runs every experiment again in full and writes this table; `--quick` runs smaller ones in minutes.
An accuracy on MNIST may be up to 0.4 points below the published one. A claimed order of several configurations must hold for
the means of at least three seeds. The first table has the claims with a verdict; a section for each study has every row.

"""
HEAD = """\
# The study file

One YAML file says what is searched. This page is made from the settings themselves by `make docs`; `tune-mlp schema`
prints the same as a JSON schema for editors (a shipped copy is `search_spaces/study.schema.json`).

Any setting can be changed from the command line by its path: `--set lr=0.01` pins a parameter (it is short for
`space.lr`), `--set data.normalize=unit` changes a setting, `--set optimizer.sgd.momentum=0.9` reaches into a branch.
[How trials are drawn](search.md) says more of `search`, `first`, `prior`, `warm_start` and `until`.
"""


def main() -> None:
    """Write all three pages."""
    TARGET.write_text(page(), encoding="utf-8")
    ARCHITECTURE.write_text(with_tree(ARCHITECTURE.read_text(encoding="utf-8")), encoding="utf-8")
    PUBLISHED.write_text(with_claims(PUBLISHED.read_text(encoding="utf-8")), encoding="utf-8")


def with_tree(text: str) -> str:
    """Return the page with a line for each module: the first line of the module's docstring."""
    head, _, rest = text.partition(START)
    return head + START + "\n".join(_branch(PACKAGE, 0)) + "\n```\n" + rest.partition("\n```\n")[2]


def with_claims(page: str) -> str:
    """Return the page with a line for each claim that was judged in the last full run, and a line for each published figure.

    The page may be the one that `tune-mlp reproduce` has just written, which has no such part yet.
    """
    with CLAIMS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["judged"] == "True"]
    lines = ["| study | claim | published | ours | |", "| --- | --- | --- | --- | --- |"]
    study = ""
    for row in rows:
        name, study = ("" if row["study"] == study else row["study"]), row["study"]
        cells = (name, row["claim"], row["published"], row["ours"], row["verdict"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |")
    met = sum(row["verdict"] == "met" for row in rows)
    text = "\n".join([f"{met} of {len(rows)} claims met.", "", *lines]) + "\n"
    title, blank, rest = page.partition("\n\n")
    headline = rest.partition("\n")[0]
    sections = rest[rest.index("\n## ") :].partition(FIGURES)[0]
    # The pictures themselves lie beside the page that `reproduce` wrote, not beside this one.
    sections = "\n\n".join(part for part in sections.split("\n\n") if not part.startswith(LINKS))
    return (
        f"{title}{blank}{headline}\n{PUBLISHED_HEAD}{BEGIN}{text}{END}{sections.rstrip()}\n{FIGURES}{figures_table()}"
    )


def _branch(folder: Path, depth: int) -> list[str]:
    lines = []
    entries = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    for path in sorted(entries, key=lambda path: (path.is_dir(), path.name)):
        indent = "  " * (depth + 1)
        if path.is_dir():
            lines += [f"{indent}{path.name}/", *_branch(path, depth + 1)]
        elif path.name != "__init__.py":
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            lines.append(f"{indent + path.name:26}{docstring.splitlines()[0].rstrip('.')}")
    return lines


def page() -> str:
    """Return the text of docs/settings.md."""
    parts = [
        HEAD,
        "## Settings\n",
        _table(Study),
        "## data\n",
        _table(DataSettings),
        "## data.csv\n",
        _table(CsvFormat),
        "## resources\n",
        _table(Resources),
    ]
    for title, union in (("scheduler", Scheduler), ("search", Search), ("until", Until)):
        parts.append(f"## {title}\n\nA name (`{title}: {next(iter(union.model_fields))}`), or a name with settings.\n")
        for name, info in union.model_fields.items():
            parts += _named(name, _model(info.annotation))
    parts.append("## space: the domains\n\nA parameter is a plain value, or one of these.\n")
    for name, domain in DOMAINS.items():
        parts += _named(name, domain)
    parts.append(
        "Besides: `{choice: {sgd: {momentum: ...}, adam: {}}}` is a choice whose options own parameters, which exist only\n"
        "where their option was drawn; `[64, {choice: [16, 32]}]` is a list with domains in it; and\n"
        "`{list: {choice: [16, 32, 64]}, length: {int: [1, 3]}}` is a list of a length that is drawn, too.\n\n"
        "`experiment: {choice: {NAME: {...}, NAME: {...}}}` at the top of a space names experiments. Each has the common\n"
        "parameters that stand beside it, and its own in their place; the table has a column `experiment`, and each\n"
        "parameter one column for all of them. With `search: grid` each experiment is run once (its domains in full), with\n"
        "`tested: all` all are tested, and `--set experiment=NAME` runs one.\n"
    )
    parts += ["## space: the parameters\n", _table(TrialConfig)]
    for branch, options in BRANCHES.items():
        parts.append(f"### {branch}\n\nA name, or `{branch}: {{choice: {{NAME: {{setting: ...}}}}}}`.\n")
        for name, model in options.items():
            parts += _named(name, model, "####")
    return "\n".join(parts)


def _named(name: str, model: type[Settings], level: str = "###") -> list[str]:
    inner = {key: info for key, info in model.model_fields.items() if key != "name"}
    text = " ".join((model.__doc__ or "").split())
    return [f"{level} {name}\n\n{text}\n", *([_table(model)] if inner else [])]


def _table(model: type[Settings]) -> str:
    rows = ["| name | values | default | |", "| --- | --- | --- | --- |"]
    for name, info in sorted(model.model_fields.items(), key=lambda item: item[0] == "step"):
        if name == "name" and model is not Study and model is not DataSettings:
            continue
        cells = (f"`{info.alias or name}`", _values(info), _default(info), info.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "needed"
    if default is None:
        return ""
    value = default
    if isinstance(value, Settings):
        value = getattr(value, "name", None) or ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else ""


def _values(info: FieldInfo) -> str:
    limits = {
        key: getattr(item, key) for item in info.metadata for key in ("gt", "ge", "lt", "le") if hasattr(item, key)
    }
    signs = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    text = " ".join(f"{signs[key]} {limit:g}" for key, limit in limits.items() if limit < 2**62)
    return f"{_kind(info.annotation)} {text}".strip()


def _kind(annotation: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "mapping", tuple: "list"}
    if annotation in names:
        return names[annotation]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        kinds = [_kind(part) for part in get_args(annotation) if part is not type(None)]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if origin in names:
        return names[origin]
    if origin is not None:
        return _kind(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        fields = annotation.model_fields
        named = fields["name"].default if "name" in fields else None
        return f"`{named}`" if isinstance(named, str) and annotation is not Study else "see below"
    return ""


def _model(annotation: Any) -> type[Settings]:
    return next(part for part in get_args(annotation) if part is not type(None))


if __name__ == "__main__":
    main()
