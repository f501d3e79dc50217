"""Runs that are awkward to draw, each made by hand: every figure of a search must answer for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.results.journals import decided, drawn, ended, record, started, trained, trial
from tune_mlp.records import EpochRecord
from tune_mlp.results.journal import Drawn, Event, Param, to_line
from tune_mlp.results.results import Results

NASTY = '</script><img src=x onerror="alert(1)">.a[0]\'"\\'
"""A parameter's name and value that would break a page, a field's path or an expression that took it as it is."""


def load(folder: Path, events: Iterable[Event], seconds: float = 0.5) -> Results:
    """Write a journal whose lines are this far apart in time, and load the run."""
    lines = [to_line(event, number, 1.5e9 + seconds * number) for number, event in enumerate(events, start=1)]
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    return Results.load(folder)


def searched(number: int, random: np.random.Generator, epochs: int = 10, node: str = "head") -> list[Event]:
    """Return the events of a trial with random settings, which ASHA stops after epoch 3 or 6 or lets train to its end."""
    params: dict[str, Param] = {
        "lr": float(10 ** random.uniform(-4, -1)),
        "batch_size": int(random.choice([1, 16, 128])),
        "activation": str(random.choice(["relu", "tanh"])),
    }
    last = int(random.choice([min(3, epochs), min(6, epochs), epochs]))
    best = 0.97 - 0.05 * abs(np.log10(float(params["lr"])) + 2)  # type: ignore[arg-type]
    scores = [best * (1 - 0.5**epoch) + float(random.normal(0, 0.002)) for epoch in range(1, last + 1)]
    records = [
        record(epoch, 1 - score, score + 0.01, 1.1 - score, score) for epoch, score in enumerate(scores, start=1)
    ]
    stopped = last < epochs
    return [
        drawn(number, params),
        *(trained(number, one, node=node) for one in records),
        *([decided(number, last)] if stopped else []),
        ended(number, "stopped" if stopped else "finished", reason="scheduler" if stopped else ""),
    ]


def many(folder: Path, count: int, epochs: int = 10) -> Results:
    """Return a run of ASHA with this many trials."""
    random = np.random.default_rng(0)
    trials = (searched(number, random, epochs, f"node{number % 3}") for number in range(count))
    return load(folder, [started(epochs=epochs), *(event for events in trials for event in events)])


def usual(folder: Path) -> Results:
    """Return a run of 25 trials."""
    return many(folder, 25)


def one_trial(folder: Path) -> Results:
    """Return a run of one trial and one epoch."""
    return load(folder, [started(epochs=1), *trial(0, 0.5)])


def nothing_yet(folder: Path) -> Results:
    """Return a run that has just begun: its trials were drawn, and none has trained."""
    return load(folder, [started(), drawn(0), drawn(1, {"lr": 0.2})])


def no_trials(folder: Path) -> Results:
    """Return a run without any trial."""
    return load(folder, [started()])


def all_failed(folder: Path) -> Results:
    """Return a run of which no trial came to a first epoch."""
    return load(
        folder, [started(), *(e for n in range(3) for e in (drawn(n), ended(n, "failed", error="it <b>broke</b>")))]
    )


def all_diverged(folder: Path) -> Results:
    """Return a run of which all trials diverged, one of them at once."""
    nan, inf = float("nan"), float("inf")
    return load(
        folder,
        [
            started(),
            *trial(0, nan, state="diverged"),
            *trial(1, 0.5, inf, state="diverged", params={"lr": 0.2}),
            *trial(2, 0.5, 0.6, -inf, state="diverged", params={"lr": 0.3}),
        ],
    )


def some_diverged(folder: Path) -> Results:
    """Return a run with trials that diverged and failed beside others, and with parameters that not all of them have."""
    return load(
        folder,
        [
            started(),
            *trial(0, 0.5, 0.7, 0.8, params={"lr": 0.1, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9}),
            *trial(1, 0.4, float("nan"), state="diverged", params={"lr": 9.0, "widths": [64, 32], "flag": True}),
            *trial(2, 0.5, 0.6, 0.6, params={"lr": 0.01, "widths": [], "flag": False}),
            drawn(3, {"lr": 1e-300}),
            ended(3, "failed", error="RuntimeError"),
        ],
    )


def folds_and_seeds(folder: Path) -> Results:
    """Return a run with two folds and two seeds, whose last epoch one fold has not trained."""
    events: list[Event] = [started()]
    for number in range(4):
        events.append(drawn(number, {"lr": 0.1 * (number + 1)}))
        for epoch in (1, 2, 3):
            runs = [(repeat, fold) for repeat in (0, 1) for fold in (0, 1)][: 3 if (number, epoch) == (3, 3) else 4]
            scores = [0.5 + 0.1 * epoch + 0.01 * fold for _, fold in runs]
            records = [
                record(epoch, 0.4, 0.9, 0.5, score, fold=fold, repeat=repeat)
                for (repeat, fold), score in zip(runs, scores, strict=True)
            ]
            events.append(trained(number, *records))
        events += [ended(number)] if number < 3 else []
    return load(folder, events)


def population(folder: Path) -> Results:
    """Return a run of population-based training, in which a trial took over another one's weights and settings."""
    return load(
        folder,
        [
            started(epochs=4),
            drawn(0, {"lr": 0.1}),
            drawn(1, {"lr": 0.001}),
            *(trained(0, record(n, 0.5, 0.6, 0.5, 0.6 + n / 50)) for n in (1, 2)),
            *(trained(1, record(n, 0.9, 0.2, 0.9, 0.2 + n / 50)) for n in (1, 2)),
            decided(1, 2, scheduler="pbt", decision="exploit", donor=0),
            Drawn(1, {"lr": 0.12}, seed=5),
            *(trained(n, record(epoch, 0.4, 0.7, 0.4, 0.7 + epoch / 50)) for epoch in (3, 4) for n in (0, 1)),
            ended(0),
            ended(1),
        ],
    )


