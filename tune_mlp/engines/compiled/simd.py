"""Instructions on whole registers, for the few loops that numba can't make of Python: it keeps no tile of sums in registers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from tune_mlp.engines.compiled.jit import LINE

BIT, INT, SIZE, FLOAT, VOID = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.VoidType()
FLOATS = FLOAT.as_pointer()
FUSED = ("contract",)
"""A product and the sum after it may be one instruction."""


def lanes_of(context: Any) -> tuple[int, bool]:
    """How many numbers a register of the machine compiled for holds, and whether it has 32 of them, and not 16."""
    features = context.codegen().magic_tuple()[2]
    if "+avx512f" in features:
        return 16, True
    return (8 if "+avx" in features else 4), False


def number(value: int) -> Any:
    return ir.Constant(SIZE, value)


def least(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.icmp_signed("<", x, y), x, y)


@contextmanager
def counting(builder: Any, high: Any, step: int, low: Any = None) -> Iterator[Any]:
    """A loop's body, from 0 or `low` up to `high`."""
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
    """The case of the one of the numbers that is the value."""
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
    """A function of the module's, and whether it is yet to be written."""
    function = cgutils.get_or_insert_function(module, kind, name)
    fresh = function.is_declaration
    function.linkage = "linkonce_odr"
    return function, fresh


def unpacked(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, ...]:
    """An array's data, and its lengths."""
    found = make_array(kind)(context, builder, value)
    return found.data, *cgutils.unpack_tuple(builder, found.shape)


class Vectors:
    """Registers of numbers; of one that lies across a row's end only the first lanes are read and written."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self._builder, self.lanes = builder, lanes
        self.type, self._mask = ir.VectorType(FLOAT, lanes), ir.VectorType(BIT, lanes)
        self.zero = ir.Constant(self.type, [0.0] * lanes)

    def columns(self, n: Any, widest: int, case: Callable[[Any, list[Any]], None]) -> None:
        """The case for each block of columns: its first column, and a mask for each of its registers."""

        def block(width: int, column: Any) -> None:
            left = self._builder.sub(self._builder.sub(n, column), number((width - 1) * self.lanes))
            case(column, [None] * (width - 1) + [self._first(left)])

        with counting(self._builder, n, widest * self.lanes) as column:
            left = self._builder.add(self._builder.sub(n, column), number(self.lanes - 1))
            width = least(self._builder, self._builder.sdiv(left, number(self.lanes)), number(widest))
            choose(self._builder, width, range(1, widest + 1), lambda width: block(width, column))

    def _first(self, count: Any) -> Any:
        """A mask, true for the first `count` lanes."""
        kind = ir.VectorType(SIZE, self.lanes)
        return self._builder.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), self.all_of(count))

    def all_of(self, value: Any) -> Any:
        """The value in every lane."""
        nothing = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self._builder.insert_element(nothing, value, ir.Constant(INT, 0))
        return self.mixed(first, nothing, [0] * self.lanes)

    def mixed(self, x: Any, y: Any, numbers: list[int]) -> Any:
        """Lanes of x, and of y from number `lanes` on."""
        return self._builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(INT, self.lanes), numbers))

    def total(self, x: Any) -> Any:
        """The sum of all lanes."""
        apart = self.lanes // 2
        while apart:
            x = self._builder.fadd(x, self.mixed(x, x, [i ^ apart for i in range(self.lanes)]))
            apart //= 2
        return self._builder.extract_element(x, ir.Constant(INT, 0))

    def pieces(self, n: Any, case: Callable[[Any, Any], None]) -> None:
        """The case for each register's worth of n numbers: where it begins, and a mask where it isn't whole."""
        rest = self._builder.srem(n, number(self.lanes))
        whole = self._builder.sub(n, rest)
        with counting(self._builder, whole, self.lanes) as start:
            case(start, None)
        with self._builder.if_then(self._builder.icmp_signed(">", rest, number(0))):
            case(whole, self._first(rest))

    def load(self, place: Any, mask: Any = None) -> Any:
        if mask is None:
            return self._builder.load(self._builder.bitcast(place, self.type.as_pointer()), align=4)
        return self._builder.call(
            self._masked("load", self.type, FLOATS, INT, self._mask, self.type),
            [place, ir.Constant(INT, 4), mask, self.zero],
        )

    def store(self, value: Any, place: Any, mask: Any = None) -> None:
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
        """x * y + z."""
        return self._builder.fadd(self._builder.fmul(x, y, flags=FUSED), z, flags=FUSED)

    def sums(self, count: int) -> list[Any]:
        """So many registers that start at zero."""
        places = [cgutils.alloca_once(self._builder, self.type) for _ in range(count)]
        for place in places:
            self._builder.store(self.zero, place)
        return places

    def add_product(self, place: Any, x: Any, y: Any) -> None:
        """The register += x * y."""
        self._builder.store(self.multiply_add(x, y, self._builder.load(place)), place)


PREFETCH = ir.FunctionType(VOID, [ir.IntType(8).as_pointer(), INT, INT, INT])


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def prefetch(_context: Any, array: Any, low: Any, high: Any) -> Any:
    """Have array[low:high] brought into the first cache: samples are met in random order, which no processor foretells."""
    size = array.dtype.bitwidth // 8
    assert array.ndim == 1
    assert array.layout == "C"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, _ = unpacked(context, builder, array, arguments[0])
        prefetch = cgutils.get_or_insert_function(builder.module, PREFETCH, "llvm.prefetch.p0")
        start = builder.bitcast(data, ir.IntType(8).as_pointer())
        low, high = (builder.mul(argument, number(size)) for argument in arguments[1:])
        with counting(builder, high, LINE, low) as place:
            # To be read, and soon; of data.
            builder.call(prefetch, [builder.gep(start, [place]), *(ir.Constant(INT, value) for value in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate
