"""Tests of the file of outcomes: it gives back what was written, is small, and survives damage."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tune_mlp.errors import RunFolderError
from tune_mlp.results.outcomes import Outcomes, from_line, read_outcomes, to_line
from tune_mlp.results.sealed_lines import sealed, unsealed
from tune_mlp.runs.outcomes_writer import OutcomesWriter

RNG = np.random.default_rng(0)
RIGHT = Outcomes(3, RNG.random((1, 13)) < 0.8)
ERRORS = Outcomes(2, RNG.normal(0, [1e-3, 1e6], (2, 7, 2)).astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (1, 13), (3, 1000)])
def test_which_samples_were_right_is_read_back_to_the_bit(shape: tuple[int, int]) -> None:
    outcomes = Outcomes(7, RNG.random(shape) < 0.7)
    trial, read = from_line(to_line(5, outcomes)[:-1])
    assert (trial, read.epoch) == (5, 7)
    assert read.values.dtype == np.bool_
    assert np.array_equal(read.values, outcomes.values)


def test_errors_are_read_back_within_a_thousandth_whatever_the_unit_of_their_target() -> None:
    _, read = from_line(to_line(0, ERRORS)[:-1])
    assert read.values.dtype == np.float32
    largest = np.abs(ERRORS.values).max(axis=(0, 1))
    assert np.all(np.abs(read.values - ERRORS.values) <= np.abs(ERRORS.values) * 5e-4 + largest * 1e-7)


def test_a_target_that_is_met_exactly_has_errors_of_0() -> None:
    _, read = from_line(to_line(0, Outcomes(1, np.zeros((1, 4, 1), np.float32)))[:-1])
    assert not read.values.any()


def test_a_trial_on_mnist_takes_a_kilobyte_and_a_half_at_most() -> None:
    """The validation part has 12,000 samples."""
    for accuracy, most in ((0.98, 600), (0.9, 1400)):
        assert len(to_line(123, Outcomes(10, RNG.random((1, 12_000)) < accuracy))) < most


def test_of_several_lines_for_a_trial_the_last_counts_and_one_that_was_cut_off_does_not(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(
        to_line(1, RIGHT) + to_line(0, RIGHT) + to_line(1, Outcomes(9, ~RIGHT.values)) + to_line(0, ERRORS)[:-30]
    )
    read = read_outcomes(path)
    assert read.notes == ()
    assert {trial: outcomes.epoch for trial, outcomes in read.trials.items()} == {1: 9, 0: 3}


def test_the_writer_removes_what_was_cut_off_and_appends_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    first = OutcomesWriter(path)
    first.append(to_line(0, RIGHT))
    first.append(to_line(1, RIGHT))
    path.write_bytes(path.read_bytes() + b"x" * 100_000)
    second = OutcomesWriter(path)
    second.append(to_line(2, RIGHT))
    assert list(read_outcomes(path).trials) == [0, 1, 2]
    path.write_bytes(to_line(0, RIGHT)[:-5])
    OutcomesWriter(path).append(to_line(4, RIGHT))
    assert list(read_outcomes(path).trials) == [4]


def changed(outcomes: Outcomes = RIGHT, **fields: Any) -> bytes:
    """Return a line with other fields and a checksum that fits."""
    return sealed({**unsealed(to_line(0, outcomes)[:-1]), **fields})


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (to_line(0, RIGHT).replace(b'"epoch":3', b'"epoch":4'), "the checksum doesn't fit"),
        (b"\n", "the checksum doesn't fit"),
        (changed(trial=-1), "trial: must be a whole number"),
        (changed(trial=True), "trial: must be a whole number"),
        (changed(epoch=0), "epoch: must be a whole number"),
        (changed(task="ranking"), "task: must be classification or regression"),
        (changed(shape=[13]), "shape: must be a list of seeds, samples"),
        (changed(shape=[1, 0]), "shape: must be whole numbers"),
        (changed(shape=[10**5, 10**5]), "shape: must be whole numbers whose product"),
        (changed(shape=[1, 12]), "shape: must be (1, 13) as before, got (1, 12)"),
        (changed(shape=[1, 99]), "data: must be 13 bytes, got 2"),
        (changed(data="####"), "data: can't be unpacked"),
        (changed(data=packed(bytes(10**6))), "data: must be 2 bytes, got more"),
        (changed(data=5), "data: can't be unpacked"),
        (changed(ERRORS, scale=[1.0]), "scale: must be a number above 0 for each of 2 targets"),
        (changed(ERRORS, scale=[1.0, -1.0]), "scale: must be a number above 0"),
        (changed(ERRORS, scale=[1e300, 1.0]), "data: an error isn't finite"),
        (changed(ERRORS), "shape: must be (1, 13) as before"),
    ],
)
def test_a_damaged_line_is_left_out_and_noted(line: bytes, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(to_line(7, RIGHT) + line + to_line(8, RIGHT))
    read = read_outcomes(path)
    assert list(read.trials) == [7, 8]
    (note,) = read.notes
    assert note.startswith(f"{path}:2 was left out: {rule}")
    assert "\n" not in note


def test_noise_and_deep_nesting_are_noted_too(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(RNG.bytes(5000) + b"\n" + b"[" * 100_000 + b"\n" + json.dumps([1]).encode() + b"\n")
    read = read_outcomes(path)
    assert read.trials == {}
    assert len(read.notes) >= 3


def test_what_is_no_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="can't read the outcomes: No such file"):
        read_outcomes(tmp_path / "outcomes.jsonl")


def test_a_pipe_in_the_place_of_the_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "outcomes.jsonl")
    with pytest.raises(RunFolderError, match="can't read the outcomes: a pipe, where a regular file is needed"):
        read_outcomes(tmp_path / "outcomes.jsonl")
