"""The functions that choose a value for each parameter of a draw: at random by a seed, by grid, or by Optuna."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, cast

from tune_mlp.seeds import derive
from tune_mlp.space.domains import Choice, Domain, Grid, Int, Log, LogInt, Uniform, Value
from tune_mlp.space.space import EXPERIMENT, Choose, Params, Space, resolve


def random_chooser(seed: int, trial: int) -> Choose:
    """Return the chooser of a random search's trial.

    Each parameter has random numbers of its own, so that a parameter that is added to a study leaves the draws of the others
    as they were. A `grid` is visited in turn: trial i takes the i-th combination of all grids' values, and then they repeat.
    """
    turn = trial

    def choose(path: str, domain: Domain) -> Value:
        nonlocal turn
        if isinstance(domain, Grid):
            values = domain.values()
            turn, index = divmod(turn, len(values))
            return values[index]
        return domain.at((derive(seed, "draw", trial, path) >> 10) / 2**53)

    return choose


def grid_draws(space: Space) -> Iterator[Params]:
    """Yield every draw of a finite space, in an order in which the last parameter changes fastest.

    It works like an odometer over the decisions of a draw, not like a product over parameters, so that branches and lengths
    need no special case: repeat the decisions up to the last one that has a next value, take that value, and choose the
    first values after it.
    """
    digits: list[int] = []
    while True:
        sizes: list[int] = []

        def choose(path: str, domain: Domain, digits: list[int] = digits, sizes: list[int] = sizes) -> Value:
            values = domain.values()
            assert values is not None, f"{path} is no finite domain"
            if len(sizes) == len(digits):
                digits.append(0)
            sizes.append(len(values))
            return values[digits[len(sizes) - 1]]

        yield resolve(space, choose)
        while digits and digits[-1] + 1 == sizes[len(digits) - 1]:
            digits.pop()
        if not digits:
            return
        digits[-1] += 1


def optuna_chooser(trial: Any) -> Choose:
    """Return the chooser that asks an Optuna trial for each value; for a distribution that Optuna lacks, it asks for a quantile."""

    def choose(path: str, domain: Domain) -> Value:
        suggest = SUGGEST.get(type(domain))
        if suggest is None or (isinstance(domain, Uniform | Log) and domain.step is not None):
            return domain.at(trial.suggest_float(path, 0.0, 1.0))
        answer: Value = suggest(trial, path, domain)
        return answer

    return choose


def asked_values(space: Space, params: Params) -> dict[str, Any]:
    """Return the values that Optuna must have suggested for a draw; this inverts `optuna_chooser`."""
    values: dict[str, Any] = {}

    def choose(path: str, domain: Domain) -> Value:
        value = _drawn(params, path)
        if isinstance(domain, Choice):
            values[path] = next(i for i, one in enumerate(domain.choice) if (type(one), one) == (type(value), value))
        elif isinstance(domain, Int | LogInt) or (isinstance(domain, Uniform | Log) and domain.step is None):
            values[path] = value
        else:
            values[path] = _quantile(domain, value)
        return value

    resolve(space, choose)
    return values


def _drawn(params: Params, path: str) -> Value:
    """Return the value in a draw that belongs to the path that a chooser is asked for."""
    if path.startswith(f"{EXPERIMENT}."):
        path = path.split(".", 2)[2]
    if path in params:
        return params[path]
    name, _, place = path.rpartition(".")
    items = cast(tuple[Value, ...], params[name])
    return len(items) if place == "length" else items[int(place)]


def _quantile(domain: Domain, value: Any) -> float:
    """Return the middle of the interval that `at` maps to a value; `at` never decreases, so bisection finds both ends."""
    ends = []
    for beyond in (operator.ge, operator.gt):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if beyond(domain.at(middle), value) else (middle, high)
        ends.append(high)
    return sum(ends) / 2


SUGGEST: dict[type[Domain], Any] = {
    Choice: lambda trial, path, domain: domain.choice[trial.suggest_categorical(path, list(range(len(domain.choice))))],
    Grid: lambda trial, path, domain: domain.choice[trial.suggest_int(path, 0, len(domain.choice) - 1)],
    Uniform: lambda trial, path, domain: trial.suggest_float(path, *domain.ends),
    Log: lambda trial, path, domain: trial.suggest_float(path, *domain.ends, log=True),
    Int: lambda trial, path, domain: trial.suggest_int(path, domain.ends[0], domain.last, step=domain.step),
    LogInt: lambda trial, path, domain: trial.suggest_int(path, *domain.ends, log=True),
}
