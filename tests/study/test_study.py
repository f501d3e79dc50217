"""A study: loaded, bound to its data, warned about, drawn from and written down again."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.studies import study
from tune_mlp.config import BRANCHES, Settings, TrialConfig
from tune_mlp.errors import StudyError
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.files import shipped
from tune_mlp.space.space import to_config
from tune_mlp.study.mutable import MUTABLE, mutable
from tune_mlp.study.settings import Scheduler, Search, Until
from tune_mlp.study.study import Study


@pytest.mark.parametrize("name", list(shipped()))
def test_every_shipped_study_loads_and_gives_a_hundred_valid_trials_or_its_whole_grid(name: str) -> None:
    loaded = Study.load(name)
    assert loaded.name == name
    assert loaded.description
    assert "\n" not in loaded.description
    draws = list(itertools.islice(loaded.draws(), 100))
    assert len(draws) == (min(100, loaded.number_of_trials) if loaded.search.grid else 100)
    for params in draws:
        to_config(params)
    regression = loaded.data.name == "noisy_curve"
    assert loaded.bound("regression" if regression else "classification").warnings() == []


@pytest.mark.parametrize("name", list(shipped()))
def test_a_study_with_its_defaults_written_out_loads_as_the_same_study(name: str, tmp_path: Path) -> None:
    loaded = Study.load(name)
    path = tmp_path / "study.yaml"
    path.write_text(loaded.dump())
    again = Study.load(path)
    assert again.dump() == loaded.dump()
    assert list(itertools.islice(again.draws(), 20)) == list(itertools.islice(loaded.draws(), 20))


@pytest.mark.parametrize(("retrain", "nets"), [(False, 0), (True, 1), (2, 2), (20, 20)])
def test_the_nets_that_are_trained_anew_survive_being_written_down(retrain: bool | int, nets: int) -> None:
    again = Study.from_text(study(retrain=retrain).dump())
    assert again.retrain is retrain
    assert int(again.retrain) == nets
    assert Study.load("digits_quick", [f"retrain={str(retrain).lower()}"]).retrain is retrain


def test_options_that_are_numbers_survive_being_written_down(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(study(space={"depth": {"choice": {1: {"width": 8}, 2: {}}}, "lr": 1e-5}).dump())
    assert {params["depth"] for params in itertools.islice(Study.load(path).draws(), 20)} == {1, 2}


def test_a_draw_depends_on_the_studys_seed_and_its_number_alone() -> None:
    first = list(itertools.islice(study(seed=1).draws(), 30))
    assert first == list(itertools.islice(study(seed=1, trials=9, epochs=1, scheduler="asha").draws(), 30))
    assert first != list(itertools.islice(study(seed=2).draws(), 30))


def test_a_grids_draw_depends_on_its_number_alone() -> None:
    space = {"lr": {"grid": [0.1, 0.2]}, "width": {"grid": [8, 16]}}
    first = list(study(space=space, search="grid").draws())
    assert first == list(study(space=space, search="grid", seed=5, trials=2).draws())
    assert len(first) == 4


def test_a_grid_search_runs_the_whole_grid_unless_told_otherwise() -> None:
    space = {"lr": {"grid": [0.1, 0.2]}, "width": {"grid": [8, 16, 32]}}
    assert study(space=space, search="grid", trials=None).number_of_trials == 6
    assert study(space=space, search="grid", trials=4).number_of_trials == 4
    assert study(space=space, search="grid", trials=99).number_of_trials == 6
    assert study(space=space, trials=None).number_of_trials == 25


def test_the_metric_and_its_direction_follow_from_the_task() -> None:
    assert study().bound("classification").ranking == ("val_accuracy", "max")
    assert study().bound("regression").ranking == ("val_rmse", "min")
    assert study(metric="val_loss").bound("classification").ranking == ("val_loss", "min")
    assert study(metric="val_r2").bound("regression").ranking == ("val_r2", "max")


def test_regression_trains_with_squared_error_unless_told_otherwise() -> None:
    assert study().bound("regression").space["loss"] == "mse"
    assert study(space={"loss": "mae"}).bound("regression").space["loss"] == "mae"
    assert "loss" not in study().bound("classification").space


@pytest.mark.parametrize(
    ("settings", "task", "words"),
    [
        (
            {"metric": "val_rmse"},
            "classification",
            "classification data has val_loss, val_accuracy, val_balanced_accuracy, val_macro_f1, val_roc_auc, val_log_loss, got metric val_rmse",
        ),
        ({"metric": "val_accuracy"}, "regression", "regression data has val_loss, val_rmse, val_r2"),
        ({"space": {"loss": "cross_entropy"}}, "regression", "regression data trains with mse, mae, smooth_l1"),
        ({"space": {"loss": {"choice": ["mse", "nll"]}}}, "regression", "got nll"),
        ({"space": {"depth": {"choice": {1: {"loss": "nll"}}}}}, "regression", "got nll"),
        ({"space": {"loss": {"choice": {"mse": {}, "nll": {}}}}}, "regression", "got nll"),
    ],
)
def test_what_the_data_cannot_do_is_refused(settings: dict[str, Any], task: Any, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        study(**settings).bound(task)


def test_a_refusal_of_the_data_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("data: {name: digits}\nspace: {}\nmetric: val_rmse\n")
    loaded = Study.load(path)
    with pytest.raises(StudyError) as caught:
        loaded.bound("classification")
    assert str(loaded.located(caught.value)).startswith("s.yaml:3 metric: ")


@pytest.mark.parametrize(
    "loss", [{"choice": ["cross_entropy", "mse"]}, {"grid": ["nll", "mse"]}, {"choice": {"mse": {}, "mae": {}}}]
)
def test_ranking_by_a_loss_that_is_searched_is_warned_about(loss: Any) -> None:
    (warning,) = study(metric="val_loss", space={"loss": loss}).bound("classification").warnings()
    assert "ranked by val_loss while the loss itself is searched" in warning
    assert study(metric="val_accuracy", space={"loss": loss}).bound("classification").warnings() == []


def test_a_loss_that_a_branch_decides_counts_as_searched() -> None:
    space = {"depth": {"choice": {1: {"loss": "mse"}, 2: {"loss": "mae"}}}}
    assert study(metric="val_loss", space=space).bound("classification").warnings()


def test_a_loss_that_is_fixed_may_rank() -> None:
    for loss in ("mse", {"choice": ["mse"]}):
        assert study(metric="val_loss", space={"loss": loss}).bound("classification").warnings() == []


def test_a_mode_that_ranks_the_worst_first_and_an_asha_that_stops_nothing_are_warned_about() -> None:
    (warning,) = study(mode="min").bound("classification").warnings()
    assert warning == "mode min ranks the worst val_accuracy first"
    (warning,) = study(epochs=3, scheduler={"asha": {"grace_period": 3}}).bound("classification").warnings()
    assert "asha stops nothing" in warning


def test_a_tpe_that_learns_from_several_trials_at_once_is_not_repeatable() -> None:
    bound = study(search={"tpe": {"startup": 3}}, trials=8).bound("classification")
    assert bound.not_repeatable(at_once=2).startswith("tpe with 2 trials at once learns from them in the order")
    assert bound.not_repeatable(at_once=1) == ""
    assert study(search={"tpe": {"startup": 8}}, trials=8).bound("classification").not_repeatable(at_once=2) == ""
    assert study(trials=8).bound("classification").not_repeatable(at_once=2) == ""


def test_a_tpe_that_never_leaves_its_random_draws_is_warned_about() -> None:
    (warning,) = study(search="tpe", trials=8).bound("classification").warnings()
    assert warning == "tpe learns nothing: its first startup=10 draws are random, of trials=8"
    assert study(search="tpe", trials=11).bound("classification").warnings() == []
    assert study(search={"tpe": {"startup": 3}}, trials=8).bound("classification").warnings() == []


def test_a_search_by_generations_under_a_scheduler_that_pauses_is_warned_about() -> None:
    numbers = {"lr": {"log": [1e-4, 1e-1]}, "dropout": {"uniform": [0.0, 0.5]}}
    asked = study(search="cmaes", space=numbers, scheduler="promotion_asha", trials=8, epochs=9)
    (warning,) = asked.bound("classification").warnings()
    assert (
        warning == "cmaes learns from trials that ended, and under promotion_asha most of them end only with the search"
    )
    assert (
        study(search="cmaes", space=numbers, scheduler="asha", trials=8, epochs=9).bound("classification").warnings()
        == []
    )


def test_a_random_search_of_a_million_trials_builds_no_list_of_them() -> None:
    tracemalloc.start()
    try:
        million = study(trials=1_000_000, epochs=999_999, scheduler="asha").bound("classification")
        million.warnings()
        million.dump()
        million.check_draws()
        assert len(list(itertools.islice(million.draws(), 100))) == 100
        assert million.number_of_trials == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_population_based_training_changes_what_leaves_the_net_alone() -> None:
    space = {
        "lr": {"log": [0.1, 1]},
        "width": {"choice": [8, 16]},
        "dropout": 0.1,
        "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9]}}}},
    }
    assert list(mutable(study(space=space).parsed)) == ["lr", "optimizer.sgd.momentum"]
    known = {name for options in BRANCHES.values() for model in options.values() for name in model.model_fields}
    assert set(MUTABLE) <= TrialConfig.FIELDS | known


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400), (30, 30)]
)
def test_a_time_budget_is_read_as_seconds(text: Any, seconds: float) -> None:
    assert study(time_budget=text).time_budget == seconds


def test_a_tables_path_is_taken_from_the_study_files_folder(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "s.yaml").write_text("data: {name: csv:t.csv, target: b}\nspace: {}\n")
    assert Study.load(tmp_path / "s.yaml").data.name == f"csv:{(tmp_path / 't.csv').resolve()}"


def test_a_study_is_named_after_its_file_and_the_name_is_fit_for_a_folder(tmp_path: Path) -> None:
    for file, name in [("a b!.yaml", "a-b"), ("ü.yaml", "study"), ("x" * 99 + ".yaml", "x" * 48), ("-.yaml", "study")]:
        (tmp_path / file).write_text("data: {name: digits}\nspace: {}\n")
        assert Study.load(tmp_path / file).name == name


def all_settings() -> list[type[Settings]]:
    found: list[type[Settings]] = []
    waiting: list[type[Settings]] = [Settings]
    while waiting:
        children = waiting.pop().__subclasses__()
        found += [child for child in children if not child.__name__.startswith("_")]
        waiting += children
    return [model for model in found if model.__module__.startswith("tune_mlp.")]


@pytest.mark.parametrize("model", all_settings(), ids=lambda model: model.__name__)
def test_every_setting_has_a_sentence(model: type[Settings]) -> None:
    assert model.__doc__
    is_option = any(model in options.values() for options in BRANCHES.values())
    for name, field in model.model_fields.items():
        if (is_option and name == "name") or model in (Scheduler, Search, Until):
            continue  # said by the docstring of the option's own class
        assert field.description, f"{model.__name__}.{name}"


def test_names_and_what_they_stand_for_agree() -> None:
    for branch, options in BRANCHES.items():
        assert branch in TrialConfig.FIELDS
        for name, model in options.items():
            assert model().name == name  # type: ignore[attr-defined]
            assert TrialConfig.model_validate({branch: {"name": name}}) is not None
    for model in (Scheduler, Search, Until):
        for name in model.model_fields:
            assert model.model_validate({name: {}}).name == name  # type: ignore[attr-defined]
    assert {model.__name__ for model in all_settings()} >= {domain.__name__ for domain in DOMAINS.values()}


def test_schedulers_and_searchers_have_an_implementation_for_each_name() -> None:
    from tune_mlp.tuning.schedulers import MILESTONES, SCHEDULERS
    from tune_mlp.tuning.searchers import SOURCES

    # A study that says auto has a choice of these.
    assert set(SCHEDULERS) == set(MILESTONES) == set(Scheduler.model_fields) - {"auto"}
    assert set(SOURCES) == set(Search.model_fields) - {"auto"}
