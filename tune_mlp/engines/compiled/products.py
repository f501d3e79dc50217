"""Products of matrices for batches and layers, as wide as the machine's registers.

BLAS copies its factors into panels first, which pays for large matrices only, and takes narrow registers where it doesn't
know the processor. numba won't keep a tile of sums in registers, so the tiles are written as vector instructions here.
Each sum is taken in the order of k, whatever the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer: float32, by rows or a transpose of such

BIT, INT, SIZE, FLOAT, VOID = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.VoidType()
FLOATS, NUMBERS = FLOAT.as_pointer(), SIZE.as_pointer()
FUSED = ("contract",)
"""A product and the sum after it may be one instruction."""
DEEP = 512
"""So many of the inner index at once: what a column of tiles reads of y then stays in the second cache, however large."""


def _registers(context: Any) -> tuple[int, dict[int, int]]:
    """How many numbers a register holds, and how many rows a tile has at most by its width in registers: so many that
    its sums, a row of y and a number of x fill the registers, and no sum waits for the one before it."""
    features = context.codegen().magic_tuple()[2]
    if "+avx512f" in features:
        return 16, {4: 6, 3: 6, 2: 8, 1: 8}
    return (8 if "+avx" in features else 4), {2: 5, 1: 8}


def _number(value: int) -> Any:
    return ir.Constant(SIZE, value)


@contextmanager
def _counting(builder: Any, high: Any, step: int) -> Iterator[Any]:
    """A loop's body, from 0 up to `high`."""
    index = cgutils.alloca_once(builder, SIZE)
    builder.store(_number(0), index)
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    now = builder.load(index)
    builder.cbranch(builder.icmp_signed("<", now, high), body, end)
    builder.position_at_end(body)
    yield now
    builder.store(builder.add(now, _number(step)), index)
    builder.branch(head)
    builder.position_at_end(end)


def _choose(builder: Any, value: Any, numbers: Iterable[int], case: Callable[[int], None]) -> None:
    """The case of the one of the numbers that is the value."""
    end = builder.append_basic_block("end")
    choice = builder.switch(value, end)
    for number in numbers:
        block = builder.append_basic_block(f"case_{number}")
        choice.add_case(_number(number), block)
        builder.position_at_end(block)
        case(number)
        builder.branch(end)
    builder.position_at_end(end)


def _least(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.icmp_signed("<", x, y), x, y)


class _Vectors:
    """Registers of numbers; of one that lies across a row's end only the first lanes are read and written."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self._builder, self.lanes = builder, lanes
        self._type, self._mask = ir.VectorType(FLOAT, lanes), ir.VectorType(BIT, lanes)
        self.zero = ir.Constant(self._type, [0.0] * lanes)

    def first(self, count: Any) -> Any:
        """A mask, true for the first `count` lanes."""
        kind = ir.VectorType(SIZE, self.lanes)
        return self._builder.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), self._all(count, kind))

    def all_of(self, value: Any) -> Any:
        return self._all(value, self._type)

    def _all(self, value: Any, kind: Any) -> Any:
        nothing = ir.Constant(kind, ir.Undefined)
        first = self._builder.insert_element(nothing, value, ir.Constant(INT, 0))
        return self._builder.shuffle_vector(first, nothing, self._lanes_of([0] * self.lanes))

    def _lanes_of(self, numbers: list[int]) -> Any:
        return ir.Constant(ir.VectorType(INT, self.lanes), numbers)

    def mixed(self, x: Any, y: Any, numbers: list[int]) -> Any:
        """Lanes of x, and of y from number `lanes` on."""
        return self._builder.shuffle_vector(x, y, self._lanes_of(numbers))

    def load(self, place: Any, mask: Any = None) -> Any:
        if mask is None:
            return self._builder.load(self._builder.bitcast(place, self._type.as_pointer()), align=4)
        return self._builder.call(
            self._masked("load", self._type, FLOATS, INT, self._mask, self._type),
            [place, ir.Constant(INT, 4), mask, self.zero],
        )

    def store(self, value: Any, place: Any, mask: Any = None) -> None:
        if mask is None:
            self._builder.store(value, self._builder.bitcast(place, self._type.as_pointer()), align=4)
            return
        self._builder.call(
            self._masked("store", VOID, self._type, FLOATS, INT, self._mask), [value, place, ir.Constant(INT, 4), mask]
        )

    def _masked(self, what: str, result: Any, *arguments: Any) -> Any:
        name = f"llvm.masked.{what}.v{self.lanes}f32.p0"
        return cgutils.get_or_insert_function(self._builder.module, ir.FunctionType(result, arguments), name)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z."""
        return self._builder.fadd(self._builder.fmul(x, y, flags=FUSED), z, flags=FUSED)


