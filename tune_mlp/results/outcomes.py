"""Outcomes, outcomes.jsonl: what became of each validation sample in a trial's best epoch, so that trials can be compared sample by sample.

The file has a checksummed line for each trial that has ended and may be best. Its members are `trial`, `epoch` (the best one), `task`,
`shape`, `data` and `crc` (the CRC-32 of the object without this last member). `data` is base64 of zlib-compressed numbers, in the order of
`shape`: seeds, then the samples in the dataset's order, of k folds each sample once, and in regression the targets.

- Classification has a bit for each: 1 if the class was found. The first of 8 is a byte's highest bit, and the last byte is filled with 0.
- Regression has the error (predicted less wanted) as a little-endian float16. `scale` has a number for each target; an error times its
  target's scale is in the target's own unit.

Of several lines for one trial the last counts. Text after the last newline is a write that was cut short, and is left out.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.errors import RunFolderError
from tune_mlp.regular_files import read_regular
from tune_mlp.results.sealed_lines import sealed, unsealed

OUTCOMES = "outcomes.jsonl"
MOST_BYTES = 4 * 10**9
"""The largest size of the file that is read."""
MOST_VALUES = 10**8
"""The largest number of values of one trial, so that a few bytes can't fill the memory."""
MOST_TRIAL = 10**9


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of each validation sample in the best epoch of one trial."""

    epoch: int
    values: NDArray[Any]
    """bool [seeds, samples], whether the class was found; or float32 errors [seeds, samples, targets] in the targets' own units."""


class OutcomesOfTrials(NamedTuple):
    """What a file of outcomes says."""

    trials: dict[int, Outcomes]
    notes: tuple[str, ...]
    """A sentence for each line that couldn't be read, and for a file without a whole line."""


def to_line(trial: int, outcomes: Outcomes) -> bytes:
    """Return a trial's outcomes as a line with its newline."""
    values = outcomes.values
    fields: dict[str, Any] = {"trial": trial, "epoch": outcomes.epoch}
    if values.dtype == np.bool_:
        fields |= {"task": "classification", "shape": values.shape}
        packed = np.packbits(values)
    else:
        # Scaled, since float16 reaches no further than 65504.
        largest = np.abs(values).max(axis=(0, 1), initial=0.0).astype(np.float64)
        scale = np.where(largest > 0, largest, 1.0)
        fields |= {"task": "regression", "shape": values.shape, "scale": scale.tolist()}
        packed = (values / scale).astype("<f2")
    return sealed(fields | {"data": base64.b64encode(zlib.compress(packed.tobytes())).decode()})


def from_line(line: bytes) -> tuple[int, Outcomes]:
    """Read a whole line without its newline; a ValueError says what is wrong with it."""
    data = unsealed(line)
    trial, epoch = _whole(data, "trial", 0, MOST_TRIAL), _whole(data, "epoch", 1, 10**9)
    task = data.get("task")
    if task not in ("classification", "regression"):
        raise ValueError(f"task: must be classification or regression, got {task!r:.40}")
    shape = data.get("shape")
    if not (isinstance(shape, list) and len(shape) == (2 if task == "classification" else 3)):
        raise ValueError(f"shape: must be a list of seeds, samples and, in regression, targets, got {shape!r:.40}")
    if not all(type(side) is int and side > 0 for side in shape) or (count := math.prod(shape)) > MOST_VALUES:
        raise ValueError(f"shape: must be whole numbers whose product is 1 to {MOST_VALUES}, got {shape!r:.60}")
    if task == "classification":
        bits = np.frombuffer(_unpacked(data, -(-count // 8)), np.uint8)
        return trial, Outcomes(epoch, np.unpackbits(bits, count=count).astype(np.bool_).reshape(shape))
    scaled = np.frombuffer(_unpacked(data, 2 * count), "<f2").reshape(shape).astype(np.float32)
    with np.errstate(over="ignore"):
        errors = (scaled * _scale(data, shape[2])).astype(np.float32)
    if not np.isfinite(errors).all():
        raise ValueError("data: an error isn't finite")
    return trial, Outcomes(epoch, errors)


def read_outcomes(path: Path) -> OutcomesOfTrials:
    """Read the outcomes of all trials. A line that is damaged, or doesn't fit the other lines, is left out and noted."""
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise RunFolderError(f"{path}: can't read the outcomes: {error.strerror or error}") from None
    found: dict[int, Outcomes] = {}
    notes: list[str] = []
    first: Outcomes | None = None
    *lines, cut_off = content.split(b"\n")
    if cut_off and not lines:
        notes.append(f"{path} has no whole line: its first one is being written, was cut off or is damaged")
    for number, line in enumerate(lines, start=1):
        try:
            trial, outcomes = from_line(line)
            first = first or outcomes
            if (outcomes.values.shape, outcomes.values.dtype) != (first.values.shape, first.values.dtype):
                raise ValueError(f"shape: must be {first.values.shape} as before, got {outcomes.values.shape}")
        except (ValueError, OverflowError) as error:
            notes.append(f"{path}:{number} was left out: {' '.join(str(error).split())}")
            continue
        found[trial] = outcomes
    return OutcomesOfTrials(found, tuple(notes))


def _whole(data: dict[str, Any], name: str, low: int, high: int) -> int:
    value = data.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name}: must be a whole number from {low} to {high}, got {value!r:.40}")
    return value


def _scale(data: dict[str, Any], targets: int) -> NDArray[np.float64]:
    scale = data.get("scale")
    if (
        not isinstance(scale, list)
        or len(scale) != targets
        or not all(type(factor) in (int, float) and factor > 0 for factor in scale)
    ):
        raise ValueError(f"scale: must be a number above 0 for each of {targets} targets, got {scale!r:.40}")
    return np.array(scale, np.float64)


def _unpacked(data: dict[str, Any], size: int) -> bytes:
    """Return the numbers of a line as bytes; there must be exactly `size`, and no more are unpacked."""
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(base64.b64decode(str(data.get("data")), validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise ValueError(f"data: can't be unpacked: {error}") from None
    if len(content) != size:
        raise ValueError(f"data: must be {size} bytes, got {'more' if len(content) > size else len(content)}")
    return content
