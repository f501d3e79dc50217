"""Arrays as pictures: grey samples, signed weights, mosaics of many, and a sample beside its softmax, written as PNG by Pillow.

What lies between the parts is transparent, and text is of a grey that can be read on a light and on a dark page.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

Rgba = NDArray[np.uint8]
"""[height, width, 4]"""

INK, BAR = (125, 133, 144, 255), (59, 155, 212, 255)
LOW, MIDDLE, HIGH = (0, 114, 178), (244, 244, 244), (213, 94, 0)
SIDE = 112
"""The height to which small pictures are enlarged."""
GAP = 2
ALPHA = 255


def as_picture(values: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Return a flat sample as [height, width] or, in colours, [height, width, 3]; other channels are averaged."""
    picture = values.reshape(tuple(shape))
    if picture.ndim == 3 and picture.shape[2] != 3:
        picture = picture.mean(axis=2)
    found: NDArray[np.float64] = np.asarray(picture, np.float64)
    return found


def grey(values: NDArray[np.float64], low: float, high: float) -> Rgba:
    """Return values as grey, black at `low` and white at `high`; a picture in colours keeps them."""
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    colour = share if share.ndim == 3 else np.repeat(share[:, :, None], 3, axis=2)
    return _opaque(np.rint(255 * colour))


def signed(values: NDArray[np.float64], most: float = 0.0) -> Rgba:
    """Return values as colours: blue below zero, nearly white at zero, orange above; the colours end at ±`most`."""
    flat = values.mean(axis=2) if values.ndim == 3 else values
    most = most or float(np.abs(flat).max())
    share = np.clip(flat / most, -1, 1)[:, :, None] if most else np.zeros((*flat.shape, 1))
    middle = np.array(MIDDLE, float)
    end = np.where(share < 0, np.array(LOW, float), np.array(HIGH, float))
    return _opaque(np.rint(middle + np.abs(share) * (end - middle)))


def _opaque(colour: NDArray[np.float64]) -> Rgba:
    alpha = np.full((*colour.shape[:2], 1), ALPHA)
    return np.concatenate([colour, alpha], axis=2).astype(np.uint8)


def enlarged(picture: Rgba, height: int = SIDE) -> Rgba:
    """Return a picture with whole, even pixels, at least as high as `height`."""
    factor = max(1, math.ceil(height / picture.shape[0]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def mosaic(parts: Sequence[Rgba], columns: int = 0, gap: int = GAP) -> Rgba:
    """Return pictures of one size side by side, in rows of so many columns, or as a square."""
    columns = columns or math.ceil(math.sqrt(len(parts)))
    height, width = parts[0].shape[:2]
    rows = math.ceil(len(parts) / columns)
    whole = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for number, part in enumerate(parts):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        whole[top : top + height, left : left + width] = part
    return whole


def side_by_side(parts: Sequence[Rgba], gap: int = 12) -> Rgba:
    """Return pictures of any size in a row, in the middle of its height."""
    height = max(part.shape[0] for part in parts)
    whole = np.zeros((height, sum(part.shape[1] for part in parts) + gap * (len(parts) - 1), 4), np.uint8)
    left = 0
    for part in parts:
        top = (height - part.shape[0]) // 2
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        left += part.shape[1] + gap
    return whole


def units(values: NDArray[np.float64], most: float) -> Rgba:
    """Return the activations of a dense layer as a block of squares, [units] row by row."""
    columns = math.ceil(math.sqrt(len(values)))
    rows = math.ceil(len(values) / columns)
    block = np.zeros((rows * columns,))
    block[: len(values)] = values
    square = block.reshape(rows, columns)
    picture = signed(square, most) if values.min() < 0 else grey(square, 0.0, most)
    picture.reshape(-1, 4)[len(values) :] = 0
    return enlarged(picture)


def softmax_bars(names: Sequence[str], shares: NDArray[np.float64], wanted: int, found: int) -> Rgba:
    """Return a bar for each class with its name. The bar of the right class is grey, that of the answer is orange."""
    font = ImageFont.load_default(size=11)
    shown = list(range(len(names))) if len(names) <= 10 else sorted(np.argsort(-shares)[:6].tolist())
    if wanted not in shown:
        shown = [*shown[:-1], wanted]
    line, texts = 14, [str(names[place])[:14] for place in shown]
    left = 6 + max(math.ceil(font.getlength(text)) for text in texts)
    picture = Pillow.new("RGBA", (left + 100, line * len(shown)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    for row, (place, text) in enumerate(zip(shown, texts, strict=True)):
        top = row * line
        draw.text((left - 5, top + line // 2), text, fill=INK, font=font, anchor="rm")
        width = max(1, round(98 * float(shares[place])))
        fill = (*HIGH, ALPHA) if place == found else INK if place == wanted else BAR
        draw.rectangle((left, top + 3, left + width, top + line - 4), fill=fill)
    return np.asarray(picture)


def png(picture: Rgba) -> bytes:
    """Return a picture as the content of a PNG file."""
    content = io.BytesIO()
    Pillow.fromarray(picture, "RGBA").save(content, "PNG", optimize=True)
    return content.getvalue()
