"""Every measure and tolerance, on tables made by hand: met, missed and not to be measured."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.published.made import claim, tables
from tune_mlp.errors import RunError
from tune_mlp.published.compare import MEASURES, PICKS, Comparison, Verdict, measure, verdict
from tune_mlp.published.experiments import TOLERANCES, Claim, Value
from tune_mlp.published.figures import MissingRow


def only(settings: dict[str, Any], **changes: Any) -> Comparison:
    [finding] = measure(claim(**settings), tables(**changes))
    return finding


def test_names_and_dicts_agree() -> None:
    assert set(MEASURES) == set(TOLERANCES) <= set(Claim.model_fields)
    assert tuple(PICKS) == Value.model_fields["pick"].annotation.__args__  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tolerance", "published", "met"),
    [
        ({"below": 0.01}, 0.96, True),  # exactly at the tolerance
        ({"below": 0.01}, 0.9601, False),
        ({"below": 0.0}, 0.5, True),
        ({"above": 0.01}, 0.94, True),
        ({"above": 0.01}, 0.9399, False),
        ({"above": 0.0}, 0.99, True),
        ({"within": 0.01}, 0.96, True),
        ({"within": 0.01}, 0.94, True),
        ({"within": 0.01}, 0.9399, False),
        ({"within": 0.01}, 0.9601, False),
        ({"at_most": 0.95}, None, True),
        ({"at_most": 0.9499}, None, False),
        ({}, 0.5, None),
        ({}, "about half", None),
    ],
)
def test_a_tolerance_decides(tolerance: dict[str, float], published: float | str | None, met: bool | None) -> None:
    finding = only({"value": {"column": "val_accuracy"}, "published": published, **tolerance})
    assert finding.met is met
    assert finding.our_number == 0.95


def test_a_figure_is_of_the_best_trial_unless_another_is_named() -> None:
    column = {"column": "val_accuracy"}
    assert only({"value": column}).our_number == 0.95
    assert only({"value": {**column, "where": {"lr": 0.1}}}).our_number == 0.93
    assert only({"value": {**column, "where": {"lr": 0.1}, "pick": "min"}}).our_number == 0.91
    assert only({"value": {**column, "where": {"lr": 0.1}, "pick": "max"}}).our_number == 0.93
    assert only({"value": {**column, "where": {"lr": 0.1}, "pick": "mean"}}).our_number == pytest.approx(0.92)
    assert only({"value": {"column": "val_loss"}}, metric="val_loss", mode="min").our_number == 0.3


@pytest.mark.parametrize(
    ("where", "trial"),
    [
        ({"widths": [64, 128]}, 0),
        ({"widths": "[64]", "lr": 0.01}, 1),
        ({"experiment": "relu"}, 0),
        ({"batch_norm": True}, 0),
        ({"momentum": None}, 1),
        ({"momentum": 0.5}, 3),
        ({"epochs": 2}, 1),
    ],
)
def test_where_compares_as_the_table_holds_its_values(where: dict[str, Any], trial: int) -> None:
    assert only({"value": {"column": "trial", "where": where}}).our_number == trial


def test_an_accuracy_is_shown_as_percent_and_its_difference_in_points() -> None:
    finding = only({"value": {"column": "val_accuracy"}, "published": 0.96, "below": 0.005})
    assert (finding.published, finding.ours) == ("96.00 %", "95.00 %")
    assert (finding.difference, finding.allowed) == ("−1.00 points", "0.50 points below")


def test_a_loss_is_shown_with_four_digits() -> None:
    finding = only({"value": {"column": "val_loss"}, "published": 0.29123, "above": 0.01})
    assert (finding.published, finding.ours) == ("0.2912", "0.3")
    assert (finding.difference, finding.allowed) == ("+0.00877", "0.01 above")


def test_a_figure_of_several_seeds_has_its_spread() -> None:
    assert only({"value": {"column": "best_val_accuracy"}}).ours == "96.00 ± 2.00 % (2 seeds)"
    one_seed = tables().epochs.drop(columns="repeat")
    assert only({"value": {"column": "best_val_accuracy"}}, epochs=one_seed).ours == "96.00 %"


def test_an_epochs_figure_is_the_mean_over_its_runs() -> None:
    finding = only({"value": {"column": "val_accuracy", "where": {"experiment": "relu"}, "epoch": 1}})
    assert finding.our_number == pytest.approx(0.9105)
    assert finding.ours == "91.05 ± 0.07 % (2 seeds)"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"column": "val_acuracy"}, "the table has no column 'val_acuracy' (did you mean 'val_accuracy'?)"),
        ({"column": "val_accuracy", "where": {"lrr": 1}}, "the table has no column 'lrr' (did you mean 'lr'?)"),
        ({"column": "val_accuracy", "where": {"lr": 7, "widths": [1]}}, "no trial has lr=7, widths=[1]"),
        ({"column": "val_accuracy", "epoch": 3}, "trial 1 has no epoch 3: it ended after 2"),
        ({"column": "val_loss", "epoch": 1}, "the table has no column 'val_loss'"),
        ({"column": "test_accuracy", "where": {"lr": 0.1}}, "lr=0.1 has no test_accuracy: it is empty for trial 3"),
        ({"column": "experiment"}, "experiment holds no numbers, got 'tanh'"),
    ],
)
def test_what_cannot_be_measured_is_said(how: dict[str, Any], said: str) -> None:
    with pytest.raises((RunError, MissingRow)) as raised:
        only({"value": how})
    assert said in str(raised.value)


def test_a_diverged_trial_misses() -> None:
    finding = only({"value": {"column": "val_accuracy", "where": {"lr": 10}}, "published": 0.9, "within": 0.5})
    assert (finding.met, finding.ours, finding.difference) == (False, "not finite", "")


ROWS = {
    "column": "val_accuracy",
    "by": "experiment",
    "values": {"relu": {"published": 0.92}, "gelu": {"published": 0.90}},
}


@pytest.mark.parametrize(("at_most", "met"), [(0.02, True), (0.0199, False), (None, None)])
def test_a_published_table_is_judged_by_its_mean_absolute_difference(at_most: float | None, met: bool | None) -> None:
    *lines, last = measure(claim(rows=ROWS, at_most=at_most), tables())
    assert [(line.claim, line.difference, line.met) for line in lines] == [
        ("It holds: relu", "−1.00 points", None),
        ("It holds: gelu", "+3.00 points", None),
    ]
    assert (last.ours, last.met) == ("2.00 points", met)
    assert last.claim == "It holds: mean absolute difference of 2"


def test_a_published_line_may_be_of_one_epoch_and_a_number_names_its_trial() -> None:
    values = {2: {"published": 0.9205, "epoch": 2}}
    line, last = measure(claim(rows={"column": "val_accuracy", "by": "epochs", "values": values}, at_most=0), tables())
    assert line.our_number == pytest.approx(0.9205)
    assert last.met
    text = {"0.01": {"published": 0.95}}
    line, _ = measure(claim(rows={"column": "val_accuracy", "by": "lr", "values": text}), tables())
    assert line.our_number == 0.95


def test_a_published_table_with_a_diverged_line_misses() -> None:
    values = {"none": {"published": 0.9}, "relu": {"published": 0.9}}
    *_, last = measure(claim(rows={**ROWS, "values": values}, at_most=0.5), tables())
    assert (last.ours, last.met) == ("not finite", False)


@pytest.mark.parametrize(
    ("names", "met", "difference"),
    [
        ([["tanh"], ["gelu", "relu"]], True, ""),
        ([["tanh"], ["relu", "gelu"]], True, ""),
        ([["tanh"], ["relu"], ["gelu"]], False, "1 of 3 pairs the other way"),
        ([["relu"], ["gelu"], ["tanh"]], False, "3 of 3 pairs the other way"),
        ([["tanh"], ["none"]], False, "1 of 1 pairs the other way"),  # it diverged
    ],
)
def test_an_order_holds_where_every_earlier_one_is_better(names: list[list[str]], met: bool, difference: str) -> None:
    finding = only({"order": {"by": "experiment", "column": "val_accuracy", "best": "max", "names": names}})
    assert (finding.met, finding.difference) == (met, difference)


def test_an_order_is_said_in_words() -> None:
    how = {"by": "experiment", "column": "val_accuracy", "best": "max", "names": [["relu"], ["tanh", "gelu"], ["none"]]}
    finding = only({"order": how})
    assert finding.published == "relu > tanh, gelu > none"
    assert finding.ours == "tanh 95.00 % > gelu 93.00 % > relu 91.00 % > none not finite"
    losses = only({"order": {**how, "column": "val_loss", "best": "min", "names": [["tanh"], ["gelu"], ["relu"]]}})
    assert losses.ours == "tanh 0.3 < gelu 0.35 < relu 0.4"
    assert losses.met


def test_an_order_says_once_how_many_seeds_it_is_from() -> None:
    how = {"by": "experiment", "column": "best_val_accuracy", "best": "max", "names": [["tanh"], ["relu"]]}
    assert only({"order": how}).ours == "tanh 96.00 ± 2.00 % > relu 92.00 ± 1.00 % (2 seeds)"


def test_equals_are_in_no_order() -> None:
    how = {"by": "trial", "column": "lr", "best": "max", "names": [[0], [3]]}
    assert only({"order": how}).met is False


@pytest.mark.parametrize(("low", "high", "met"), [("train_loss", "val_loss", True), ("val_loss", "train_loss", False)])
def test_one_figure_of_the_best_trial_is_less_than_another(low: str, high: str, met: bool) -> None:
    finding = only({"less": {"low": low, "high": high}})
    assert finding.met is met
    assert finding.published == f"{low} < {high}"
    assert only({"less": {"low": "train_loss", "high": "val_loss", "where": {"experiment": "gelu"}}}).met is False


def test_the_losses_of_the_best_trials_steps_fall() -> None:
    finding = only({"falls": {"statistic": "mean"}})
    assert (finding.met, finding.ours) == (True, "1.5 → 0.5 (epoch 1 to 2)")
    assert only({"falls": {"statistic": "std"}}).met
    rising = tables().steps.assign(loss=[1.0, 1.0, 1.0, 2.0])
    assert only({"falls": {"statistic": "mean"}}, steps=rising).met is False
    assert only({"falls": {"statistic": "std"}}, steps=rising).met is False


def test_steps_that_were_not_kept_are_asked_for_in_one_line() -> None:
    with pytest.raises(RunError, match="no losses of single steps"):
        only({"falls": {"statistic": "mean"}}, steps=pd.DataFrame())
    with pytest.raises(RunError, match="of trial 1, the best"):
        only({"falls": {"statistic": "mean"}}, steps=tables().steps.assign(trial=0))


@pytest.mark.parametrize(("worst", "met"), [(9e-5, True), (2e-4, False), (float("inf"), False)])
def test_gradients_are_as_exact_as_their_worst(worst: float, met: bool) -> None:
    table = pd.DataFrame(
        {"engine": ["eager", "compiled"], "difference": [1e-7, worst], "compared": [10, 20], "skipped": [0, 2]}
    )
    [finding] = measure(claim(gradients={}, at_most=1e-4), table)
    assert finding.met is met
    assert "eager and compiled: 30 compared, 2 at kinks left out" in finding.ours


def test_a_verdict_never_flatters() -> None:
    met, missed, told = (Comparison("", "", "", met=met) for met in (True, False, None))
    assert verdict(met, quick=False, stand_in=False) == Verdict.MET
    assert verdict(missed, quick=False, stand_in=False) == Verdict.MISSED
    assert verdict(told, quick=True, stand_in=False) == Verdict.REPORTED
    assert {verdict(one, quick=True, stand_in=False) for one in (met, missed)} == {Verdict.SCALED_DOWN}
    assert {verdict(one, quick=quick, stand_in=True) for one in (met, missed, told) for quick in (True, False)} == {
        Verdict.STAND_IN
    }