def _once(module: Any, name: str, kind: Any) -> tuple[Any, bool]:
    """A function of the module's, and whether it is yet to be written."""
    function = cgutils.get_or_insert_function(module, kind, name)
    fresh = function.is_declaration
    function.linkage = "linkonce_odr"
    return function, fresh


PRODUCT = ir.FunctionType(VOID, [SIZE, SIZE, SIZE, NUMBERS, FLOAT, FLOATS, SIZE, SIZE, FLOATS, BIT, FLOATS])
"""m, n, how many are listed, the listed, alpha, x, the way from a row of x to the next and from a column to the next, y,
add, out."""


def _product(context: Any, module: Any) -> Any:
    """The function of all products: columns of tiles, and in each its tiles."""
    function, fresh = _once(module, "tune_mlp_product", PRODUCT)
    if not fresh:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    m, n, all_listed, listed, alpha, x, x_row, x_column, y, given, out = function.args
    lanes, tiles = _registers(context)
    vectors = _Vectors(builder, lanes)
    widest = max(tiles)

    def at(start: Any, steps: Any) -> Any:
        return builder.gep(start, [steps])

    with _counting(builder, all_listed, DEEP) as deep:
        count, these = _least(builder, builder.sub(all_listed, deep), _number(DEEP)), at(listed, deep)
        add = builder.or_(given, builder.icmp_signed(">", deep, _number(0)))

        def tile(height: int, width: int, row: Any, column: Any, mask: Any) -> None:
            """So many rows by so many registers of out."""
            places = [[cgutils.alloca_once(builder, vectors.zero.type) for _ in range(width)] for _ in range(height)]
            for place in (place for line in places for place in line):
                builder.store(vectors.zero, place)
            masks = [None] * (width - 1) + [mask]
            x_first, y_first = at(x, builder.mul(row, x_row)), at(y, column)
            with _counting(builder, count, 1) as step:
                k = builder.load(at(these, step))
                x_at, y_at = at(x_first, builder.mul(k, x_column)), at(y_first, builder.mul(k, n))
                across = [vectors.load(at(y_at, _number(v * lanes)), masks[v]) for v in range(width)]
                for r, line in enumerate(places):
                    value = vectors.all_of(builder.load(at(x_at, builder.mul(_number(r), x_row))))
                    for place, numbers in zip(line, across, strict=True):
                        builder.store(vectors.multiply_add(value, numbers, builder.load(place)), place)
            scale = vectors.all_of(alpha)
            for r, line in enumerate(places):
                start = at(out, builder.add(builder.mul(builder.add(row, _number(r)), n), column))
                for v, place in enumerate(line):
                    target = at(start, _number(v * lanes))
                    before = builder.select(add, vectors.load(target, masks[v]), vectors.zero)
                    vectors.store(vectors.multiply_add(scale, builder.load(place), before), target, masks[v])

        def tiles_below(width: int, column: Any) -> None:
            """A column of tiles of nearly the same height: a last one of a row or two would wait for its own sums."""
            mask = vectors.first(builder.sub(builder.sub(n, column), _number((width - 1) * lanes)))
            highest = tiles[width]
            number_of_tiles = builder.sdiv(builder.add(m, _number(highest - 1)), _number(highest))
            height, higher = builder.sdiv(m, number_of_tiles), builder.srem(m, number_of_tiles)
            place = cgutils.alloca_once(builder, SIZE)
            builder.store(_number(0), place)
            with _counting(builder, number_of_tiles, 1) as number:
                row = builder.load(place)
                now = builder.add(height, builder.zext(builder.icmp_signed("<", number, higher), SIZE))
                _choose(builder, now, range(1, highest + 1), lambda height: tile(height, width, row, column, mask))
                builder.store(builder.add(row, now), place)

        with _counting(builder, n, widest * lanes) as column:
            left = builder.sdiv(builder.add(builder.sub(n, column), _number(lanes - 1)), _number(lanes))
            _choose(builder, _least(builder, left, _number(widest)), tiles, lambda width: tiles_below(width, column))
    builder.ret_void()
    return function


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def multiply(_context: Any, x: Any, y: Any, low: Any, high: Any, listed: Any, alpha: Any, add: Any, out: Any) -> Any:
    """out[low:high] = alpha * x[low:high, listed] @ y[listed], added to what is there if `add`.

    x stands by rows or is a transpose of such; something must be listed where nothing is to be added.
    """
    assert all(array.dtype == types.float32 for array in (x, y, out))
    assert x.layout in "CF"
    assert y.layout == out.layout == "C"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_data, m, k = _unpacked(context, builder, x, arguments[0])
        y_data, _, n = _unpacked(context, builder, y, arguments[1])
        out_data, _, _ = _unpacked(context, builder, out, arguments[7])
        low, high, alpha, add = arguments[2], arguments[3], arguments[5], arguments[6]
        numbers = make_array(listed)(context, builder, arguments[4])
        count = cgutils.unpack_tuple(builder, numbers.shape)[0]
        row, column = (k, _number(1)) if x.layout == "C" else (_number(1), m)
        x_low, out_low = builder.gep(x_data, [builder.mul(low, row)]), builder.gep(out_data, [builder.mul(low, n)])
        function = _product(context, builder.module)
        builder.call(
            function,
            [builder.sub(high, low), n, count, numbers.data, alpha, x_low, row, column, y_data, add, out_low],
        )
        return context.get_dummy_value()

    kinds = x, y, types.int64, types.int64, listed, types.float32, types.boolean, out
    return types.void(*kinds), generate


