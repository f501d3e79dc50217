"""Digits as strokes of a pen, in shares of a square, for tests that draw."""

from __future__ import annotations

import math

Stroke = list[tuple[float, float]]


def arc(x: float, y: float, rx: float, ry: float, first: float, last: float, steps: int = 24) -> Stroke:
    """Return a part of an ellipse; angles are in degrees from the right, clockwise."""
    turns = [math.radians(first + (last - first) * step / steps) for step in range(steps + 1)]
    return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]


DIGITS: dict[str, list[Stroke]] = {
    "0": [arc(0.5, 0.5, 0.2, 0.32, -90, 270)],
    "1": [[(0.42, 0.3), (0.52, 0.18), (0.52, 0.82)]],
    "2": [[*arc(0.5, 0.34, 0.18, 0.16, -170, 30), (0.34, 0.82), (0.7, 0.82)]],
    "3": [[*arc(0.48, 0.34, 0.18, 0.16, -150, 90), *arc(0.48, 0.66, 0.2, 0.17, -90, 150)]],
    "4": [[(0.48, 0.18), (0.28, 0.6), (0.74, 0.6)], [(0.6, 0.36), (0.6, 0.84)]],
    "7": [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.84)]],
}
