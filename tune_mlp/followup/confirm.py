"""`tune-mlp confirm` trains a run's best configurations again from fresh seeds, and looks at the test part for the best of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tune_mlp.console.board import Display
from tune_mlp.errors import UsageError
from tune_mlp.insight.confirmation import CONFIRM, best_of, confirmed
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore
from tune_mlp.seeds import fresh_seed
from tune_mlp.tuning.again import Again, followed
from tune_mlp.tuning.run import Request


def confirm(
    where: Path | ObjectStore, top: int, seeds: int, request: Request, display: Display, front: bool = False
) -> Answer:
    """Train the `top` configurations of a run, or those on its `front`, again from `seeds` fresh seeds each; say which is the best.

    What was trained by an earlier call isn't trained again. The test part is looked at once, for the confirmed best.
    """
    for name, value in (("top", top), ("seeds", seeds)):
        if not 1 <= value <= MOST:
            raise UsageError(f"--{name}: must be 1 to {MOST}, got {value}")
    with followed(where, request, display) as run:
        if front and not run.results.goals:
            raise UsageError(f"--front: {where} is of a study with one goal, whose front is its best trial alone")
        trials = best_configurations(run.results, run.results.front if front else run.results.ranked)
        trials = trials if front else trials[:top]
        if not trials:
            raise UsageError(f"{where}: no trial has a finite {run.results.metric}, so there is nothing to confirm")
        started = run.journal.state.started if run.journal else None
        study_seed = started.seed if started else 0
        fresh = [fresh_seed(study_seed, repeat) for repeat in range(seeds)]
        # Seed by seed, so that after an interruption the configurations have equally many nets.
        run.train(CONFIRM, [Again(trial, seed) for seed in fresh for trial in trials], keep_weights=True)
        best = best_of(confirmed(run.results, trials, fresh).table)
        if best is not None:
            run.look(CONFIRM, best, fresh)
        run.weights(CONFIRM).clear()
        return confirmed(Results.load(where), trials, fresh)


MOST = 1000
"""The largest number of configurations, and of seeds."""


def best_configurations(results: Results, ranked: pd.DataFrame) -> list[int]:
    """Return the trials of a ranking, best first; of several with the same parameters the best alone."""
    found: dict[str, int] = {}
    for trial in ranked["trial"]:
        found.setdefault(repr(sorted(results.params[trial].items())), int(trial))
    return list(found.values())