def _unpacked(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any, Any]:
    """A matrix's data, its rows and columns."""
    found = make_array(kind)(context, builder, value)
    rows, columns = cgutils.unpack_tuple(builder, found.shape)
    return found.data, rows, columns


SQUARE = ir.FunctionType(VOID, [FLOATS, SIZE, FLOATS, SIZE])
"""x, the way from a row of x to the next, out, and the way from row to row there."""


def _square(context: Any, module: Any) -> Any:
    """The function that transposes a square as wide as a register: by pairs of numbers, then by pairs of pairs, ..."""
    function, fresh = _once(module, "tune_mlp_square", SQUARE)
    if not fresh:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    x, x_row, out, out_row = function.args
    lanes, _ = _registers(context)
    vectors = _Vectors(builder, lanes)
    rows = [vectors.load(builder.gep(x, [builder.mul(_number(r), x_row)])) for r in range(lanes)]
    apart = 1
    while apart < lanes:
        upper = [lanes + i - apart if i & apart else i for i in range(lanes)]
        lower = [lanes + i if i & apart else i + apart for i in range(lanes)]
        for r in (r for r in range(lanes) if not r & apart):
            pair = rows[r], rows[r + apart]
            rows[r], rows[r + apart] = vectors.mixed(*pair, upper), vectors.mixed(*pair, lower)
        apart *= 2
    for r, row in enumerate(rows):
        vectors.store(row, builder.gep(out, [builder.mul(_number(r), out_row)]))
    builder.ret_void()
    return function


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def _transpose_squares(_context: Any, x: Any, out: Any) -> Any:
    """out = x.T, as far as squares as wide as a register reach; returns that width."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_data, rows, columns = _unpacked(context, builder, x, arguments[0])
        out_data, _, _ = _unpacked(context, builder, out, arguments[1])
        lanes, _ = _registers(context)
        square = _square(context, builder.module)
        last_row, last_column = (builder.sub(count, _number(lanes - 1)) for count in (rows, columns))
        with _counting(builder, last_row, lanes) as row, _counting(builder, last_column, lanes) as column:
            source = builder.gep(x_data, [builder.add(builder.mul(row, columns), column)])
            target = builder.gep(out_data, [builder.add(builder.mul(column, rows), row)])
            builder.call(square, [source, columns, target, rows])
        return _number(lanes)

    return types.int64(x, out), generate


@inline
def transpose(x: Array, out: Array) -> None:
    """out = x.T."""
    rows, columns = x.shape
    lanes = _transpose_squares(x, out)
    rows_done, columns_done = rows - rows % lanes, columns - columns % lanes
    for r in range(rows):
        for c in range(columns_done if r < rows_done else 0, columns):
            out[c, r] = x[r, c]
