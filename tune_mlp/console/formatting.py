"""Short forms of parameters, metrics, counts and times for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def described(params: Mapping[str, Any]) -> str:
    """Write a trial's parameters in a few words: `lr 0.00123, batch_size 32, optimizer sgd, momentum 0.9`."""
    return ", ".join(f"{path.split('.')[-1]} {shown(value)}" for path, value in params.items())


def shown(value: Any) -> str:
    """Write a value; a float gets three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(list(value) if isinstance(value, tuple) else value)


def score(metric: str, value: float) -> str:
    """Write a share, such as an accuracy, with four decimals, and any other metric with four significant digits."""
    return f"{value:.4f}" if metric.endswith(("accuracy", "f1", "auc")) else f"{value:.4g}"


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 epoch`, `2 epochs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clock(seconds: float) -> str:
    """Write seconds as 1:05 or 1:02:33."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def estimate_said(estimated: Mapping[str, Any], metric: str) -> str:
    """Say in a sentence what the search estimated that more trials would bring, and what follows from it."""
    trials, gain, low, small = (estimated[name] for name in ("trials", "gain", "low", "small"))
    high = max(estimated["high"], estimated["latest"])
    what = f"after {trials:,} trials, as many again would bring about {gain:.2g} ({low:.2g} to {high:.2g}) in {metric}"
    if estimated["ends"]:
        return f"the search ends on a plateau: {what}, less than the {small:.2g} called small"
    return f"no plateau so far: {what}, where {small:.2g} is called small"