def running(folder: Path) -> Results:
    """Return a run in the middle: some trials have ended, one trains, one was drawn and waits."""
    return load(
        folder,
        [
            started(),
            *trial(0, 0.5, 0.6, 0.7),
            *trial(1, 0.4, state="stopped", params={"lr": 0.2}),
            drawn(2, {"lr": 0.3}),
            trained(2, record(1, 0.5, 0.5, 0.5, 0.9)),
            drawn(3, {"lr": 0.4}),
        ],
    )


def regression(folder: Path) -> Results:
    """Return a run of regression, where a small error is good and one trial's error is huge."""
    task = "regression"
    events: list[Event] = [started(task=task, metric="val_rmse", mode="min", classes=0, epochs=3)]
    for number in range(9):
        errors = [10.0 ** (30 if number == 5 else 0) * (number + 1) / epoch for epoch in (1, 2, 3)]
        records = [
            EpochRecord(
                epoch,
                0,
                {"train_loss": e, "train_rmse": e, "train_r2": 0.5, "val_loss": e, "val_rmse": e * 1.5, "val_r2": -e},
                10,
                0.5,
                0.75,
            )
            for epoch, e in enumerate(errors, start=1)
        ]
        events += [drawn(number, {"lr": 0.1 / (number + 1)}), trained(number, *records), ended(number)]
    return load(folder, events)


def negative_best(folder: Path) -> Results:
    """Return a run whose best score is below 0, and whose trials all have the same one."""
    return load(folder, [started(), *(e for n in range(3) for e in trial(n, -0.5, -0.5, params={"lr": n / 10}))])


def nasty_names(folder: Path) -> Results:
    """Return a run whose parameters have names and values that no page, path or expression may take as they are."""
    named = [{NASTY: NASTY + str(n % 2), "a.b": n, "x[0]": [n, None], "": None if n else ""} for n in range(6)]
    return load(
        folder, [started(), *(e for n, p in enumerate(named) for e in trial(n, 0.1 * n, 0.5 + 0.05 * n, params=p))]
    )


def many_parameters(folder: Path) -> Results:
    """Return a run with 40 parameters."""
    random = np.random.default_rng(0)
    draws = [{f"p{i}": float(random.random()) for i in range(40)} for _ in range(8)]
    return load(folder, [started(), *(e for n, p in enumerate(draws) for e in trial(n, 0.1 * n, 0.09 * n, params=p))])


def long_training(folder: Path) -> Results:
    """Return a run of 400 epochs a trial."""
    return many(folder, 12, epochs=400)


def table(folder: Path) -> Results:
    """Return the results of a table from elsewhere, which has no epochs."""
    frame = pd.DataFrame({"lr": [0.1, 0.2, 0.3], "score": [0.5, 0.75, np.nan]})
    return Results.from_table(frame, "score", "max", ["lr"])


AWKWARD: dict[str, Callable[[Path], Results]] = {
    make.__name__: make
    for make in (
        usual,
        one_trial,
        nothing_yet,
        no_trials,
        all_failed,
        all_diverged,
        some_diverged,
        folds_and_seeds,
        population,
        running,
        regression,
        negative_best,
        nasty_names,
        many_parameters,
        long_training,
        table,
    )
}
"""Each awkward run by its name, as a function from an empty folder to the results."""
