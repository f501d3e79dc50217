"""Study files that were changed in their structure or their bytes load, or are refused in one line."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fuzz.runner import CASES, ODD_NUMBERS, ODD_TEXT, Check, damaged, put_no_regular_file, run_cases
from tune_mlp.config import BRANCHES, TrialConfig
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import StudyError
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.files import shipped
from tune_mlp.space.space import to_config
from tune_mlp.study.settings import Scheduler, Search
from tune_mlp.study.study import Study
from tune_mlp.synonyms import SYNONYMS

TEXTS = [path.read_text(encoding="utf-8") for path in shipped().values()]
TREES = [yaml.safe_load(text) for text in TEXTS]
NAMES = [
    *Study.model_fields,
    *DataSettings.model_fields,
    *TrialConfig.model_fields,
    *Scheduler.model_fields,
    *Search.model_fields,
    *DOMAINS,
    *(option for by_option in BRANCHES.values() for option in by_option),
    *(name for by_option in BRANCHES.values() for model in by_option.values() for name in model.model_fields),
    *(word for words in SYNONYMS.values() for word in words.split()),
    *("low", "high", "step", "round", "list", "length", "experiment", "head", "folds", "cpu", "gpu"),
]


class _Writer(yaml.SafeDumper):
    """A YAML writer that writes any tree; a list that stands in two places becomes an alias."""


_Writer.add_representer(tuple, yaml.SafeDumper.represent_list)


def scalar(rng: random.Random) -> Any:
    kinds: list[Sequence[Any]] = [ODD_NUMBERS, ODD_TEXT, NAMES, [None, True, False]]
    return rng.choice(rng.choice(kinds))


def domain(rng: random.Random) -> dict[str, Any]:
    """Return a domain that may be valid, with numbers in either order."""
    word = rng.choice(list(DOMAINS))
    ends = [rng.choice([1e-4, 0.1, 0.5, 1, 2, 8, 64, *ODD_NUMBERS]) for _ in range(2)]
    if word in ("choice", "grid"):
        many = [rng.random() for _ in range(rng.choice([0, 1, 3, 2000, 10_001]))]
        return {word: rng.choice([ends, many, {scalar(rng): {}, "sgd": {"momentum": domain(rng)}}])}
    made: dict[str, Any] = {word: rng.choice([ends, sorted(ends, key=repr)])}
    for name in ("step", "low", "high", "round"):
        if rng.random() < 0.2:
            made[name] = rng.choice(ODD_NUMBERS)
    return made


def value(rng: random.Random) -> Any:
    """Anything that may stand somewhere in a study."""
    return rng.choice(
        [
            lambda: scalar(rng),
            lambda: domain(rng),
            lambda: [scalar(rng) for _ in range(rng.choice([0, 1, 2, 5, 200]))],
            lambda: {scalar(rng): scalar(rng) for _ in range(rng.choice([0, 1, 2, 5]))},
            lambda: {"list": domain(rng), "length": domain(rng)},
            lambda: copy.deepcopy(rng.choice(rng.choice(spots(rng.choice(TREES))))),
            lambda: nested(rng.choice([5, 39, 45, 60])),
        ]
    )()


def nested(depth: int) -> Any:
    tree: Any = 1
    for _ in range(depth):
        tree = {"a": tree}
    return tree


def spots(tree: Any) -> list[tuple[Any, Any]]:
    """Yield each container in the tree with each of its keys."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, child in list(pairs) for found in [(tree, key), *spots(child)]]


