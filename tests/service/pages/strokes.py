"""Digits as strokes of a pen, in shares of a square, for tests that draw."""

from __future__ import annotations

import math
from typing import Any

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


def digit(name: str, size: float = 1.0, middle: tuple[float, float] = (0.5, 0.5)) -> list[Stroke]:
    """Return a digit's strokes in another size and at another place."""
    return [
        [(middle[0] + size * (x - 0.5), middle[1] + size * (y - 0.5)) for x, y in stroke] for stroke in DIGITS[name]
    ]


def draw(page: Any, name: str, size: float = 1.0, middle: tuple[float, float] = (0.5, 0.5)) -> None:
    """Draw a digit with the mouse on the page that asks the best model."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for stroke in digit(name, size, middle):
        for place, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if place == 0:
                page.mouse.down()
        page.mouse.up()
