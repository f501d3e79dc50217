"""Importance, advice and the report on tables that other tools really wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from tune_mlp.report.verify import verify
from tune_mlp.report.write import write_report
from tune_mlp.results.results import Results


def check_the_report(results: Results, page: Path) -> None:
    """Write the report of a table, which says what it lacks, and work all of its numbers out again."""
    write_report(results, page)
    assert f"This report was made from the table {results.source} alone" in page.read_text(encoding="utf-8")
    answer = verify(page)
    assert (answer.facts["differ"], answer.table.empty) == (0, True)
    assert answer.facts["numbers"] > 20


def test_a_study_of_optuna_with_pruned_and_failed_trials(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 1e-4, 1e-1, log=True)
        kind = trial.suggest_categorical("kind", ["a", "b", None])
        extra = trial.suggest_int("extra", 1, 8) if kind == "a" else 0
        score = float(np.log10(x)) + 0.01 * extra + 0.1 * float(random.normal())
        for step in range(5):
            trial.report(score * (step + 1) / 5, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        if random.uniform() < 0.05:
            raise RuntimeError("lost")
        return score

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=60, catch=(RuntimeError,))
    file = tmp_path / "optuna.csv"
    study.trials_dataframe().to_csv(file, index=False)
    results = Results.from_table(file, mode="min")
    assert {"finished", "stopped"} <= set(results.trials["state"])
    found = results.importance()
    assert (found["parameter"][0], found["verdict"][0]) == ("x", "effect")
    assert ("extend", "x") in set(zip(results.advice()["advice"], results.advice()["parameter"], strict=True))
    check_the_report(results, tmp_path / "optuna.html")


@pytest.mark.slow
def test_a_study_of_ray_tune_under_asha(tmp_path: Path) -> None:
    import ray
    from ray import tune
    from ray.tune.schedulers import AsyncHyperBandScheduler

    def train(config: dict[str, Any]) -> None:
        random = np.random.default_rng(abs(hash(config["x"])) % 2**32)
        for epoch in range(1, 10):
            tune.report({"accuracy": 0.8 + 0.1 * config["x"] - 0.3 / epoch + 0.005 * random.normal(), "epoch": epoch})

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        grid = tune.Tuner(
            train,
            param_space={"x": tune.uniform(0, 1), "width": tune.choice([16, 64]), "name": tune.choice(["a", "b"])},
            tune_config=tune.TuneConfig(
                num_samples=40,
                scheduler=AsyncHyperBandScheduler(time_attr="epoch", metric="accuracy", mode="max", max_t=9),
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    file = tmp_path / "ray.csv"
    grid.get_dataframe().to_csv(file, index=False)
    results = Results.from_table(file, metric="accuracy")
    found = results.importance()
    assert (found["parameter"][0], found["verdict"][0]) == ("x", "effect")
    assert set(found["verdict"][1:]) == {"no evidence"}
    check_the_report(results, tmp_path / "ray.html")
