"""The estimated regret of a scheduler, held to exhaustive tables on which the truth can be looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.followup.exhaustive import FAMILIES, Outcome, Table, Trying, outcome, power_laws, stopped_by
from tests.in_process import InProcess
from tune_mlp.console.board import Display
from tune_mlp.insight.recorded_curves import Floats
from tune_mlp.insight.regret import LEAST, Estimate, choose_sample, estimate
from tune_mlp.records import TrialState
from tune_mlp.study.study import Study
from tune_mlp.tuning.run import Request, run_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

ASHA: dict[str, Any] = {"asha": {"grace_period": 1, "reduction_factor": 3}}
LATER_ASHA: dict[str, Any] = {"asha": {"grace_period": 3, "reduction_factor": 2}}
MEDIAN: dict[str, Any] = {"median": {"grace_period": 2}}


def outcomes(family: str, way: Trying, runs: int) -> list[Outcome]:
    found = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        found.append(outcome(FAMILIES[family](60, 16, rng), way, rng))
    return found


def check(found: list[Outcome]) -> None:
    """Check that the intervals hold the cost, and that the number of winners that were stopped can have come by the
    probabilities that were said: chance alone would give a number so far out in less than 1 of 100."""
    assert sum(one.covered for one in found) >= 0.9 * len(found)
    check_count(sum(one.cost > 0 for one in found), [one.found.probability for one in found])


def check_count(happened: int, said: list[Estimate]) -> None:
    few, many = (counts([getattr(one, end) for one in said]) for end in ("low", "high"))
    assert few[: happened + 1].sum() >= 0.01, "the lower ends are too high"
    assert many[happened:].sum() >= 0.01, "the upper ends are too low"


def counts(chances: list[float]) -> Floats:
    """Return the probability of each number of events that have these chances."""
    found = np.ones(1)
    for chance in chances:
        found = np.convolve(found, [1 - chance, chance])
    return found


def test_the_check_of_said_probabilities_can_fail() -> None:
    said = [Estimate(0.05, 0.03, 0.1)] * 100
    for happened in (1, 3, 10, 17):
        check_count(happened, said)
    for happened, end in ((20, "upper"), (0, "lower")):
        with pytest.raises(AssertionError, match=f"the {end} ends"):
            check_count(happened, [Estimate(0.05, 0.06, 0.1)] * 100)


@pytest.mark.parametrize("family", ["power laws", "late starters"])
def test_the_interval_of_the_cost_covers_the_truth_in_nine_of_ten_runs(family: str) -> None:
    check(outcomes(family, Trying(ASHA, 0.05), 20))


@pytest.mark.slow
@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("scheduler", [ASHA, LATER_ASHA, MEDIAN])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_interval_of_the_cost_covers_the_truth_in_90_of_100_runs(
    family: str, scheduler: Any, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    found = outcomes(family, Trying(scheduler, share), 100)
    with capsys.disabled():
        print(f"\n{family}, {scheduler}, share {share}: {summary(found)}")
    check(found)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Return the accuracies of 100 trials of digits by epoch, all trained to the end: a minute or two."""
    asked = Study.load("digits_quick", trials=100, epochs=12, scheduler="fifo", concurrent=1)
    with pytest.MonkeyPatch.context() as patch:
        InProcess().use(patch)
        found = run_study(asked, Request(out=tmp_path_factory.mktemp("runs"), name="digits"), Display())
    whole = found.epochs.pivot_table(index="trial", columns="epoch", values="val_accuracy").dropna()
    assert len(whole) > 90
    return whole.to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", [ASHA, LATER_ASHA, MEDIAN])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_interval_of_the_cost_covers_the_truth_in_90_of_100_real_runs(
    scheduler: Any, share: float, digits: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run has 60 of the trials in an order of its own."""
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found.append(outcome(rng.permutation(digits)[:60], Trying(scheduler, share), rng))
    with capsys.disabled():
        print(f"\ndigits, {scheduler}, share {share}: {summary(found)}")
    check(found)


def summary(found: list[Outcome]) -> str:
    chances = np.mean([one.found.probability for one in found], axis=0)
    costs = np.mean([one.found.cost for one in found], axis=0)
    return (
        f"{np.mean([one.sampled for one in found]):.1f} of {np.mean([one.stopped for one in found]):.1f} sampled, covered "
        f"{sum(one.covered for one in found)}, winner stopped {sum(one.cost > 0 for one in found)}, said "
        f"{chances[0]:.2f} [{chances[1]:.2f}, {chances[2]:.2f}], cost {np.mean([one.cost for one in found]):.4f}, said "
        f"{costs[0]:.4f} [{costs[1]:.4f}, {costs[2]:.4f}]"
    )


def test_a_probability_of_a_tenth_means_less_than_one_of_a_half() -> None:
    """Runs of which a winner was said to be stopped more likely had it stopped more often."""
    found = outcomes("power laws", Trying(ASHA, 0.05), 30)
    likely = [one.cost > 0 for one in found if one.found.probability.value >= 0.25]
    unlikely = [one.cost > 0 for one in found if one.found.probability.value < 0.25]
    assert np.mean(likely) > np.mean(unlikely) + 0.2


def test_once_all_stopped_trials_are_trained_the_answer_is_the_truth() -> None:
    table = power_laws(30, 9, np.random.default_rng(1))
    found = outcome(table, Trying(ASHA, 1.0), np.random.default_rng(0))
    assert found.sampled == found.stopped
    assert found.found.cost == (found.cost,) * 3
    assert found.found.probability == (float(found.cost > 0),) * 3


def test_a_sampled_trial_that_beats_the_winner_makes_the_regret_certain() -> None:
    table = slow_winner()
    curves = stopped_by(table, LATER_ASHA)
    assert curves.stopped[39]
    found = estimate(curves.trained_on(39, table[39], TrialState.FINISHED), 0.9, np.random.default_rng(0))
    assert found is not None
    assert found.probability == (1.0, 1.0, 1.0)
    assert found.cost.low >= 0.05 - 1e-9


def test_a_sampled_trial_that_diverged_cannot_be_the_winner() -> None:
    table = slow_winner()
    curves = stopped_by(table, LATER_ASHA).trained_on(39, table[39], TrialState.DIVERGED)
    found = estimate(curves, float(table[:39].max()), np.random.default_rng(0))
    assert found is not None
    assert found.probability.value < 0.5


def slow_winner() -> Table:
    """Return curves that don't cross, but for the last, which is the worst before epoch 6 and the best after it."""
    limits = np.linspace(0.6, 0.9, 40)
    table = np.array([limit - 0.3 / np.arange(1, 13) for limit in limits])
    table += np.random.default_rng(0).normal(0, 1e-3, table.shape)
    table[39] = [0.1] * 6 + [0.95] * 6
    return table


