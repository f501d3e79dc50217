"""One sample and a layer's weights: sums over some of their rows, and changes of these, as wide as the machine's registers.

`values` are its inputs, one for each row, and listed are the rows of those that aren't zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tune_mlp.engines.compiled.simd import (
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
WIDEST_OF_THREE = {True: 8, False: 2}
"""How many registers of a row at once, with 32 of them and with 16: where one row goes along, and where two do."""
IN_FLIGHT = 8
"""So many sums at least keep a processor at work, each of which has to wait for the one before it."""
PARTS = 2
"""While rows are written, too, sums are taken in so many parts, which needn't wait for one another."""

ROWS = ir.FunctionType(VOID, [SIZE, FLOATS, NUMBERS, SIZE, FLOATS, FLOATS, FLOAT, FLOATS, FLOATS])
"""How many are listed, the values, the listed, a row's length, w, d, a factor, other numbers for each row, z."""


@dataclass(frozen=True)
class _Row:
    """A listed one."""

    value: Any
    own: Any
    """Where its own number is."""
    blocks: list[tuple[Any, Any]]
    """Where its registers lie in w, with their masks."""


class _Rows:
    """What a function does with one block of columns: as many listed rows at a time as keep the processor at work."""

    def __init__(self, builder: Any, vectors: Vectors, arguments: Any, column: Any, masks: list[Any]) -> None:
        self.builder, self.vectors, self._column, self._masks = builder, vectors, column, masks
        self._count, self._values, self._listed, self._n, self._w, d, self._factor, self._own, z = arguments
        self._d, self._z = (self._blocks(builder.gep(start, [column])) for start in (d, z))
        self._parts = max(1, IN_FLIGHT // len(masks))

    def _blocks(self, start: Any) -> list[tuple[Any, Any]]:
        return [(self.builder.gep(start, [number(v * self.vectors.lanes)]), mask) for v, mask in enumerate(self._masks)]

    def d(self) -> list[Any]:
        return [self.vectors.load(block, mask) for block, mask in self._d]

    def by(self, row: _Row) -> Any:
        """factor * value."""
        return self.vectors.all_of(self.builder.fmul(row.value, self._factor))

    def sums(self, most: int) -> list[list[Any]]:
        """Sums for each part, or as many parts as may be."""
        return [self.vectors.sums(len(self._z)) for _ in range(min(most, self._parts))]

    def add_to_z(self, sums: list[list[Any]]) -> None:
        for v, (block, mask) in enumerate(self._z):
            total = self.vectors.load(block, mask)
            for line in sums:
                total = self.builder.fadd(total, self.builder.load(line[v]))
            self.vectors.store(total, block, mask)

    def each(self, body: Callable[[list[_Row]], None]) -> None:
        """The body for all of them, some at a time and the rest one by one."""
        builder = self.builder
        whole = builder.sub(self._count, builder.srem(self._count, number(self._parts)))
        with counting(builder, whole, self._parts) as step:
            body([self._row(builder.add(step, number(part))) for part in range(self._parts)])
        with counting(builder, self._count, 1, whole) as step:
            body([self._row(step)])

    def each_changed(self, change: Callable[[int, _Row, Callable[[int], Any]], None]) -> None:
        """The change for each: of which part, the row, and what each of its registers holds.

        All are read before any is written: a row may begin in the register in which the one before it ends.
        """

        def body(some: list[_Row]) -> None:
            if len(some) == 1:
                change(0, some[0], lambda v: self.vectors.load(*some[0].blocks[v]))
                return
            numbers = [[self.vectors.load(block, mask) for block, mask in row.blocks] for row in some]
            for part, (row, line) in enumerate(zip(some, numbers, strict=True)):
                change(part, row, line.__getitem__)

        self.each(body)

    def _row(self, step: Any) -> _Row:
        builder = self.builder
        row = builder.zext(builder.load(builder.gep(self._listed, [step])), SIZE)
        start = builder.gep(self._w, [builder.add(builder.mul(row, self._n), self._column)])
        value = builder.load(builder.gep(self._values, [row]))
        return _Row(value, builder.gep(self._own, [row]), self._blocks(start))


def _add(rows: _Rows) -> None:
    """z += the sum of value * row."""
    vectors, sums = rows.vectors, rows.sums(IN_FLIGHT)

    def body(some: list[_Row]) -> None:
        for row, line in zip(some, sums, strict=False):
            for place, (block, mask) in zip(line, row.blocks, strict=True):
                vectors.add_product(place, vectors.all_of(row.value), vectors.load(block, mask))

    rows.each(body)
    rows.add_to_z(sums)


def _dot_and_change(rows: _Rows) -> None:
    """Its own number += row @ d, and then row += factor * value * d."""
    builder, vectors, d = rows.builder, rows.vectors, rows.d()

    def change(_: int, row: _Row, number_of: Callable[[int], Any]) -> None:
        by, dots = rows.by(row), [vectors.zero] * min(PARTS, len(d))
        for v, (block, mask) in enumerate(row.blocks):
            x = number_of(v)
            dots[v % PARTS] = vectors.multiply_add(x, d[v], dots[v % PARTS])
            vectors.store(vectors.multiply_add(by, d[v], x), block, mask)
        dot = vectors.total(reduce(builder.fadd, dots))
        builder.store(builder.fadd(builder.load(row.own), dot), row.own)

    rows.each_changed(change)


def _change_and_add(rows: _Rows) -> None:
    """Row += factor * value * d, and then z += its own number * row."""
    vectors, d, sums = rows.vectors, rows.d(), rows.sums(PARTS)

    def change(part: int, row: _Row, number_of: Callable[[int], Any]) -> None:
        by, own = rows.by(row), vectors.all_of(rows.builder.load(row.own))
        for v, (block, mask) in enumerate(row.blocks):
            changed = vectors.multiply_add(by, d[v], number_of(v))
            vectors.add_product(sums[part % PARTS][v], own, changed)
            vectors.store(changed, block, mask)

    rows.each_changed(change)
    rows.add_to_z(sums)


def _of_rows(name: str, body: Callable[[_Rows], None], widest: dict[bool, int]) -> Any:
    """A function over all blocks of columns."""

    def written(context: Any, module: Any) -> Any:
        function, fresh = once(module, f"tune_mlp_{name}", ROWS)
        if fresh:
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            lanes, many = lanes_of(context)
            vectors = Vectors(builder, lanes)
            vectors.columns(
                function.args[3],
                widest[many],
                lambda column, masks: body(_Rows(builder, vectors, function.args, column, masks)),
            )
            builder.ret_void()
        return function

    return written


_ADD, _DOT_AND_CHANGE, _CHANGE_AND_ADD = (
    _of_rows("add_rows", _add, WIDEST),
    _of_rows("dot_and_change_rows", _dot_and_change, WIDEST),
    _of_rows("change_and_add_rows", _change_and_add, WIDEST_OF_THREE),
)
NO_HISTORY = ir.Constant(FLOATS, None)


def _check(values: Any, listed: Any, w: Any, *others: Any) -> None:
    assert all(array.dtype == types.float32 and array.layout == "C" for array in (values, w, *others))
    assert listed.dtype == types.uint32


def _unpacked(context: Any, builder: Any, kinds: Any, arguments: Any) -> tuple[list[Any], list[Any]]:
    """How many are listed, the values, the listed, a row's length and w; and where the other arrays begin."""
    (values, _), (listed, count), (w, _, n), *others = (
        unpacked(context, builder, kind, value) for kind, value in zip(kinds, arguments, strict=True)
    )
    return [count, values, listed, n, w], [data for data, _ in others]


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def add_rows(_context: Any, values: Any, listed: Any, w: Any, z: Any) -> Any:
    """z += the sum of value * row of w."""
    _check(values, listed, w, z)
    kinds = values, listed, w, z

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, (z,) = _unpacked(context, builder, kinds, arguments)
        builder.call(_ADD(context, builder.module), [*rows, NO_HISTORY, ir.Constant(FLOAT, 1.0), NO_HISTORY, z])
        return context.get_dummy_value()

    return types.void(*kinds), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def dot_and_change_rows(_context: Any, values: Any, listed: Any, w: Any, d: Any, dots: Any, factor: Any) -> Any:
    """dots[row] += row of w @ d, and then row += factor * value * d: each row is read once."""
    _check(values, listed, w, d, dots)
    kinds = values, listed, w, d, dots

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, (d, dots) = _unpacked(context, builder, kinds, arguments[:-1])
        builder.call(_DOT_AND_CHANGE(context, builder.module), [*rows, d, arguments[-1], dots, NO_HISTORY])
        return context.get_dummy_value()

    return types.void(*kinds, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def change_and_add_rows(
    _context: Any, values: Any, listed: Any, w: Any, d: Any, coming: Any, z: Any, factor: Any
) -> Any:
    """Each row of w += factor * value * d, and then z += coming[row] * row: each row is read once."""
    _check(values, listed, w, d, coming, z)
    kinds = values, listed, w, d, coming, z

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, (d, coming, z) = _unpacked(context, builder, kinds, arguments[:-1])
        builder.call(_CHANGE_AND_ADD(context, builder.module), [*rows, d, arguments[-1], coming, z])
        return context.get_dummy_value()

    return types.void(*kinds, types.float32), generate
