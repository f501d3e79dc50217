"""Records read in one go are those that the slow reader reads, and whatever is unusual is read, or refused, as slowly as before."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_mlp.records import EpochRecord, mean_metrics
from tune_mlp.results import journal
from tune_mlp.results.journal import Trained, from_line, read_record_slowly, to_line
from tune_mlp.results.limits import LIMITS
from tune_mlp.results.usual_records import FIELDS, record_reader

USUAL: dict[str, Any] = {
    "epoch": 2,
    "fold": 0,
    "metrics": {"val_loss": 0.5, "train_loss": 0.25, "train_accuracy": 0.75, "val_accuracy": 0.5},
    "steps": 10,
    "train_seconds": 0.5,
    "seconds": 0.75,
    "repeat": 0,
}
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.sampled_from(["nan", "inf", "-inf", "x", "", "\x1b", "=1"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(["val_loss", "val_r2", "other", "\x00", "=a"]),
        st.floats() | st.integers() | st.text(max_size=3),
        max_size=3,
    ),
)


def outcome(read: Any, data: Any) -> Any:
    """Return what a reader makes of data, NaN and the kinds of numbers included, or what it says."""
    try:
        record = read(data)
    except ValueError as error:
        return str(error)
    assert isinstance(record, EpochRecord)
    return repr(record), list(record.metrics)


def never(data: Any) -> EpochRecord:
    raise AssertionError(f"{data} went to the slow reader")


@given(
    changes=st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), ANYTHING, max_size=2),
    left_out=st.sets(st.sampled_from(FIELDS), max_size=1),
)
def test_any_record_is_read_or_refused_as_the_slow_reader_does(changes: dict[str, Any], left_out: set[str]) -> None:
    data = {name: value for name, value in {**USUAL, **changes}.items() if name not in left_out}
    before = json.dumps(data)
    assert outcome(journal._read_record, data) == outcome(read_record_slowly, data)
    assert json.dumps(data) == before


@pytest.mark.parametrize("name", ["epoch", "fold", "steps", "repeat"])
def test_the_limits_of_whole_numbers_are_those_of_the_slow_reader(name: str) -> None:
    for limit in LIMITS[name]:
        for value in (limit - 1, limit, limit + 1):
            data = {**USUAL, name: value}
            assert outcome(journal._read_record, data) == outcome(read_record_slowly, data)


@pytest.mark.parametrize("data", [None, [], "x", 1, {}, {"epoch": 1}])
def test_what_is_no_record_is_refused_in_the_same_words(data: Any) -> None:
    assert outcome(journal._read_record, data) == outcome(read_record_slowly, data)


def test_a_line_as_the_driver_writes_it_needs_no_slow_reading() -> None:
    read = record_reader(LIMITS, never)
    records = (
        EpochRecord(
            1, 0, {"train_loss": 1.0, "train_accuracy": 0.1, "val_loss": 1e300, "val_accuracy": 0.0}, 7, 0.1, 0.2
        ),
        EpochRecord(2, 3, {"train_loss": 0.5, "train_rmse": 0.1, "train_r2": -2.0, "val_mae": 0.1}, 7, 0.0, 1.0, 2),
        EpochRecord(3, 0, {"val_roc_auc": 0.5}, 0, 0.1, 0.2),
    )
    line = to_line(Trained(0, records, "here", 650), 1, time.time())
    assert tuple(read(data) for data in json.loads(line)["epochs"]) == records
    with pytest.raises(AssertionError):
        read({**USUAL, "metrics": {"val_loss": "nan"}})


def test_a_line_with_unusual_records_among_usual_ones_is_read() -> None:
    metrics = [{"val_loss": value} for value in (0.5, math.inf, 1.0, math.nan, -math.inf)]
    records = tuple(EpochRecord(epoch, 0, one, 1, 0.1, 0.1) for epoch, one in enumerate(metrics, start=1))
    read = from_line(to_line(Trained(0, records, "here", 1), 1, time.time())[:-1]).event
    assert isinstance(read, Trained)
    assert repr(read.epochs) == repr(records)


@given(st.dictionaries(st.sampled_from(["val_loss", "val_r2"]), st.floats(), min_size=1))
def test_the_mean_of_one_record_is_that_of_two_that_are_equal(metrics: dict[str, float]) -> None:
    record = EpochRecord(1, 0, metrics, 1, 0.1, 0.1)
    one = mean_metrics([record])
    assert repr(one) == repr({name: math.fsum([value]) for name, value in metrics.items()})
    assert list(one) == list(metrics)
    assert one is not metrics
