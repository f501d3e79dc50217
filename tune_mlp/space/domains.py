"""The domains that a parameter's values are drawn from, as they are written in a study file."""

from __future__ import annotations

import math
from decimal import Decimal
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from tune_mlp.config import Finite, Positive, Settings
from tune_mlp.space.faults import shown
from tune_mlp.space.near_prior import near_quantile, quantile_of

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]
"""The value of a parameter in a draw: a single value, or a tuple of them (widths)."""

MAX_VALUES = 10_000
LARGEST = 2**53
"""The largest whole number up to which all are exact as floats."""


def _plain(raw: Any) -> Any:
    if isinstance(raw, dict):
        raise ValueError(
            f"must be a plain value, got {shown(raw)}; options that own parameters are written {{choice: {{NAME: {{...}}}}}}"
        )
    if raw is None:
        raise ValueError("must be a value, got null")
    return raw


def _two(raw: Any) -> Any:
    if not isinstance(raw, list | tuple) or len(raw) != 2:
        raise ValueError(f"must be a list of two numbers, got {shown(raw)}")
    return raw


Pair = Annotated[tuple[Finite, Finite], Field(strict=False), BeforeValidator(_two)]
Whole = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
IntPair = Annotated[tuple[Whole, Whole], Field(strict=False), BeforeValidator(_two)]
Option = Annotated[Value, BeforeValidator(_plain)]
Options = Annotated[tuple[Option, ...], Field(strict=False, min_length=1, max_length=MAX_VALUES)]


class Domain(Settings):
    """A set of values with a probability distribution.

    `at` maps a uniform number in [0, 1) to a value, so that all domains are drawn from in one way, and a searcher that
    doesn't know a distribution can search its quantiles.
    """

    prior: Annotated[Value, BeforeValidator(_plain)] | None = None
    """The value that is believed to be good: it is tried first, and half of all random draws lie near it."""

    def at(self, u: float) -> Value:
        raise NotImplementedError

    def near(self, u: float) -> Value:
        """Map a uniform number in [0, 1) to a value near the prior."""
        assert self.prior is not None
        return self.at(near_quantile(self.quantile(self.prior), u))

    def find(self, value: Value) -> Value | None:
        """Return the value of this domain that equals `value`, in the domain's own type; None if it can't be drawn."""
        if (known := self.values()) is not None:
            return next(
                (one for one in known if one == value and isinstance(one, bool) == isinstance(value, bool)), None
            )
        low, high = self.extremes()
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:  # type: ignore[operator]
            return None
        return self._nearest_value(value)

    def _nearest_value(self, value: float) -> Value | None:
        """Return the own value that is `value`, a number between the ends; only domains whose values aren't listed are asked."""
        return float(value)

    def quantile(self, value: Value) -> float:
        """Return the middle of the interval that `at` maps to a number."""
        return quantile_of(self.at, value)

    def values(self) -> tuple[Value, ...] | None:
        """Return all values in order if a grid search can visit them, else None."""
        return None

    def extremes(self) -> tuple[Value, ...]:
        """Values of the domain such that all others are valid for a parameter if these are."""
        raise NotImplementedError


