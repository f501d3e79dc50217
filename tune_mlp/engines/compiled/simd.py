"""Vector instructions, for the loops of which numba makes none: it keeps no tile of sums in the processor's registers.

They are written in LLVM's intermediate language (llvmlite's `ir`), as numba's own intrinsics are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from tune_mlp.engines.compiled.jit import LINE

BIT, INT, SIZE, FLOAT, VOID = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.VoidType()
FLOATS = FLOAT.as_pointer()
FUSED = ("contract",)
"""A product and the sum after it may be one instruction."""


def registers() -> tuple[int, bool]:
    """Return how many float32 numbers a register of the processor compiled for holds, and whether it has 32 registers.

    Without AVX the count is 0: vector instructions haven't been tried there.
    """
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    if "+avx512f" in features:
        return 16, True
    return (8 if "+avx" in features else 0), False


def number(value: int) -> Any:
    """Return a constant of 64 bits."""
    return ir.Constant(SIZE, value)


def least(builder: Any, x: Any, y: Any) -> Any:
    """Write the smaller of two numbers."""
    return builder.select(builder.icmp_signed("<", x, y), x, y)


@contextmanager
def counting(builder: Any, high: Any, step: int, low: Any = None) -> Iterator[Any]:
    """Write a loop from 0, or `low`, up to `high`; what is written within the context is its body."""
    index = cgutils.alloca_once(builder, SIZE)
    builder.store(number(0) if low is None else low, index)
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    now = builder.load(index)
    builder.cbranch(builder.icmp_signed("<", now, high), body, end)
    builder.position_at_end(body)
    yield now
    builder.store(builder.add(now, number(step)), index)
    builder.branch(head)
    builder.position_at_end(end)


def choose(builder: Any, value: Any, numbers: Iterable[int], case: Callable[[int], None]) -> None:
    """Write a switch over the value: `case(n)` writes what is done where it is n."""
    end = builder.append_basic_block("end")
    choice = builder.switch(value, end)
    for one in numbers:
        block = builder.append_basic_block(f"case_{one}")
        choice.add_case(number(one), block)
        builder.position_at_end(block)
        case(one)
        builder.branch(end)
    builder.position_at_end(end)


def once(module: Any, name: str, kind: Any) -> tuple[Any, bool]:
    """Return a function of the module, and whether it has yet to be written."""
    function = cgutils.get_or_insert_function(module, kind, name)
    fresh = function.is_declaration
    function.linkage = "linkonce_odr"
    return function, fresh


def unpacked(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, ...]:
    """Return where an array's numbers begin, and then its lengths."""
    found = make_array(kind)(context, builder, value)
    return found.data, *cgutils.unpack_tuple(builder, found.shape)


class Vectors:
    """Writes instructions on registers; of one that lies across a row's end only the first lanes are read and written."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self._builder, self.lanes = builder, lanes
        self.type, self._mask = ir.VectorType(FLOAT, lanes), ir.VectorType(BIT, lanes)
        self.zero = ir.Constant(self.type, [0.0] * lanes)

    def columns(self, n: Any, widest: int, case: Callable[[Any, list[Any]], None]) -> None:
        """Write a loop over blocks of columns; `case` is given a block's first column and a mask for each register."""

        def block(width: int, column: Any) -> None:
            left = self._builder.sub(self._builder.sub(n, column), number((width - 1) * self.lanes))
            case(column, [None] * (width - 1) + [self._first(left)])

        with counting(self._builder, n, widest * self.lanes) as column:
            left = self._builder.add(self._builder.sub(n, column), number(self.lanes - 1))
            width = least(self._builder, self._builder.sdiv(left, number(self.lanes)), number(widest))
            choose(self._builder, width, range(1, widest + 1), lambda width: block(width, column))

    def _first(self, count: Any) -> Any:
        """Write a mask that is true for the first `count` lanes."""
        kind = ir.VectorType(SIZE, self.lanes)
        return self._builder.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), self.all_of(count))

    def all_of(self, value: Any) -> Any:
        """Write the value into every lane."""
        nothing = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self._builder.insert_element(nothing, value, ir.Constant(INT, 0))
        every = ir.Constant(ir.VectorType(INT, self.lanes), [0] * self.lanes)
        return self._builder.shuffle_vector(first, nothing, every)

    def load(self, place: Any, mask: Any = None) -> Any:
        """Write the reading of a register's numbers."""
        if mask is None:
            return self._builder.load(self._builder.bitcast(place, self.type.as_pointer()), align=4)
        return self._builder.call(
            self._masked("load", self.type, FLOATS, INT, self._mask, self.type),
            [place, ir.Constant(INT, 4), mask, self.zero],
        )

    def store(self, value: Any, place: Any, mask: Any = None) -> None:
        """Write the writing of a register's numbers."""
        if mask is None:
            self._builder.store(value, self._builder.bitcast(place, self.type.as_pointer()), align=4)
            return
        self._builder.call(
            self._masked("store", VOID, self.type, FLOATS, INT, self._mask), [value, place, ir.Constant(INT, 4), mask]
        )

    def _masked(self, what: str, result: Any, *arguments: Any) -> Any:
        name = f"llvm.masked.{what}.v{self.lanes}f32.p0"
        return cgutils.get_or_insert_function(self._builder.module, ir.FunctionType(result, arguments), name)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """Write x * y + z."""
        return self._builder.fadd(self._builder.fmul(x, y, flags=FUSED), z, flags=FUSED)

    def sums(self, count: int) -> list[Any]:
        """Return the places of `count` registers that start at zero."""
        places = [cgutils.alloca_once(self._builder, self.type) for _ in range(count)]
        for place in places:
            self._builder.store(self.zero, place)
        return places

    def add_product(self, place: Any, x: Any, y: Any) -> None:
        """Write register += x * y."""
        self._builder.store(self.multiply_add(x, y, self._builder.load(place)), place)


PREFETCH = ir.FunctionType(VOID, [ir.IntType(8).as_pointer(), INT, INT, INT])


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def prefetch(_context: Any, array: Any) -> Any:
    """Ask for an array ahead of its use: samples come in random order, which no processor foretells."""
    size = array.dtype.bitwidth // 8
    assert array.ndim == 1
    assert array.layout == "C"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, length = unpacked(context, builder, array, arguments[0])
        ask = cgutils.get_or_insert_function(builder.module, PREFETCH, "llvm.prefetch.p0")
        start = builder.bitcast(data, ir.IntType(8).as_pointer())
        with counting(builder, builder.mul(length, number(size)), LINE) as place:
            # To be read, and soon; of data.
            builder.call(ask, [builder.gep(start, [place]), *(ir.Constant(INT, value) for value in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array), generate
