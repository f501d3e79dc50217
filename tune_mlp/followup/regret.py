"""The answer of `regret`: what the scheduler's stops cost, and what other settings of it would have saved and lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tune_mlp.console.board import Display
from tune_mlp.errors import UsageError
from tune_mlp.followup.other_settings import Recorded, compare_settings, same_as_recorded
from tune_mlp.insight.recorded_curves import RecordedCurves, curve_table, recorded_curves
from tune_mlp.insight.regret import FITS, Estimate, Regret, choose_sample, estimate
from tune_mlp.records import TrialState
from tune_mlp.results.answer import Answer
from tune_mlp.results.followups import load_followup
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore
from tune_mlp.seeds import derive
from tune_mlp.study.study import Study
from tune_mlp.tuning.again import Again, followed
from tune_mlp.tuning.run import Request

REGRET = "regret"
"""The name of the follow-up."""


class _Found(NamedTuple):
    """What is known of a run once a sample of its stopped trials was trained to the end."""

    metric: str
    sign: float
    before: RecordedCurves
    after: RecordedCurves
    winner: float
    """The value of the run's winner, signed as the curves are."""

    @property
    def sample(self) -> pd.DataFrame:
        """A row for each stopped trial that was trained to the end."""
        rows = np.flatnonzero(self.before.stopped & self.after.whole)
        finals = self.after.best_so_far[rows, -1]
        return pd.DataFrame(
            {
                "trial": self.before.trials[rows],
                "stopped_after": self.before.recorded[rows],
                "value": self.sign * self.before.bests[rows],
                "value_at_end": self.sign * finals,
                "better": self.after.able[rows] & (finals > self.winner),
            }
        )


def train_and_regret(where: Path | ObjectStore, share: float, seed: int, request: Request, display: Display) -> Answer:
    """Train a share of a run's stopped trials to the end, and answer. What an earlier call trained isn't trained again."""
    if not 0 < share <= 1:
        raise UsageError(f"--share {share:g}: must be above 0 and at most 1")
    if not sample_of(results := Results.load(where), share, seed):
        return regret(results, None, seed)
    with followed(where, request, display) as run:
        own_seeds = run.results.trials.set_index("trial")["seed"]
        sample = sample_of(run.results, share, seed)
        trained = run.train(REGRET, [Again(trial, int(own_seeds[trial])) for trial in sample])
        return regret(run.results, trained, seed)


def regret_frame(results: Results) -> pd.DataFrame:
    """Return the answer as a frame, with what was trained to the end so far."""
    return regret(results, load_followup(results.path, REGRET)).to_frame()


def sample_of(results: Results, share: float, seed: int) -> list[int]:
    """Return the stopped trials that are to be trained to the end."""
    if results.best is None:
        return []
    return sorted(int(trial) for trial in choose_sample(recorded_curves(results), share, _random(seed, "sample")))


def regret(results: Results, trained: Results | None = None, seed: int = 0) -> Answer:
    """Answer for a run, of which the trials in `trained` were trained to the end."""
    if results.best is None:
        return Answer("No trial has a value, so there is nothing to regret.", pd.DataFrame(), ())
    sign = 1.0 if results.mode == "max" else -1.0
    best = float(results.best[f"best_{results.metric}"])
    before = recorded_curves(results)
    found = _Found(results.metric, sign, before, _joined(before, trained), sign * best)
    estimated = estimate(found.after, found.winner, _random(seed, "estimate")) if before.stopped.any() else None
    table, notes = _other_settings(results, found)
    sample = found.sample
    facts: dict[str, Any] = {
        "metric": results.metric,
        "mode": results.mode,
        "trials": len(results.trials),
        "stopped": int(before.stopped.sum()),
        "trained_to_end": len(sample),
        "winner": {"trial": int(results.best["trial"]), "value": best},
        "probability": None if estimated is None else estimated.probability._asdict(),
        "cost": None if estimated is None else estimated.cost._asdict(),
        "sample": sample.to_dict("records"),
    }
    return Answer(_sentence(found, estimated), table, _method(found, estimated, table, seed), notes, facts)


