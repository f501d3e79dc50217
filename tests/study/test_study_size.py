"""A study that loads can be written out with all its defaults, and what is written loads again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.snapshots import go_on
from tests.studies import Memory
from tune_mlp.errors import StudyError
from tune_mlp.results.results import Results
from tune_mlp.space.files import MAX_BYTES
from tune_mlp.study.study import Study
from tune_mlp.tuning.run import More, Request, run_study


def text_of(values: int, experiments: int) -> str:
    """Return a study in the shortest YAML, with numbers that are short in YAML and long in Python."""
    numbers = ",".join(f"{i}e-5" for i in range(1, values + 1))
    named = ",".join(
        f"e{i}: {{lr: {{choice: [{numbers}]}},optimizer: {{choice: {{sgd: {{momentum: {{choice: [0,.5,.9]}}}},adam: }}}}}}"
        for i in range(experiments)
    )
    return (
        "data: {name: digits,validation: {head: 1200}}\nsearch: random\nconcurrent: 1\nengine: eager\nepochs: 1\ntrials: 1\n"
        f"space: {{batch_size: 256, width: 4, experiment: {{choice: {{{named}}}}}}}\n"
    )


def hundred_kilobytes(folder: Path) -> Path:
    path = folder / "large.yaml"
    path.write_text(text_of(200, 78))
    assert 100_000 < path.stat().st_size < 115_000
    return path


def test_a_study_of_a_hundred_kilobytes_grows_by_its_defaults_and_loads_again(tmp_path: Path) -> None:
    study = Study.load(hundred_kilobytes(tmp_path)).bound("classification")
    (tmp_path / "study.yaml").write_text(study.dump())
    assert (tmp_path / "study.yaml").stat().st_size > 130_000
    assert Study.load(tmp_path / "study.yaml").dump() == study.dump()


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_study_of_a_hundred_kilobytes_runs_and_its_run_goes_on(tmp_path: Path) -> None:
    path = hundred_kilobytes(tmp_path)
    study = Study.load(path)
    run_study(study, Request(tmp_path, "run"), Memory())
    assert (tmp_path / "run" / "study.yaml").stat().st_size > 1.3 * path.stat().st_size, "it grew by its defaults"
    results = go_on(tmp_path / "run", More(trials="+1"))
    assert len(results.trials) == 2
    assert len(Results.load(tmp_path / "run").trials) == 2


def test_a_study_that_would_grow_too_large_to_be_read_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(text_of(200, 210))
    assert path.stat().st_size < MAX_BYTES
    with pytest.raises(StudyError) as caught:
        Study.load(path)
    rule = r"large.yaml:1: written out with all its defaults this study has \d+ kB, and a study file is at most 300 kB"
    assert re.fullmatch(rule, str(caught.value))


def deepest(count: int) -> dict[str, Any]:
    """Return the study that grows most when it is written: short mappings at a great depth."""
    inner: dict[str, Any] = {f"k{i}": {"v": 1} for i in range(count)}
    for _ in range(35):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize("count", [10, 1000, 6000])
def test_whatever_is_accepted_is_read_back(count: int) -> None:
    tree = {"data": {"name": "digits"}, "space": {}, "published": deepest(count)}
    try:
        study = Study.from_dict(tree)
    except StudyError as error:
        assert "this study has" in str(error)  # noqa: PT017
        assert count > 1000
    else:
        assert Study.from_text(study.dump()).dump() == study.dump()
        assert count < 6000
