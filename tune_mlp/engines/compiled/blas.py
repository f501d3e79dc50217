"""Products of matrices that are added to what is there: numba's own `np.dot` can only overwrite.

It is the same function of numba's, called with factors of our own, so that kernels stay cacheable.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

CHAR, POINTER, SIZE = ir.IntType(8), ir.IntType(8).as_pointer(), ir.IntType(64)
GEMM = ir.FunctionType(
    ir.IntType(32),
    [CHAR, CHAR, CHAR, SIZE, SIZE, SIZE, POINTER, POINTER, SIZE, POINTER, SIZE, POINTER, POINTER, SIZE],
)
"""kind, transpose a, transpose b, m, n, k, alpha, a, its rows' length, b, its rows' length, beta, c, its rows' length."""


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def multiply(_context: Any, x: Any, y: Any, alpha: Any, beta: Any, out: Any) -> Any:
    """out = alpha * x @ y + beta * out: float32, out by rows, x and y by rows or as a transpose of such."""
    assert all(array.dtype == types.float32 and array.layout in "CF" for array in (x, y, out))
    assert out.layout == "C"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def array(kind: Any, value: Any) -> Any:
            found = make_array(kind)(context, builder, value)
            shape = cgutils.unpack_tuple(builder, found.shape)
            transposed = ir.Constant(CHAR, ord("n" if kind.layout == "C" else "t"))
            inner = shape[1] if kind.layout == "C" else shape[0]
            return shape, transposed, builder.bitcast(found.data, POINTER), inner

        def slot(value: Any) -> Any:
            return builder.bitcast(cgutils.alloca_once_value(builder, value), POINTER)

        x_shape, x_transposed, x_data, x_inner = array(x, arguments[0])
        y_shape, y_transposed, y_data, y_inner = array(y, arguments[1])
        _, _, out_data, out_inner = array(out, arguments[4])
        gemm = cgutils.get_or_insert_function(builder.module, GEMM, "numba_xxgemm")
        # BLAS counts by columns: to it the arrays are transposed, and out.T = y.T @ x.T.
        builder.call(
            gemm,
            [
                ir.Constant(CHAR, ord("s")), y_transposed, x_transposed, y_shape[1], x_shape[0], x_shape[1],
                slot(arguments[2]), y_data, y_inner, x_data, x_inner, slot(arguments[3]), out_data, out_inner,
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(x, y, types.float32, types.float32, out), generate