def _random(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng(derive(seed, REGRET, purpose))


def _joined(curves: RecordedCurves, trained: Results | None) -> RecordedCurves:
    """Return the curves with those of the trials that a follow-up has trained to the end."""
    if trained is None:
        return curves
    values = curve_table(trained, curves.values.shape[1])
    for row, (trial, state) in enumerate(zip(trained.trials["again"], trained.trials["state"], strict=True)):
        if state in (TrialState.FINISHED, TrialState.DIVERGED):
            curves = curves.trained_on(int(trial), values[row], TrialState(state))
    return curves


def _sentence(found: _Found, estimated: Regret | None) -> str:
    stopped, sample = int(found.before.stopped.sum()), found.sample
    if not stopped:
        return "The scheduler stopped no trial, so it didn't stop the winner."
    trained = f"Of {stopped} stopped trials, {len(sample)} {'was' if len(sample) == 1 else 'were'} trained to the end"
    if estimated is None:
        return f"{trained}, too few to judge the others by."
    cost = f"{_number(estimated.cost.value)} of {found.metric}"
    better = sample[sample["better"]]
    if len(better):
        first = better.sort_values("value_at_end", ascending=found.sign < 0).iloc[0]
        text = (
            f"{trained}. The scheduler stopped a trial that would have been better than the winner: trial {first['trial']} "
            f"reaches {first['value_at_end']:.4g}, where the winner has {found.sign * found.winner:.4g}"
        )
        return f"{text}; the expected cost is {cost}{_range(estimated.cost)}."
    if len(sample) == stopped:
        return f"{trained}: none is better than the winner, so the scheduler's stops cost nothing."
    chance = estimated.probability
    return (
        f"{trained}. The scheduler stopped the winner with a probability of {_percent(chance.value)} (95 % interval "
        f"{100 * chance.low:.0f} to {100 * chance.high:.0f} %); the expected cost is {cost}{_range(estimated.cost)}."
    )


def _percent(chance: float) -> str:
    return "less than 1 %" if chance < 0.01 else f"about {100 * chance:.0f} %"


def _number(value: float) -> str:
    return f"{value:.1g}" if value else "0"


def _range(cost: Estimate) -> str:
    return "" if cost.low == cost.high else f" (95 % interval {_number(cost.low)} to {_number(cost.high)})"


def _other_settings(results: Results, found: _Found) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table of other settings, and what must be known of it."""
    if "scheduler" not in results.study or not results.manifest:
        return pd.DataFrame(), ("The run's folder has no study.yaml or run.json, so other settings can't be compared.",)
    study = Study.load(results.path / "study.yaml").bound(
        "regression" if "val_rmse" in results.trials else "classification"
    )
    if study.scheduler.pbt:
        return pd.DataFrame(), (
            "Population-based training changes trials on their way; other settings can't be judged by its curves.",
        )
    slots = int(results.manifest["resources"]["concurrent"])
    run = Recorded(study, found.after, found.winner, slots)
    table = compare_settings(run)
    to_end = run.trained_to_end
    same = same_as_recorded(run, found.before)
    return table, (
        f"To train all trials to the end takes {to_end.sum():,} epochs and {to_end @ run.curves.seconds:,.0f} s of training, against "
        "which savings are counted.",
        f"`unknown` of the {len(results.trials)} trials would have been trained further than they were: what they would have reached "
        "isn't known, so savings have two bounds, and such a setting may have found something better.",
        f"The simulation of the run's own setting gives {same} of {len(results.trials)} trials the epochs that they had.",
    )


def _method(found: _Found, estimated: Regret | None, table: pd.DataFrame, seed: int) -> tuple[str, ...]:
    lines = []
    if estimated is not None:
        lines.append(
            f"The sample (seed {seed}) is evenly spread over the stopped trials by their last epoch and value; {FITS} regressions on "
            "trials that were trained on continue the others, which assumes that stops followed from recorded values alone."
        )
    if len(table):
        lines.append(
            "Each other setting decides by the scheduler's own code over the recorded values, on a simulated clock with the recorded seconds; "
            "draws stay as they were, and values beyond a record are taken as unchanged, as better and as worse than those of earlier trials."
        )
    return tuple(lines)
