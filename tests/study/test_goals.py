"""The goals of a study: what goes together, what is refused in one line, and what each setting makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.studies import study
from tune_mlp.errors import StudyError
from tune_mlp.records import Goal
from tune_mlp.study.study import Study

NUMBERS = {"lr": {"log": [1e-3, 1e-1]}, "dropout": {"uniform": [0.0, 0.5]}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metrics": ["val_accuracy"]}, "two goals or three; for one alone there is metric: val_accuracy"),
        ({"metrics": ["weights", "val_accuracy"]}, "ranked by the first of metrics, which must be a metric of the data"),
        ({"metrics": ["val_accuracy", "val_accuracy"]}, "names a goal twice, got val_accuracy, val_accuracy"),
        ({"metrics": ["val_accuracy", "size"]}, "unknown name 'size'"),
        ({"metrics": ["val_loss", "weights"], "metric": "val_accuracy"}, "metrics begin with val_loss, and metric is"),
        ({"metrics": ["val_accuracy", "val_loss", "weights", "train_seconds"]}, "at most 3 items"),
        ({"metrics": ["val_accuracy", "weights"], "until": "plateau"}, "a plateau is judged by one metric"),
        ({"search": "nsga2", "space": NUMBERS}, "nsga2 searches for the front of several goals: name them in metrics"),
        ({"search": "cmaes", "space": NUMBERS, "metrics": ["val_accuracy", "weights"]}, "cmaes has one goal alone"),
        (
            {"search": "nsga2", "space": {"optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9]}}, "adam": {}}}}},
            "nsga2 can't learn about parameters that exist only with an option",
        ),
    ],
)  # fmt: skip
def test_goals_that_make_no_sense_are_refused_in_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as refused:
        study(**settings)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_goals_that_the_data_dont_have_are_refused() -> None:
    with pytest.raises(StudyError, match=r"classification data has .*, got metrics val_rmse"):
        study(metrics=["val_accuracy", "val_rmse"]).bound("classification")


def test_a_bound_study_knows_its_goals_with_their_directions() -> None:
    bound = study(metrics=["val_accuracy", "val_roc_auc", "train_seconds"]).bound("classification")
    assert bound.goals == (Goal("val_accuracy", "max"), Goal("val_roc_auc", "max"), Goal("train_seconds", "min"))
    assert bound.ranking == ("val_accuracy", "max")
    assert bound.further == ("roc_auc",), "what is a goal is measured"
    assert study().bound("classification").goals == (Goal("val_accuracy", "max"),)


def test_a_study_with_goals_is_written_with_a_run_and_loads_again() -> None:
    bound = study(metrics=["val_loss", "weights"], search={"tpe": {}}).bound("classification")
    again = Study.from_text(bound.dump()).bound("classification")
    assert again.goals == bound.goals
    assert again.dump() == bound.dump()


def test_it_is_said_where_a_scheduler_knows_of_the_metric_alone() -> None:
    for scheduler in ("asha", "fifo"):
        assert study(metrics=["val_accuracy", "weights"], scheduler=scheduler).bound("classification").warnings() == []
    for scheduler in ("promotion_asha", "hyperband", "median"):
        (said,) = study(metrics=["val_accuracy", "weights"], scheduler=scheduler).bound("classification").warnings()
        assert said.startswith(f"{scheduler} compares trials by val_accuracy alone")


def test_a_population_that_no_generation_follows_is_said_to_learn_nothing() -> None:
    few = study(metrics=["val_accuracy", "weights"], search="nsga2", space=NUMBERS, trials=20).bound("classification")
    assert few.warnings() == ["nsga2 learns nothing: its first population=20 draws are random, of trials=20"]


def test_auto_compares_several_goals_by_asha() -> None:
    goals = ["val_accuracy", "weights"]
    assert study(metrics=goals, scheduler="auto", epochs=9).scheduler.name == "asha"
    assert study(metrics=goals, scheduler="auto", epochs=2).scheduler.name == "fifo"
    assert study(scheduler="auto", epochs=9).scheduler.name == "promotion_asha"


def test_a_search_for_the_front_that_hears_of_ends_alone_is_said_to_learn_late() -> None:
    asked = {"metrics": ["val_accuracy", "weights"], "space": NUMBERS, "trials": 40}
    for search in ("tpe", "nsga2"):
        said = study(search=search, scheduler="promotion_asha", **asked).bound("classification").warnings()
        assert said[1].startswith(
            f"{search} learns from trials that ended, and under promotion_asha most of them end only"
        )
        assert study(search=search, scheduler="asha", **asked).bound("classification").warnings() == []
