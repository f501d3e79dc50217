"""Products of matrices for batches and layers, as wide as the machine's registers.

BLAS copies its factors into panels first, which pays for large matrices only, and takes narrow registers where it doesn't
know the processor. Each sum is taken in the order of what is listed, whatever the tiles.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tune_mlp.engines.compiled.jit import spliced
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
    lanes_of,
    least,
    number,
    once,
    unpacked,
)

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer: float32, by rows or a transpose of such

NUMBERS = INT.as_pointer()
DEEP = 512
"""So many of the listed at once: what a column of tiles reads of y then stays in the second cache, however large."""
TILES = {True: {4: 6, 3: 6, 2: 8, 1: 8}, False: {2: 5, 1: 8}}
"""How many rows a tile has at most by its width in registers, with 32 registers and with 16: so many that its sums, a row
of y and a number of x fill them, and no sum waits for the one before it."""

PRODUCT = ir.FunctionType(VOID, [SIZE, SIZE, SIZE, NUMBERS, FLOAT, FLOATS, SIZE, SIZE, FLOATS, BIT, FLOATS])
"""m, n, how many are listed, the listed, alpha, x, the way from a row of x to the next and from a column to the next, y,
add, out."""


def _product(context: Any, module: Any) -> Any:
    """The function of all products: columns of tiles, and in each its tiles."""
    function, fresh = once(module, "tune_mlp_product", PRODUCT)
    if not fresh:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    m, n, all_listed, listed, alpha, x, x_row, x_column, y, given, out = function.args
    lanes, many = lanes_of(context)
    tiles, vectors = TILES[many], Vectors(builder, lanes)

    def at(start: Any, steps: Any) -> Any:
        return builder.gep(start, [steps])

    with counting(builder, all_listed, DEEP) as deep:
        count, these = least(builder, builder.sub(all_listed, deep), number(DEEP)), at(listed, deep)
        add = builder.or_(given, builder.icmp_signed(">", deep, number(0)))

        def tile(height: int, row: Any, column: Any, masks: list[Any]) -> None:
            """So many rows of out, by as many registers as there are masks."""
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
            """A column of tiles of nearly the same height: a last one of a row or two would wait for its own sums."""
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
def multiply(_context: Any, x: Any, y: Any, low: Any, high: Any, listed: Any, alpha: Any, add: Any, out: Any) -> Any:
    """out[low:high] = alpha * x[low:high, listed] @ y[listed], added to what is there if `add`.

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
            _product(context, builder.module),
            [builder.sub(high, low), n, count, numbers, alpha, x_low, row, column, y_data, add, out_low],
        )
        return context.get_dummy_value()

    kinds = x, y, types.int64, types.int64, listed, types.float32, types.boolean, out
    return types.void(*kinds), generate


SQUARE = ir.FunctionType(VOID, [FLOATS, SIZE, FLOATS, SIZE])
"""x, the way from a row of x to the next, out, and the way from row to row there."""


def _square(context: Any, module: Any) -> Any:
    """The function that transposes a square as wide as a register: by pairs of numbers, then by pairs of pairs, ..."""
    function, fresh = once(module, "tune_mlp_square", SQUARE)
    if not fresh:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    x, x_row, out, out_row = function.args
    lanes, _ = lanes_of(context)
    vectors = Vectors(builder, lanes)
    rows = [vectors.load(builder.gep(x, [builder.mul(number(r), x_row)])) for r in range(lanes)]
    apart = 1
    while apart < lanes:
        upper = [lanes + i - apart if i & apart else i for i in range(lanes)]
        lower = [lanes + i if i & apart else i + apart for i in range(lanes)]
        for r in (r for r in range(lanes) if not r & apart):
            pair = rows[r], rows[r + apart]
            rows[r], rows[r + apart] = vectors.mixed(*pair, upper), vectors.mixed(*pair, lower)
        apart *= 2
    for r, row in enumerate(rows):
        vectors.store(row, builder.gep(out, [builder.mul(number(r), out_row)]))
    builder.ret_void()
    return function


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def _transpose_squares(_context: Any, x: Any, out: Any) -> Any:
    """out = x.T, as far as squares as wide as a register reach; returns that width."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_data, rows, columns = unpacked(context, builder, x, arguments[0])
        out_data, _, _ = unpacked(context, builder, out, arguments[1])
        lanes, _ = lanes_of(context)
        square = _square(context, builder.module)
        last_row, last_column = (builder.sub(count, number(lanes - 1)) for count in (rows, columns))
        with counting(builder, last_row, lanes) as row, counting(builder, last_column, lanes) as column:
            source = builder.gep(x_data, [builder.add(builder.mul(row, columns), column)])
            target = builder.gep(out_data, [builder.add(builder.mul(column, rows), row)])
            builder.call(square, [source, columns, target, rows])
        return number(lanes)

    return types.int64(x, out), generate


@spliced
def transpose(x: Array, out: Array) -> None:
    """out = x.T."""
    rows, columns = x.shape
    lanes = _transpose_squares(x, out)
    rows_done, columns_done = rows - rows % lanes, columns - columns % lanes
    for r in range(rows):
        for c in range(columns_done if r < rows_done else 0, columns):
            out[c, r] = x[r, c]
