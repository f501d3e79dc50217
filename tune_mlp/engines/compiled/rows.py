"""One sample and a layer's weights: sums over some of their rows, and changes of these, as wide as the machine's registers.

The rows are those of the inputs that aren't zero, and `values` are these inputs, in the order of the list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
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
WIDEST = {True: 16, False: 4}
"""How many registers of a row at once, with 32 of them and with 16."""
IN_FLIGHT = 8
"""So many sums at least keep a processor at work, each of which has to wait for the one before it."""
DOTS = 2
"""A row's sum is taken in so many parts, which needn't wait for one another."""

ROWS = ir.FunctionType(VOID, [SIZE, FLOATS, NUMBERS, SIZE, FLOATS, FLOATS, FLOAT, FLOATS])
"""How many are listed, the values, the listed, a row's length, w, the one row, a factor, the results by row."""


@dataclass(frozen=True)
class _Row:
    """A listed one."""

    value: Any
    result: Any
    blocks: list[tuple[Any, Any]]
    """Where its registers lie in w, with their masks."""


class _Rows:
    """What a function does with one block of columns: as many listed rows at a time as keep the processor at work."""

    def __init__(self, builder: Any, vectors: Vectors, arguments: Any, column: Any, masks: list[Any]) -> None:
        self.builder, self.vectors, self._column, self._masks = builder, vectors, column, masks
        self._count, self._values, self._listed, self._n, self._w, one, self.factor, self._results = arguments
        self.one = self._blocks(builder.gep(one, [column]))
        self.parts = max(1, IN_FLIGHT // len(masks))

    def _blocks(self, start: Any) -> list[tuple[Any, Any]]:
        return [(self.builder.gep(start, [number(v * self.vectors.lanes)]), mask) for v, mask in enumerate(self._masks)]

    def each(self, body: Callable[[list[_Row]], None]) -> None:
        """The body for all of them, some at a time and the rest one by one."""
        builder = self.builder
        whole = builder.sub(self._count, builder.srem(self._count, number(self.parts)))
        with counting(builder, whole, self.parts) as step:
            body([self._row(builder.add(step, number(part))) for part in range(self.parts)])
        with counting(builder, self._count, 1, whole) as step:
            body([self._row(step)])

    def _row(self, step: Any) -> _Row:
        builder = self.builder
        row = builder.zext(builder.load(builder.gep(self._listed, [step])), SIZE)
        start = builder.gep(self._w, [builder.add(builder.mul(row, self._n), self._column)])
        value = builder.load(builder.gep(self._values, [step]))
        return _Row(value, builder.gep(self._results, [row]), self._blocks(start))


def _add(rows: _Rows) -> None:
    """The one row += the sum of value * row."""
    vectors = rows.vectors
    sums = [vectors.sums(len(rows.one)) for _ in range(rows.parts)]

    def body(some: list[_Row]) -> None:
        for row, line in zip(some, sums, strict=False):
            for place, (block, mask) in zip(line, row.blocks, strict=True):
                vectors.add_product(place, vectors.all_of(row.value), vectors.load(block, mask))

    rows.each(body)
    for v, (block, mask) in enumerate(rows.one):
        total = vectors.load(block, mask)
        for line in sums:
            total = rows.builder.fadd(total, rows.builder.load(line[v]))
        vectors.store(total, block, mask)


def _change(rows: _Rows, dots: bool = False) -> None:
    """Each row += factor * value * the one row; and before that, its result += row @ the one row, if `dots`."""
    builder, vectors = rows.builder, rows.vectors
    one = [vectors.load(block, mask) for block, mask in rows.one]

    def changed(row: _Row, number_of: Callable[[int], Any]) -> None:
        by, dots_of = vectors.all_of(builder.fmul(row.value, rows.factor)), [vectors.zero] * min(DOTS, len(one))
        for v, ((block, mask), d) in enumerate(zip(row.blocks, one, strict=True)):
            x = number_of(v)
            dots_of[v % DOTS] = vectors.multiply_add(x, d, dots_of[v % DOTS]) if dots else vectors.zero
            vectors.store(vectors.multiply_add(by, d, x), block, mask)
        if dots:
            dot = vectors.total(reduce(builder.fadd, dots_of))
            builder.store(builder.fadd(builder.load(row.result), dot), row.result)

    def body(some: list[_Row]) -> None:
        if len(some) == 1:
            changed(some[0], lambda v: vectors.load(*some[0].blocks[v]))
            return
        # All are read before any is written: a row may begin in the register in which the one before it ends.
        numbers = [[vectors.load(block, mask) for block, mask in row.blocks] for row in some]
        for row, line in zip(some, numbers, strict=True):
            changed(row, line.__getitem__)

    rows.each(body)


def _of_rows(name: str, body: Callable[[_Rows], None]) -> Any:
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
                lambda column, masks: body(_Rows(builder, vectors, function.args, column, masks)),
            )
            builder.ret_void()
        return function

    return written


_ADD, _CHANGE, _DOT_AND_CHANGE = (
    _of_rows("add_rows", _add),
    _of_rows("change_rows", _change),
    _of_rows("dot_and_change_rows", partial(_change, dots=True)),
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