def _in_order(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, got low={low}, high={high}")


def _above_zero(low: float) -> None:
    if low <= 0:
        raise ValueError(f"low must be above 0 on a log scale, got low={low}")


def _pick(values: tuple[Value, ...], u: float) -> Value:
    return values[min(int(u * len(values)), len(values) - 1)]


class Choice(Domain):
    """One of a list of values, each with the same probability."""

    word: ClassVar[str] = "choice"
    choice: Options
    """The values."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _no_repeats(self.choice)
        return self

    def at(self, u: float) -> Value:
        return _pick(self.choice, u)

    def near(self, u: float) -> Value:
        """Map a uniform number to the prior in one half of its range, and in the other half to any of the values."""
        assert self.prior is not None
        return self.prior if u < 0.5 else _pick(self.choice, 2 * u - 1)

    def values(self) -> tuple[Value, ...]:
        return self.choice

    def extremes(self) -> tuple[Value, ...]:
        return self.choice


class Grid(Choice):
    """Values that are visited in turn: a grid search visits all of them, a random search takes the next one for each trial."""

    word: ClassVar[str] = "grid"
    choice: Options = Field(alias="grid")
    """The values, in the order in which they are visited."""

    @model_validator(mode="after")
    def _has_no_prior(self) -> Self:
        if self.prior is not None:
            raise ValueError("a grid is visited in turn, and has no prior; write choice")
        return self


def _no_repeats(values: tuple[Value, ...]) -> None:
    seen: set[tuple[type, Value]] = set()
    for value in values:
        if (type(value), value) in seen:
            raise ValueError(f"{shown(value)} is listed twice")
        seen.add((type(value), value))


class _Range(Domain):
    """Numbers between two ends, both included; with a step, only low, low + step, low + 2 step, ..."""

    step: Positive | None = None
    """The distance of neighbouring values."""

    @property
    def ends(self) -> tuple[float, float]:
        raise NotImplementedError

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        low, high = self.ends
        _in_order(low, high)
        if not math.isfinite(high - low):
            raise ValueError(f"low and high are too far apart, got low={low}, high={high}")
        if self.step is not None and self.step > high - low:
            raise ValueError(f"step must fit between low and high, got step={self.step}, low={low}, high={high}")
        if self.step is not None and self._count() > LARGEST:
            raise ValueError(f"step is too small for the range, got step={self.step}, low={low}, high={high}")
        return self

    def _count(self) -> int:
        low, high = map(_as_written, self.ends)
        return int((high - low) / _as_written(self.step)) + 1

    def _number(self, k: int) -> float:
        return float(_as_written(self.ends[0]) + k * _as_written(self.step))

    def _nearest(self, value: float) -> float:
        low, high = self.ends
        if self.step is None:
            return min(max(value, low), high)
        return self._number(min(max(round((value - low) / self.step), 0), self._count() - 1))

    def _nearest_value(self, value: float) -> Value | None:
        near = self._nearest(value)
        return near if math.isclose(near, value, rel_tol=1e-12) else None

    def values(self) -> tuple[Value, ...] | None:
        if self.step is None or self._count() > MAX_VALUES:
            return None
        return tuple(map(self._number, range(self._count())))

    def extremes(self) -> tuple[Value, ...]:
        low, high = self.ends
        return (low, high if self.step is None else self._number(self._count() - 1))


def _as_written(number: float | None) -> Decimal:
    """Return a number as the decimal that a person wrote, so that 0.1 + 2 * 0.1 is 0.3."""
    return Decimal(repr(number))


class Uniform(_Range):
    """Any number between two, with a uniform distribution."""

    uniform: Pair
    """The ends, [low, high]."""

    @property
    def ends(self) -> tuple[float, float]:
        return self.uniform

    def at(self, u: float) -> Value:
        low, high = self.ends
        if self.step is not None:
            return self._number(min(int(u * self._count()), self._count() - 1))
        return self._nearest(low + u * (high - low))


class Log(_Range):
    """Any number between two, with a uniform distribution of its logarithm."""

    log: Pair
    """The ends, [low, high], with low above 0."""

    @property
    def ends(self) -> tuple[float, float]:
        _above_zero(self.log[0])
        return self.log

    def at(self, u: float) -> Value:
        low, high = self.ends
        return self._nearest(math.exp(math.log(low) + u * (math.log(high) - math.log(low))))


class _Whole(Domain):
    """Whole numbers between two, both included."""

    @property
    def ends(self) -> tuple[int, int]:
        raise NotImplementedError

    def extremes(self) -> tuple[Value, ...]:
        return self.ends

    def _nearest_value(self, value: float) -> Value | None:
        return int(value) if (value - self.ends[0]) % getattr(self, "step", 1) == 0 else None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _in_order(*self.ends)
        return self


class Int(_Whole):
    """Whole numbers between two, both included, each with the same probability."""

    int_: IntPair = Field(alias="int")
    """The ends, [low, high]."""
    step: Annotated[int, Field(ge=1, le=LARGEST)] = 1
    """The distance of neighbouring values."""

    @model_validator(mode="after")
    def _step_fits(self) -> Self:
        low, high = self.ends
        if self.step > high - low:
            raise ValueError(f"step must fit between low and high, got step={self.step}, low={low}, high={high}")
        return self

    @property
    def ends(self) -> tuple[int, int]:
        return self.int_

    def extremes(self) -> tuple[Value, ...]:
        return (self.ends[0], self.last)

    @property
    def last(self) -> int:
        """The largest value that the steps from low reach."""
        return self._all()[-1]

    def _all(self) -> range:
        low, high = self.ends
        return range(low, high + 1, self.step)

    def at(self, u: float) -> Value:
        numbers = self._all()
        return numbers[min(int(u * len(numbers)), len(numbers) - 1)]

    def values(self) -> tuple[Value, ...] | None:
        return tuple(self._all()) if len(self._all()) <= MAX_VALUES else None


class LogInt(_Whole):
    """Whole numbers between two, both included, with a uniform distribution of their logarithm."""

    log_int: IntPair
    """The ends, [low, high], with low at least 1."""

    @property
    def ends(self) -> tuple[int, int]:
        _above_zero(self.log_int[0])
        return self.log_int

    def at(self, u: float) -> Value:
        # Half a number beyond each end, which would else be half as likely as the numbers beside it.
        low, high = math.log(self.ends[0] - 0.5), math.log(self.ends[1] + 0.5)
        return min(max(round(math.exp(low + u * (high - low))), self.ends[0]), self.ends[1])

    def values(self) -> tuple[Value, ...] | None:
        low, high = self.ends
        return tuple(range(low, high + 1)) if high - low < MAX_VALUES else None


FARTHEST = 1e15


class Normal(Domain):
    """A normal distribution, truncated at low and high where they are given, and rounded if asked for."""

    normal: Pair
    """The parameters, [mean, standard deviation]."""
    low: Finite | None = None
    """The lowest value that is drawn."""
    high: Finite | None = None
    """The highest value that is drawn."""
    round: bool = False
    """Round each value to the nearest whole number."""

    @model_validator(mode="after")
    def _is_a_law(self) -> Self:
        if self.normal[1] <= 0:
            raise ValueError(f"the standard deviation must be above 0, got {self.normal[1]}")
        if not abs(self.normal[0]) + self.normal[1] < FARTHEST:
            raise ValueError(f"mean and standard deviation are too large, got {shown(self.normal)}")
        if self.low is not None and self.high is not None:
            _in_order(self.low, self.high)
        start, end = self._mass()
        if not end - start > 1e-9:
            raise ValueError(
                f"low and high leave almost nothing of the distribution, got low={self.low}, high={self.high}"
            )
        if self.round and self._whole_ends()[0] > self._whole_ends()[1]:
            raise ValueError(f"no whole number lies between low and high, got low={self.low}, high={self.high}")
        return self

    def _mass(self) -> tuple[float, float]:
        law = NormalDist(*self.normal)
        return (
            0.0 if self.low is None else law.cdf(self.low),
            1.0 if self.high is None else law.cdf(self.high),
        )

    def _whole_ends(self) -> tuple[float, float]:
        return (
            -math.inf if self.low is None else math.ceil(self.low),
            math.inf if self.high is None else math.floor(self.high),
        )

    def at(self, u: float) -> Value:
        start, end = self._mass()
        share = min(max(start + u * (end - start), 1e-12), 1 - 1e-12)
        drawn = NormalDist(*self.normal).inv_cdf(share)
        if self.round:
            low, high = self._whole_ends()
            return int(min(max(round(drawn), low), high))
        return min(
            max(drawn, -math.inf if self.low is None else self.low), math.inf if self.high is None else self.high
        )

    def extremes(self) -> tuple[Value, ...]:
        return (self.at(0.0), self.at(1.0))

    def _nearest_value(self, value: float) -> Value | None:
        return (int(value) if float(value).is_integer() else None) if self.round else float(value)


DOMAINS: dict[str, type[Domain]] = {
    "choice": Choice,
    "grid": Grid,
    "uniform": Uniform,
    "log": Log,
    "int": Int,
    "log_int": LogInt,
    "normal": Normal,
}
"""The domains by the words for them in a study file."""


def as_value(raw: Any) -> Any:
    """Turn lists into tuples, so that a value can be hashed and compared."""
    return tuple(as_value(item) for item in raw) if isinstance(raw, list | tuple) else raw
