"""The functions that choose a value for each parameter of a draw: at random by a seed, by grid, or by Optuna."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from tune_mlp.seeds import derive
from tune_mlp.space.domains import Choice, Domain, Grid, Int, Log, LogInt, Uniform, Value
from tune_mlp.space.space import EXPERIMENT, Choose, Params, Space, resolve

Quantile = Callable[[str], float]
"""A function that returns the quantile, in [0, 1), of the parameter at a path."""
Fixed = Callable[[str, Domain], Value | None]
"""A function that returns the value of the parameter at a path where it isn't to be drawn, else None."""


def random_chooser(seed: int, trial: int, quantile: Quantile | None = None) -> Choose:
    """Return the chooser of a random search's trial.

    Each parameter has random numbers of its own, so that a parameter that is added to a study leaves the draws of the others
    as they were. A `grid` is visited in turn: trial i takes the i-th combination of all grids' values, and then they repeat.
    In half of the trials, chosen at random, each parameter that has a prior is drawn near it. `quantile` replaces the random
    numbers.
    """
    turn = trial
    near = derive(seed, "near", trial) % 2 == 1

    def random(path: str) -> float:
        return (derive(seed, "draw", trial, path) >> 10) / 2**53

    def choose(path: str, domain: Domain) -> Value:
        nonlocal turn
        if isinstance(domain, Grid):
            values = domain.values()
            turn, index = divmod(turn, len(values))
            return values[index]
        u = (quantile or random)(path)
        return domain.near(u) if near and domain.prior is not None else domain.at(u)

    return choose


def with_fixed(fixed: Fixed, otherwise: Choose) -> Choose:
    """Return the chooser that takes the values that are fixed, and chooses the others."""

    def choose(path: str, domain: Domain) -> Value:
        value = fixed(path, domain)
        return otherwise(path, domain) if value is None else value

    return choose


def grid_draws(space: Space, first: Sequence[Fixed] = ()) -> Iterator[Params]:
    """Yield every draw of a finite space once; for each of `first` one of the draws with its values comes before all others."""
    early: list[Params] = []
    for fixed in first:
        early += islice((params for params in _odometer(space, fixed) if params not in early), 1)
    yield from early
    yield from (params for params in _odometer(space) if params not in early)


def _odometer(space: Space, fixed: Fixed = lambda path, domain: None) -> Iterator[Params]:
    """Yield every draw with the fixed values, in an order in which the last parameter changes fastest.

    It works like an odometer over the decisions of a draw, not like a product over parameters, so that branches and lengths
    need no special case: repeat the decisions up to the last one that has a next value, take that value, and choose the
    first values after it.
    """
    digits: list[int] = []
    while True:
        sizes: list[int] = []

        def choose(path: str, domain: Domain, digits: list[int] = digits, sizes: list[int] = sizes) -> Value:
            value = fixed(path, domain)
            values = domain.values() if value is None else (value,)
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
        value = drawn(params, path)
        if isinstance(domain, Choice):
            values[path] = next(i for i, one in enumerate(domain.choice) if (type(one), one) == (type(value), value))
        elif isinstance(domain, Int | LogInt) or (isinstance(domain, Uniform | Log) and domain.step is None):
            values[path] = value
        else:
            values[path] = domain.quantile(value)
        return value

    resolve(space, choose)
    return values


def drawn(params: Params, path: str) -> Value:
    """Return the value in a draw that belongs to the path that a chooser is asked for."""
    if path.startswith(f"{EXPERIMENT}."):
        path = path.split(".", 2)[2]
    if path in params:
        return params[path]
    name, _, place = path.rpartition(".")
    items = cast(tuple[Value, ...], params[name])
    return len(items) if place == "length" else items[int(place)]


SUGGEST: dict[type[Domain], Any] = {
    Choice: lambda trial, path, domain: domain.choice[trial.suggest_categorical(path, list(range(len(domain.choice))))],
    Grid: lambda trial, path, domain: domain.choice[trial.suggest_int(path, 0, len(domain.choice) - 1)],
    Uniform: lambda trial, path, domain: trial.suggest_float(path, *domain.ends),
    Log: lambda trial, path, domain: trial.suggest_float(path, *domain.ends, log=True),
    Int: lambda trial, path, domain: trial.suggest_int(path, domain.ends[0], domain.last, step=domain.step),
    LogInt: lambda trial, path, domain: trial.suggest_int(path, *domain.ends, log=True),
}
