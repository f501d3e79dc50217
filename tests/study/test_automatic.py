"""`search: auto` and `scheduler: auto`: which choices they stand for, and that a study names these from then on."""

from __future__ import annotations

from typing import Any

import pytest

from tune_mlp.errors import StudyError
from tune_mlp.study.study import Study

RATE = {"lr": {"log": [0.001, 0.1]}}
COUNTED = {"depth": {"int": [0, 2]}, "width": {"choice": [8, 16, 32, 64]}}


def study(space: dict[str, Any] = RATE, **settings: Any) -> Study:
    return Study.from_dict({"data": {"name": "digits"}, "space": space, "search": "auto", **settings})


@pytest.mark.parametrize(
    ("space", "trials", "search"),
    [
        (RATE, None, "qmc"),
        (COUNTED, 12, "grid"),
        (COUNTED, 11, "qmc"),
        ({"lr": 0.1}, 5, "qmc"),
    ],
)
def test_the_search_follows_from_trials_and_space(space: dict[str, Any], trials: int | None, search: str) -> None:
    assert study(space, trials=trials).search.name == search
    assert study(space, trials=trials, until="plateau").search.name == "qmc"  # a grid has no plateau


@pytest.mark.parametrize(("epochs", "scheduler"), [(2, "fifo"), (3, "promotion_asha"), (100, "promotion_asha")])
def test_the_scheduler_follows_from_the_epochs(epochs: int, scheduler: str) -> None:
    assert study(scheduler="auto", epochs=epochs).scheduler.name == scheduler


def test_a_study_that_is_written_names_the_choices_themselves() -> None:
    written = study(scheduler={"auto": None}).dump()
    assert "auto" not in written.replace("engine: auto", "").replace("task: auto", "")
    again = Study.from_text(written)
    assert (again.search.name, again.scheduler.name) == ("qmc", "promotion_asha")
    assert study().bound("classification").search.name == "qmc"


def test_an_option_changes_what_auto_stands_for() -> None:
    assert study(COUNTED, trials=12).with_options([(["trials"], 5, "--trials")]).search.name == "qmc"


def test_auto_has_no_settings() -> None:
    with pytest.raises(StudyError, match="unknown name 'startup'"):
        Study.from_dict({"data": {"name": "digits"}, "space": RATE, "search": {"auto": {"startup": 3}}})
