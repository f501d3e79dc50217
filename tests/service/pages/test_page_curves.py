"""The curves of the live page: all trials of a small study; of a large one its leaders, and quantiles of all trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.report.pages import a_reported_run
from tests.service import services
from tune_mlp.results.results import Results
from tune_mlp.service.pages.curves import LEADERS, MOST_RUNNING, CurveCache, curves_of


def by_epoch(results: Results) -> dict[int, list[float]]:
    return {int(trial): rows["val_accuracy"].tolist() for trial, rows in results.epochs.groupby("trial")}  # type: ignore[call-overload]


def test_a_small_study_has_the_curves_of_all_trials(tmp_path: Path) -> None:
    results = a_reported_run(tmp_path / "runs" / "small", trials=30)
    with services.service(tmp_path / "runs") as service:
        found = curves_of(service.followed("small"))
    assert not found["large"]
    assert found["band"] is None
    lines = {line["trial"]: line["values"] for line in found["lines"]}
    assert lines == {trial: pytest.approx(values, rel=1e-4) for trial, values in by_epoch(results).items()}
    assert results.best is not None
    assert found["best"] == results.best["trial"]
    assert found["total"] == 30
    assert found["offset"] == (tmp_path / "runs" / "small" / "journal.jsonl").stat().st_size


def test_a_large_study_has_its_leaders_and_the_quantiles_of_all_trials(tmp_path: Path) -> None:
    results = a_reported_run(tmp_path / "runs" / "large", trials=300)
    with services.service(tmp_path / "runs") as service:
        found = curves_of(service.followed("large"))
    assert found["large"]
    shown = {line["trial"] for line in found["lines"]}
    assert len(shown) <= LEADERS + MOST_RUNNING
    assert set(results.ranked["trial"].head(LEADERS // 2)) <= shown
    curves = by_epoch(results)
    first = [values[0] for values in curves.values()]
    for name, share in (("low", 0.1), ("middle", 0.5), ("high", 0.9)):
        assert found["band"][name][0] == pytest.approx(np.quantile(first, share), rel=1e-4)


def test_curves_are_worked_out_once_until_the_journal_grows(tmp_path: Path) -> None:
    a_reported_run(tmp_path / "runs" / "small", trials=10)
    cache = CurveCache()
    with services.service(tmp_path / "runs") as service:
        once = cache.of(service.followed("small"))
        assert cache.of(service.followed("small")) is once
