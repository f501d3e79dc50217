"""A first study for a table that was looked at: it runs as it is, and is meant to be read and changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tune_mlp.data.profile import TableProfile
from tune_mlp.space.files import dump_yaml

FEW_ROWS = 2_000
"""A table of fewer rows is validated by folds, and searched with small batches."""
CHEAP_ROWS = 10_000
"""A table of fewer rows is searched without a scheduler, and its winner is an average of nets."""
NETS = 5
"""The number of nets in such an average; each further one changes less."""
MANY_ROWS = 50_000
"""A table of more rows is searched with large batches and few epochs."""


UNEVEN = 3.0
"""Classes are uneven where the commonest has so many times the samples of the rarest."""


def propose_study(profile: TableProfile, file: Path) -> str:
    """Return the text of a study for the table; its path is relative to the folder of the study's file."""
    rows = profile.rows
    kind, _, _ = profile.settings["name"].partition(":")
    path = _relative(profile.path, file) if isinstance(profile.path, Path) else profile.path
    data: dict[str, Any] = {**profile.settings, "name": f"{kind}:{path}"}
    if rows < FEW_ROWS and "validation" not in data:
        data["validation"] = {"folds": 5}
    # A narrow space of settings that usually work: on few rows, the best of a wide one is often best by chance.
    space: dict[str, Any] = {
        "lr": {"log": [5e-4, 5e-3]},
        "batch_size": {"choice": _batch_sizes(rows)},
        "widths": {"list": {"choice": [64, 128, 256]}, "length": {"int": [1, 2]}},
        "activation": {"choice": ["relu", "gelu"]},
        "dropout": {"uniform": [0.0, 0.3]},
        "weight_decay": {"log": [1e-5, 1e-2]},
        "optimizer": "adamw",
    }
    epochs, patience, scheduler = _budget(rows)
    study: dict[str, Any] = {
        "description": f"{rows} rows of {profile.path.name}, to predict {profile.target}",
        "data": data,
        "space": space,
        "trials": 40,
        "epochs": epochs,
        "patience": patience,
        "retrain": NETS if rows < CHEAP_ROWS else True,
        "search": "tpe",
        "scheduler": scheduler,
    }
    counts = profile.classes.values()
    if counts and max(counts) >= UNEVEN * min(counts):
        space["class_weight"] = {"choice": ["none", "balanced"]}
        study["measure"] = ["val_balanced_accuracy", "val_macro_f1"]
    return dump_yaml(study)


def _batch_sizes(rows: int) -> list[int]:
    if rows < FEW_ROWS:
        return [16, 32, 64, 128]
    return [32, 64, 128, 256] if rows <= MANY_ROWS else [128, 256, 512]


def _budget(rows: int) -> tuple[int, int, Any]:
    """Return epochs, patience and scheduler. Trials on few rows are cheap, and stopping them early favours fast learners."""
    if rows < FEW_ROWS:
        return 200, 20, "fifo"
    if rows < CHEAP_ROWS:
        return 100, 10, "fifo"
    if rows <= MANY_ROWS:
        return 100, 10, {"asha": {"grace_period": 10, "reduction_factor": 2}}
    return 20, 5, {"asha": {"grace_period": 3, "reduction_factor": 2}}


def _relative(path: Path, file: Path) -> str:
    try:
        return os.path.relpath(path.resolve(), file.resolve().parent)
    except ValueError:  # on Windows, a path on another drive
        return str(path.resolve())