def test_too_few_whole_trials_give_no_estimate() -> None:
    table = power_laws(20, 9, np.random.default_rng(0))
    curves = stopped_by(table, ASHA)
    whole = np.flatnonzero(curves.whole)[2:]
    kept = np.setdiff1d(np.arange(20), whole)
    few = type(curves)(**{name: getattr(curves, name)[kept] for name in curves.__dataclass_fields__})
    assert estimate(few, 0.99, np.random.default_rng(0)) is None


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_the_sample_is_as_large_as_asked_and_spread_over_the_stopped_trials(share: float) -> None:
    table = np.linspace(0.9, 0.1, 50)[:, None] + np.zeros((50, 6))  # each is worse than those before it
    curves = stopped_by(table, MEDIAN)
    stopped = np.flatnonzero(curves.stopped)
    sample = choose_sample(curves, share, np.random.default_rng(3))
    assert len(set(sample)) == len(sample) == max(LEAST, int(np.ceil(share * len(stopped))))
    assert set(sample) <= set(stopped)
    assert np.diff(np.flatnonzero(np.isin(stopped, sample))).max() <= -(-len(stopped) // len(sample))


def test_each_stopped_trial_is_as_likely_to_be_sampled() -> None:
    curves = stopped_by(power_laws(60, 9, np.random.default_rng(0)), ASHA)
    stopped = np.flatnonzero(curves.stopped)
    rng = np.random.default_rng(0)
    counts = np.zeros(60)
    for _ in range(2000):
        counts[choose_sample(curves, 0.2, rng)] += 1
    expected = 2000 * len(choose_sample(curves, 0.2, rng)) / len(stopped)
    assert np.all(counts[~curves.stopped] == 0)
    assert np.allclose(counts[stopped], expected, atol=5 * np.sqrt(expected))


def test_constant_curves_give_no_warning_and_no_regret() -> None:
    table = np.full((40, 9), 0.5)
    table[:5] = 0.6
    curves = stopped_by(table, ASHA)
    assert curves.stopped.any()
    found = estimate(curves, 0.6, np.random.default_rng(0))
    assert found is not None
    assert found.probability.value < 0.01
    assert found.cost.value == pytest.approx(0, abs=1e-6)