def change(rng: random.Random, tree: Any) -> None:
    node, key = rng.choice(spots(tree) or [(tree, "data")])
    kind = rng.choice(["replace", "replace", "delete", "insert", "rename", "swap", "wrap"])
    if kind == "delete":
        del node[key]
    elif kind == "replace":
        node[key] = value(rng)
    elif kind == "insert" and isinstance(node, list):
        node.insert(key, value(rng))
    elif kind in ("insert", "rename") and isinstance(node, dict):
        new = node.pop(key) if kind == "rename" else value(rng)
        node[rng.choice(rng.choice([NAMES, ODD_TEXT, ODD_NUMBERS]))] = new  # type: ignore[arg-type]
    elif kind == "swap":
        other, place = rng.choice(spots(tree))
        node[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(node[key])
    else:
        node[key] = [node[key]] if rng.random() < 0.5 else {rng.choice(NAMES): node[key]}


def a_text(rng: random.Random) -> bytes:
    """Return a shipped study, changed as a tree, as bytes, or as both."""
    tree = copy.deepcopy(rng.choice(TREES))
    if rng.random() < 0.9:
        for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
            change(rng, tree)
    flow = rng.choice([None, True, False])
    text = yaml.dump(tree, Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=flow)
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        content = damaged(rng, content)
    if rng.random() < 0.05:
        content = rng.choice(
            [b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content.decode("latin-1").encode("utf-16")]
        )
    return content


def load_a_changed_study(rng: random.Random, folder: Path) -> Callable[[], Check]:
    path = folder / "study.yaml"
    if not put_no_regular_file(rng, path):
        path.write_bytes(a_text(rng))
    sets = [
        f"{rng.choice([*NAMES, *ODD_TEXT])}{rng.choice(['', '.', '=', '..'])}={rng.choice([*map(str, ODD_NUMBERS), *ODD_TEXT])}"
        for _ in range(rng.choice([0, 0, 0, 0, 1, 2]))
    ]

    def read() -> Callable[[], None]:
        study = Study.load(path, sets)
        assert repr(study).count("\n") == 0
        for params in itertools.islice(study.draws(), 5):
            to_config(params)
        return lambda: check_what_is_written(study, folder / "again.yaml")

    return read


def check_what_is_written(study: Study, again: Path) -> None:
    """Check that a study loads again from what a run would write, whatever its data are."""
    written = {study.dump()}
    for task in ("classification", "regression"):
        try:
            bound = study.bound(task)  # type: ignore[arg-type]
        except StudyError as error:
            assert str(study.located(error)).isprintable()  # noqa: PT017
        else:
            assert all(warning.isprintable() for warning in bound.warnings())
            written.add(bound.dump())
    for text in sorted(written):
        again.write_text(text, encoding="utf-8")
        assert Study.load(again).dump() == text


@CASES
def test_changed_studies_load_or_are_refused_in_one_line(cases: int, tmp_path: Path) -> None:
    statuses = run_cases(load_a_changed_study, cases, tmp_path)
    assert min(statuses[0], statuses[2]) > cases / 20, "too few of either kind to prove anything"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ValueError("not ours"), "status 1"),
        (MemoryError(), "status 1"),
        (SystemExit(3), "status 1"),
        (AssertionError("broken"), "broken"),
    ],
)
def test_the_runner_finds_what_is_no_error_of_ours(fault: BaseException, said: str, tmp_path: Path) -> None:
    def raises() -> None:
        raise fault

    with pytest.raises(AssertionError, match=said):
        run_cases(lambda rng, folder: raises, 1, tmp_path)


def test_the_runner_finds_a_fault_in_what_is_checked_afterwards(tmp_path: Path) -> None:
    def check() -> None:
        raise ZeroDivisionError

    with pytest.raises(AssertionError, match="status 1"):
        run_cases(lambda rng, folder: lambda: check, 1, tmp_path)


def test_the_runner_finds_work_without_end_and_memory_without_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.runner.SECONDS", 0.01)
    with pytest.raises(AssertionError, match=r"case 0: 0\.\d s"):
        run_cases(lambda rng, folder: lambda: sum(range(10_000_000)) and None, 1, tmp_path / "a")
    monkeypatch.setattr("tests.fuzz.runner.SECONDS", 60.0)
    monkeypatch.setattr("tests.fuzz.runner.KILOBYTES", 100_000)
    kept: list[bytes] = []
    with pytest.raises(AssertionError, match=r"case 0: (1[5-9]|[2-9]\d)\d MB"):
        run_cases(lambda rng, folder: lambda: kept.append(rng.randbytes(8) * 30_000_000), 1, tmp_path / "b")
