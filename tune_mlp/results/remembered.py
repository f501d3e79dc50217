"""Answers that are remembered with their results: a report, a summary and several charts ask for the same ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tune_mlp.results.results import Results

P = ParamSpec("P")
T = TypeVar("T")


def remembered(work: Callable[Concatenate[Results, P], T]) -> Callable[Concatenate[Results, P], T]:
    """Let a function of results keep what it returns, for each set of further arguments, as long as the results live.

    What it returns must neither be changed by anyone nor hold the results.
    """
    known: WeakKeyDictionary[Results, dict[str, T]] = WeakKeyDictionary()
    signature = inspect.signature(work)

    @wraps(work)
    def found(results: Results, /, *args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature.bind(results, *args, **kwargs)
        bound.apply_defaults()
        key = str(list(bound.arguments.values())[1:])  # numbers and lists of numbers, which have no hash
        answers = known.setdefault(results, {})
        if key not in answers:
            answers[key] = work(results, *args, **kwargs)
        return answers[key]

    return found
