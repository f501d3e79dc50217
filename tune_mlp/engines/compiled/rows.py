"""One sample and a layer's weights: sums over some of their rows, and changes of these, as wide as the machine's registers.

The rows are those of the inputs that aren't zero, and `values` are these inputs, in the order of the list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tune_mlp.engines.compiled.vectors import (
    FLOAT,
    FLOATS,
    INT,
    SIZE,
    VOID,
    Vectors,
    counting,
    lanes_of,
    number,
    once,
    unpacked,
)

NUMBERS = INT.as_pointer()
WIDEST = {True: 8, False: 4}
"""How many registers of a row at once, with 32 of them and with 16."""
IN_FLIGHT = 8
"""So many sums at least keep a processor at work, each of which has to wait for the one before it."""

ROWS = ir.FunctionType(VOID, [SIZE, FLOATS, NUMBERS, SIZE, FLOATS, FLOATS, FLOAT, FLOATS])
"""How many are listed, the values, the listed, a row's length, w, the one row, a factor, the results by row."""


def _of_rows(name: str, body: Callable[..., None]) -> Any:
    """A function over all blocks of columns."""

    def written(context: Any, module: Any) -> Any:
        function, fresh = once(module, f"tune_mlp_{name}", ROWS)
        if fresh:
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            lanes, many = lanes_of(context)
            vectors = Vectors(builder, lanes)
            vectors.columns(
                function.args[3],
                WIDEST[many],
                lambda width, column, masks: body(builder, vectors, function.args, column, masks),
            )
            builder.ret_void()
        return function

    return written


def _each(builder: Any, arguments: Any, column: Any, step: Any) -> tuple[Any, Any, Any]:
    """The listed number `step`, its value, and where its row's block of columns begins."""
    _, values, listed, n, w, _, _, _ = arguments
    row = builder.zext(builder.load(builder.gep(listed, [step])), SIZE)
    start = builder.gep(w, [builder.add(builder.mul(row, n), column)])
    return row, builder.load(builder.gep(values, [step])), start


def _blocks(builder: Any, vectors: Vectors, start: Any, masks: list[Any]) -> list[tuple[Any, Any]]:
    return [(builder.gep(start, [number(v * vectors.lanes)]), mask) for v, mask in enumerate(masks)]


def _add(builder: Any, vectors: Vectors, arguments: Any, column: Any, masks: list[Any]) -> None:
    """The one row += the sum of value * row."""
    count, _, _, _, _, one, _, _ = arguments
    parts = max(1, min(4, IN_FLIGHT // len(masks)))
    sums = [vectors.sums(len(masks)) for _ in range(parts)]

    def add(step: Any, line: list[Any]) -> None:
        _, value, start = _each(builder, arguments, column, step)
        for place, (block, mask) in zip(line, _blocks(builder, vectors, start, masks), strict=True):
            vectors.add_product(place, vectors.all_of(value), vectors.load(block, mask))

    whole = builder.sub(count, builder.srem(count, number(parts)))
    with counting(builder, whole, parts) as step:
        for part, line in enumerate(sums):
            add(builder.add(step, number(part)), line)
    with counting(builder, count, 1, whole) as step:
        add(step, sums[0])
    for v, (block, mask) in enumerate(_blocks(builder, vectors, builder.gep(one, [column]), masks)):
        total = vectors.load(block, mask)
        for line in sums:
            total = builder.fadd(total, builder.load(line[v]))
        vectors.store(total, block, mask)


def _change(builder: Any, vectors: Vectors, arguments: Any, column: Any, masks: list[Any]) -> None:
    """Each row += factor * value * the one row."""
    count, _, _, _, _, one, factor, _ = arguments
    blocks = _blocks(builder, vectors, builder.gep(one, [column]), masks)
    added = [vectors.load(block, mask) for block, mask in blocks]
    with counting(builder, count, 1) as step:
        _, value, start = _each(builder, arguments, column, step)
        by = vectors.all_of(builder.fmul(value, factor))
        for d, (block, mask) in zip(added, _blocks(builder, vectors, start, masks), strict=True):
            vectors.store(vectors.multiply_add(by, d, vectors.load(block, mask)), block, mask)


def _dot_and_change(builder: Any, vectors: Vectors, arguments: Any, column: Any, masks: list[Any]) -> None:
    """Its result += row @ the one row, and then each row += factor * value * the one row."""
    count, _, _, _, _, one, factor, results = arguments
    blocks = _blocks(builder, vectors, builder.gep(one, [column]), masks)
    added = [vectors.load(block, mask) for block, mask in blocks]
    with counting(builder, count, 1) as step:
        row, value, start = _each(builder, arguments, column, step)
        by, dot = vectors.all_of(builder.fmul(value, factor)), vectors.zero
        for d, (block, mask) in zip(added, _blocks(builder, vectors, start, masks), strict=True):
            numbers = vectors.load(block, mask)
            dot = vectors.multiply_add(numbers, d, dot)
            vectors.store(vectors.multiply_add(by, d, numbers), block, mask)
        result = builder.gep(results, [row])
        builder.store(builder.fadd(builder.load(result), vectors.total(dot)), result)


_ADD, _CHANGE, _DOT_AND_CHANGE = (
    _of_rows("add_rows", _add),
    _of_rows("change_rows", _change),
    _of_rows("dot_and_change_rows", _dot_and_change),
)


def _called(written: Any, context: Any, builder: Any, kinds: Any, arguments: Any, factor: Any, results: Any) -> Any:
    """Call it with the values, the listed, the weights and the one row."""
    (values, _), (listed, count), (w, _, n), (one, _) = (
        unpacked(context, builder, kind, value) for kind, value in zip(kinds, arguments, strict=True)
    )
    builder.call(written(context, builder.module), [count, values, listed, n, w, one, factor, results])
    return context.get_dummy_value()


def _check(values: Any, listed: Any, w: Any, *others: Any) -> None:
    assert all(array.dtype == types.float32 and array.layout == "C" for array in (values, w, *others))
    assert listed.dtype == types.uint32


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def add_rows(_context: Any, values: Any, listed: Any, w: Any, z: Any) -> Any:
    """z += the sum of value * row of w."""
    _check(values, listed, w, z)
    kinds = values, listed, w, z

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = ir.Constant(FLOATS, None)
        return _called(_ADD, context, builder, kinds, arguments, ir.Constant(FLOAT, 1.0), nothing)

    return types.void(*kinds), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def change_rows(_context: Any, values: Any, listed: Any, w: Any, d: Any, factor: Any) -> Any:
    """Each row of w += factor * value * d."""
    _check(values, listed, w, d)
    kinds = values, listed, w, d

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = ir.Constant(FLOATS, None)
        return _called(_CHANGE, context, builder, kinds, arguments[:4], arguments[4], nothing)

    return types.void(*kinds, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def dot_and_change_rows(_context: Any, values: Any, listed: Any, w: Any, d: Any, factor: Any, dots: Any) -> Any:
    """dots[row] += row of w @ d, and then row += factor * value * d: each row is read once."""
    _check(values, listed, w, d, dots)
    kinds = values, listed, w, d

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        results, _ = unpacked(context, builder, dots, arguments[5])
        return _called(_DOT_AND_CHANGE, context, builder, kinds, arguments[:4], arguments[4], results)

    return types.void(*kinds, types.float32, dots), generate
