"""Which of an array's numbers aren't zero: as many at a time as a register holds, moved together by one instruction.

Whole registers are read and written: behind the end of each array here there must be room for `SLACK` numbers more, which
an array has that is a part of another one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tune_mlp.engines.compiled.simd import BIT, INT, SIZE, Vectors, lanes_of, number, unpacked

SLACK = 16
BYTE = ir.IntType(8)


def _written(context: Any, builder: Any, n: Any, wanted: Callable[[Any], Any], listed: Any) -> Any:
    """List the wanted ones of n places; returns how many there are. wanted: which of a register's."""
    lanes, _ = lanes_of(context)
    vectors, places = Vectors(builder, lanes), ir.VectorType(INT, lanes)
    pack = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(places, [places, ir.VectorType(BIT, lanes), places]),
        f"llvm.experimental.vector.compress.v{lanes}i32",
    )
    count = cgutils.alloca_once_value(builder, number(0))

    def piece(start: Any, mask: Any) -> None:
        these = wanted(start) if mask is None else builder.and_(wanted(start), mask)
        first = vectors.all_of(builder.trunc(start, INT))
        numbers = builder.add(first, ir.Constant(places, list(range(lanes))))
        packed = builder.call(pack, [numbers, these, ir.Constant(places, ir.Undefined)])
        end = builder.load(count)
        builder.store(packed, builder.bitcast(builder.gep(listed, [end]), places.as_pointer()), align=4)
        found = builder.ctpop(builder.bitcast(these, ir.IntType(lanes)))
        builder.store(builder.add(end, builder.zext(found, SIZE)), count)

    vectors.pieces(n, piece)
    return builder.load(count)


def _not_zero(context: Any, builder: Any, values: Any, start: Any) -> Any:
    """Which of a register's worth of floats or bytes, from `start` on; a NaN isn't zero."""
    lanes, _ = lanes_of(context)
    kind = ir.VectorType(values.type.pointee, lanes)
    found = builder.load(builder.bitcast(builder.gep(values, [start]), kind.as_pointer()), align=1)
    nothing = ir.Constant(kind, [0] * lanes)
    return (
        builder.icmp_signed("!=", found, nothing)
        if kind.element == BYTE
        else builder.fcmp_unordered("!=", found, nothing)
    )


def _given(context: Any, builder: Any, kinds: Any, arguments: Any) -> Iterator[Any]:
    """How long the first array is, and where each of them begins."""
    arrays = [unpacked(context, builder, kind, value) for kind, value in zip(kinds, arguments, strict=True)]
    return itertools.chain([arrays[0][1]], (data for data, _ in arrays))


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def list_nonzero(_context: Any, values: Any, listed: Any, zeros: Any) -> Any:
    """List the places of bytes or floats that aren't zero, and of the others, too, if `zeros`; returns how many there are."""
    assert values.dtype in (types.uint8, types.float32)
    assert listed.dtype == types.uint32
    kinds = values, listed

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n, values, listed = _given(context, builder, kinds, arguments[:-1])
        everything = Vectors(builder, lanes_of(context)[0]).all_of(arguments[-1])
        return _written(
            context,
            builder,
            n,
            lambda start: builder.or_(_not_zero(context, builder, values, start), everything),
            listed,
        )

    return types.int64(*kinds, types.boolean), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def list_newly_nonzero(_context: Any, values: Any, before: Any, listed: Any) -> Any:
    """List the places of floats that aren't zero where `before` is; returns how many there are."""
    assert values.dtype == before.dtype == types.float32
    assert listed.dtype == types.uint32
    kinds = values, before, listed

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n, values, before, listed = _given(context, builder, kinds, arguments)

        def wanted(start: Any) -> Any:
            there_before = _not_zero(context, builder, before, start)
            return builder.and_(_not_zero(context, builder, values, start), builder.not_(there_before))

        return _written(context, builder, n, wanted, listed)

    return types.int64(*kinds), generate
