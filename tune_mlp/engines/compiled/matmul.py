"""Products and transposes of matrices, for a batch's samples and a layer's weights.

BLAS copies its factors into panels first, which pays for large matrices only, and takes narrow registers on processors that
it doesn't know. Here tiles of sums stay in registers, by vector instructions where the processor has AVX. Each sum is taken
in the order of what is listed, whatever the tiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tune_mlp.engines.compiled.jit import inline
from tune_mlp.engines.compiled.simd import (
    BIT,
    FLOAT,
    FLOATS,
    INT,
    SIZE,
    VOID,
    Vectors,
    choose,
    counting,
    least,
    number,
    once,
    registers,
    unpacked,
)

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer: float32, by rows or a transpose of such

ZERO = np.float32(0)
NUMBERS = INT.as_pointer()
DEEP = 512
"""So many of the listed at once: what a column of tiles reads of y then stays in the second cache, however large."""
TILES = {True: {4: 6, 3: 6, 2: 8, 1: 8}, False: {2: 5, 1: 8}}
"""The largest number of a tile's rows by its width in registers, for processors with 32 registers and with 16: so many that
its sums, a row of y and a number of x fill the registers, and no sum waits for the one before it."""

PRODUCT = ir.FunctionType(VOID, [SIZE, SIZE, SIZE, NUMBERS, FLOAT, FLOATS, SIZE, SIZE, FLOATS, BIT, FLOATS])
"""m, n, how many are listed, the listed, alpha, x, the way from a row of x to the next and from a column to the next, y,
add, out."""


def _product(module: Any) -> Any:
    """Return the function that computes all products: columns of tiles, and in each its tiles."""
    function, fresh = once(module, "tune_mlp_product", PRODUCT)
    if not fresh:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    m, n, all_listed, listed, alpha, x, x_row, x_column, y, given, out = function.args
    lanes, many = registers()
    tiles, vectors = TILES[many], Vectors(builder, lanes)

    def at(start: Any, steps: Any) -> Any:
        return builder.gep(start, [steps])

    with counting(builder, all_listed, DEEP) as deep:
        count, these = least(builder, builder.sub(all_listed, deep), number(DEEP)), at(listed, deep)
        add = builder.or_(given, builder.icmp_signed(">", deep, number(0)))

        def tile(height: int, row: Any, column: Any, masks: list[Any]) -> None:
            """Write a tile: `height` rows of out by as many registers as there are masks."""
            sums = [vectors.sums(len(masks)) for _ in range(height)]
            x_first, y_first = at(x, builder.mul(row, x_row)), at(y, column)
            with counting(builder, count, 1) as step:
                k = builder.zext(builder.load(at(these, step)), SIZE)
                x_at, y_at = at(x_first, builder.mul(k, x_column)), at(y_first, builder.mul(k, n))
                across = [vectors.load(at(y_at, number(v * lanes)), mask) for v, mask in enumerate(masks)]
                for r, line in enumerate(sums):
                    value = vectors.all_of(builder.load(at(x_at, builder.mul(number(r), x_row))))
                    for place, numbers in zip(line, across, strict=True):
                        vectors.add_product(place, value, numbers)
            scale = vectors.all_of(alpha)
            for r, line in enumerate(sums):
                start = at(out, builder.add(builder.mul(builder.add(row, number(r)), n), column))
                for v, (place, mask) in enumerate(zip(line, masks, strict=True)):
                    target = at(start, number(v * lanes))
                    before = builder.select(add, vectors.load(target, mask), vectors.zero)
                    vectors.store(vectors.multiply_add(scale, builder.load(place), before), target, mask)

        def tiles_below(column: Any, masks: list[Any]) -> None:
            """Write a column of tiles of nearly one height: a last tile of a row or two would wait for its own sums."""
            highest = tiles[len(masks)]
            number_of_tiles = builder.sdiv(builder.add(m, number(highest - 1)), number(highest))
            height, higher = builder.sdiv(m, number_of_tiles), builder.srem(m, number_of_tiles)
            place = cgutils.alloca_once(builder, SIZE)
            builder.store(number(0), place)
            with counting(builder, number_of_tiles, 1) as tile_number:
                row = builder.load(place)
                now = builder.add(height, builder.zext(builder.icmp_signed("<", tile_number, higher), SIZE))
                choose(builder, now, range(1, highest + 1), lambda height: tile(height, row, column, masks))
                builder.store(builder.add(row, now), place)

        vectors.columns(n, max(tiles), tiles_below)
    builder.ret_void()
    return function


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def multiply_by_tiles(
    _context: Any, x: Any, y: Any, low: Any, high: Any, listed: Any, alpha: Any, add: Any, out: Any
) -> Any:
    """Set out[low:high] = alpha * x[low:high, listed] @ y[listed]; add it to what is there if `add`.

    x stands by rows or is a transpose of such; something must be listed where nothing is to be added.
    """
    assert all(array.dtype == types.float32 for array in (x, y, out))
    assert x.layout in "CF"
    assert y.layout == out.layout == listed.layout == "C"
    assert listed.dtype == types.uint32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_data, m, k = unpacked(context, builder, x, arguments[0])
        y_data, _, n = unpacked(context, builder, y, arguments[1])
        low, high, alpha, add = arguments[2], arguments[3], arguments[5], arguments[6]
        numbers, count = unpacked(context, builder, listed, arguments[4])
        out_data, _, _ = unpacked(context, builder, out, arguments[7])
        row, column = (k, number(1)) if x.layout == "C" else (number(1), m)
        x_low, out_low = builder.gep(x_data, [builder.mul(low, row)]), builder.gep(out_data, [builder.mul(low, n)])
        builder.call(
            _product(builder.module),
            [builder.sub(high, low), n, count, numbers, alpha, x_low, row, column, y_data, add, out_low],
        )
        return context.get_dummy_value()

    kinds = x, y, types.int64, types.int64, listed, types.float32, types.boolean, out
    return types.void(*kinds), generate


@inline
def multiply_by_rows(x: Array, y: Array, low: Any, high: Any, listed: Array, alpha: Any, add: bool, out: Array) -> None:
    """Set what `multiply_by_tiles` sets, in plain numba, for processors without AVX.

    Four rows of out are taken together, so that a row of y is read once for them.
    """
    columns = out.shape[1]
    if not add:
        for r in range(low, high):
            for j in range(columns):
                out[r, j] = ZERO
    fours = low + (high - low) // 4 * 4
    for r in range(low, fours, 4):
        for index in range(listed.shape[0]):
            k = listed[index]
            x0, x1, x2, x3 = alpha * x[r, k], alpha * x[r + 1, k], alpha * x[r + 2, k], alpha * x[r + 3, k]
            for j in range(columns):
                value = y[k, j]
                out[r, j] += x0 * value
                out[r + 1, j] += x1 * value
                out[r + 2, j] += x2 * value
                out[r + 3, j] += x3 * value
    for r in range(fours, high):
        for index in range(listed.shape[0]):
            k = listed[index]
            x0 = alpha * x[r, k]
            for j in range(columns):
                out[r, j] += x0 * y[k, j]


multiply = multiply_by_tiles if registers()[0] else multiply_by_rows


@inline
def transpose(x: Array, out: Array) -> None:
    """Set out = x.T, eight rows of x at a time, so that eight neighbours of out are written together."""
    rows, columns = x.shape
    eights = rows // 8 * 8
    for r in range(0, eights, 8):
        for c in range(columns):
            x0, x1, x2, x3 = x[r, c], x[r + 1, c], x[r + 2, c], x[r + 3, c]
            x4, x5, x6, x7 = x[r + 4, c], x[r + 5, c], x[r + 6, c], x[r + 7, c]
            out[c, r], out[c, r + 1], out[c, r + 2], out[c, r + 3] = x0, x1, x2, x3
            out[c, r + 4], out[c, r + 5], out[c, r + 6], out[c, r + 7] = x4, x5, x6, x7
    for r in range(eights, rows):
        for c in range(columns):
            out[c, r] = x[r, c]
