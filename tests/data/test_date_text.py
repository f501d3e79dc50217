"""Dates and times of day that are written as text are read in the one form that fits all of them, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from tune_mlp.data.date_text import AmbiguousDates, read_dates, read_dates_as

DAY = "2024-01-31"


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024/01/31", "2024-01-31"),
        ("2024-01", "2024-01-01"),
        ("31.01.2024", "2024-01-31"),
        ("31.1.24", "2024-01-31"),
        ("31/01/2024", "2024-01-31"),
        ("01/31/2024", "2024-01-31"),
        ("31 Jan 2024", "2024-01-31"),
        ("1 January 2024", "2024-01-01"),
        ("31-Jan-24", "2024-01-31"),
        ("Jan 31, 2024", "2024-01-31"),
        ("Jan 2024", "2024-01-01"),
        ("2024-01-31 07:30", "2024-01-31T07:30"),
        ("2024-01-31T07:30:15", "2024-01-31T07:30:15"),
        ("2024-01-31T07:30:15Z", "2024-01-31T07:30:15"),
        ("2024-01-31 07:30:15+02:00", "2024-01-31T05:30:15"),
        ("31.01.2024 07:30", "2024-01-31T07:30"),
        ("01/31/2024 7:30 PM", "2024-01-31T19:30"),
        ("0001-01-01", "0001-01-01"),
    ],
)
def test_dates_are_read(text: str, when: str) -> None:
    read = read_dates([text])
    assert not isinstance(read, AmbiguousDates)
    assert read is not None
    assert not read.time_of_day
    assert read.values[0] == np.datetime64(when, "s")


@pytest.mark.parametrize(("text", "seconds"), [("07:30", 27000), ("07:30:15", 27015), ("7:30 pm", 70200)])
def test_times_of_day_are_read(text: str, seconds: int) -> None:
    read = read_dates([text])
    assert not isinstance(read, AmbiguousDates)
    assert read is not None
    assert read.time_of_day
    assert read.values[0] == np.datetime64(seconds, "s")


@pytest.mark.parametrize(
    "texts",
    [[], ["x"], ["3.5"], ["2024-13-01"], ["2024-01-31", "31.01.2024"], ["1.2.3"], ["12:61"], ["2024-01-31", "?"]],
)
def test_what_has_no_common_form_is_not_read(texts: list[str]) -> None:
    assert read_dates(texts) is None


def test_the_day_and_the_month_are_told_apart_by_one_that_is_above_twelve() -> None:
    assert read_dates(["01/02/2024", "03/04/2024"]) == AmbiguousDates("01/02/2024", ("%d/%m/%Y", "%m/%d/%Y"))
    read = read_dates(["01/02/2024", "13/02/2024"])
    assert not isinstance(read, AmbiguousDates)
    assert read is not None
    assert read.values[0] == np.datetime64("2024-02-01", "s")
    same = read_dates(["01/01/2024", "02/02/2024"])
    assert not isinstance(same, AmbiguousDates), "both forms give the same days"


def test_a_given_form_is_kept_to() -> None:
    given = read_dates_as(["01/02/2024"], "%m/%d/%Y")
    assert given is not None
    assert given[0] == np.datetime64("2024-01-02", "s")
    assert read_dates_as(["13/02/2024"], "%m/%d/%Y") is None
