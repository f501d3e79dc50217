"""The table of changes holds each setting that population-based training changed, with the epoch and the donor."""

from __future__ import annotations

import pandas as pd

from tests.results.journals import a_study, decided, drawn, record, started, trained
from tune_mlp.results.changes import changes_table


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return [[None if pd.isna(cell) else cell for cell in row] for row in frame.astype(object).to_numpy().tolist()]


def test_each_changed_parameter_is_a_row_with_its_epoch_and_donor() -> None:
    events = [
        started(),
        drawn(0, {"lr": 0.1, "optimizer": "adam"}),
        drawn(1, {"lr": 0.01, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9}),
        trained(0, record(1, 1.0, 0.5, 1.0, 0.5)),
        decided(0, 1, scheduler="pbt", decision="exploit", donor=1),
        drawn(0, {"lr": 0.012, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9}),
        decided(0, 2, scheduler="pbt", decision="continue"),
        drawn(0, {"lr": 0.02, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9}),
    ]
    table = changes_table(events)
    assert list(table.columns) == ["trial", "epoch", "donor", "parameter", "before", "after"]
    assert rows(table) == [
        [0, 1, 1, "lr", "0.1", "0.012"],
        [0, 1, 1, "optimizer", "adam", "sgd"],
        [0, 1, 1, "optimizer.sgd.momentum", None, "0.9"],
        [0, None, None, "lr", "0.012", "0.02"],
    ]


def test_numbers_alone_stay_numbers() -> None:
    events = [started(), drawn(0, {"lr": 0.1}), decided(0, 3, decision="exploit", donor=2), drawn(0, {"lr": 0.2})]
    assert rows(changes_table(events)) == [[0, 3, 2, "lr", 0.1, 0.2]]


def test_a_study_without_changes_has_an_empty_table() -> None:
    table = changes_table(a_study())
    assert table.empty
    assert len(table.columns) == 6
