"""A run's winner as an ONNX model, with the filling, scaling and encoding of its inputs inside.

A model of a table has an input for each of its columns, [rows, 1]: float64 for numbers, with NaN where one is missing, and text
for categories, with empty text where one is missing. ONNX knows no dates, so each part of a date is an input of its own. A model of
pictures or arrays has one input, `samples`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import REGRESSION_LOSSES
from tune_mlp.data.encoder import MISSING, TAIL, CategoryEncoding, Encoding, TableColumn, TableEncoder
from tune_mlp.data.transforms import InputScaler
from tune_mlp.errors import UsageError
from tune_mlp.models.average import Average
from tune_mlp.models.cnn import Pictures
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.results.export import write_aside
from tune_mlp.version import __version__

if TYPE_CHECKING:
    import onnx

OPSETS = {"": 20, "ai.onnx.ml": 2}
IR_VERSION = 9
"""The version of the file format; ONNX Runtime reads it from 1.17 on."""
MOST_CERTAIN = 1e-7
"""The smallest share whose normal score is told from the next: that of TAIL."""


def export_onnx(model: FittedModel, path: Path) -> None:
    """Write the model as an ONNX file."""
    try:
        import onnx
    except ImportError:
        raise UsageError("--to onnx needs the package onnx: pip install 'tune-mlp[onnx]'") from None
    made = _Export(model).made()
    onnx.checker.check_model(made)
    write_aside(path, lambda aside: aside.write_bytes(made.SerializeToString()))


class _Graph:
    """The nodes of a graph under construction; each method that adds a node returns the name of its result."""

    def __init__(self, taken: Sequence[str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken = set(taken)
        self._count = 0

    def add(self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node of one result."""
        from onnx import helper

        result = output or self._name()
        self.nodes.append(helper.make_node(operator, list(inputs), [result], domain=domain, **attributes))
        return result

    def constant(self, values: Any, kind: Any = None) -> str:
        """Add a constant; texts are given as a list."""
        from onnx import TensorProto, helper, numpy_helper

        name = self._name()
        if isinstance(values, list) and values and isinstance(values[0], str):
            encoded = [text.encode() for text in values]
            self.constants.append(helper.make_tensor(name, TensorProto.STRING, [len(values)], encoded))
        else:
            self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def _name(self) -> str:
        self._count += 1
        while (name := f"_{self._count}") in self._taken:
            self._count += 1
        return name


class _Export:
    """Builds the ONNX model of one fitted model."""

    def __init__(self, model: FittedModel) -> None:
        from onnx import TensorProto

        self._model = model
        self._scaler = model.scaler
        columns = self._scaler.columns if isinstance(self._scaler, TableEncoder) else ()
        self._graph = _Graph([*(column.name for column in columns), "samples", "prediction", "probabilities"])
        self._float, self._double = TensorProto.FLOAT, TensorProto.DOUBLE
        self._int, self._string = TensorProto.INT64, TensorProto.STRING

    def made(self) -> onnx.ModelProto:
        from onnx import helper

        scaler, description = self._scaler, self._model.description
        if isinstance(scaler, TableEncoder):
            inputs = [self._input(column) for column in scaler.columns]
            x = self._encoded(scaler)
        else:
            wanted = int(description["inputs"])
            inputs = [helper.make_tensor_value_info("samples", self._float, ["rows", wanted], _said_of(description))]
            x = self._scaled("samples", scaler)
        outputs = self._outputs(self._net(self._model.module, x))
        graph = helper.make_graph(self._graph.nodes, "tune_mlp", inputs, outputs, self._graph.constants)
        made = helper.make_model(
            graph,
            producer_name="tune_mlp",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
            ir_version=IR_VERSION,
        )
        facts = {name: description.get(name) for name in ("dataset", "trial", "params", "metrics", "test", "classes")}
        helper.set_model_props(made, {name: json.dumps(fact) for name, fact in facts.items()})
        return made

    def _input(self, column: TableColumn) -> onnx.ValueInfoProto:
        from onnx import helper

        kind = self._string if column.categories else self._double
        said = "text; empty where it is missing" if column.categories else "a number; NaN where it is missing"
        if column.part:
            said = f"{column.part} of {column.source!r}; NaN where it is missing"
        if column.kind == "boolean":
            said = "1 for true and 0 for false; NaN where it is missing"
        return helper.make_tensor_value_info(column.name, kind, ["rows", 1], said)

    def _encoded(self, encoder: TableEncoder) -> str:
        """Add the nodes that make a net's inputs [rows, inputs] of a table's columns."""
        add = self._graph.add
        parts = [
            part
            for column, encoding in zip(encoder.columns, encoder.encodings, strict=True)
            for part in self._column(column, encoding)
        ]
        if not encoder.per_sample:
            return add("Concat", *(add("Cast", part, to=self._float) for part in parts), axis=1)
        wide = add("Concat", *(add("Cast", part, to=self._double) for part in parts), axis=1)
        return add("Cast", self._scaled_rows(wide, np.float64), to=self._float)

    def _column(self, column: TableColumn, encoding: Encoding) -> list[str]:
        add, constant = self._graph.add, self._graph.constant
        if isinstance(encoding, CategoryEncoding):
            return [self._category(column, encoding)]
        holes = add("IsNaN", column.name)
        filled = add("Where", holes, constant(encoding.fill, np.float64), column.name)
        if encoding.quantiles:
            number = self._normal_score(filled, np.asarray(encoding.quantiles))
        else:
            centred = add("Sub", filled, constant(encoding.centre, np.float64))
            number = add("Mul", centred, constant(encoding.factor, np.float64))
        return [number, add("Cast", holes, to=self._double)] if encoding.indicate else [number]

    def _category(self, column: TableColumn, encoding: CategoryEncoding) -> str:
        """Look up the inputs of each category in a table, whose last row is that of any value without an input of its own."""
        add, constant = self._graph.add, self._graph.constant
        width = len(encoding.features)
        rows = np.tile(-np.asarray(encoding.centres) * encoding.factors, (len(encoding.categories) + 1, 1))
        for row, place in enumerate(encoding.places(encoding.categories)):
            if place < width:
                rows[row, place] += encoding.factors[place]
        keys = ["" if value == MISSING else value for value in encoding.categories]
        found = add(
            "LabelEncoder",
            column.name,
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_int64s=list(range(len(keys))),
            default_int64=len(keys),
        )
        looked_up = add("Gather", constant(rows, np.float32), found, axis=0)
        return add("Reshape", looked_up, constant([-1, width], np.int64))

    def _normal_score(self, x: str, quantiles: NDArray[np.float64]) -> str:
        """Add `encoder.normal_scores`: a value's place among the quantiles, from below and from above, as a normal score."""
        add, constant = self._graph.add, self._graph.constant
        last = len(quantiles) - 1
        every, zero, one = constant(quantiles.reshape(1, -1), np.float64), constant(0.0), constant(1.0)
        lows, highs, final = constant(quantiles[:-1]), constant(quantiles[1:]), constant(float(last - 1))

        def place(below: str) -> str:
            """Return the place, where equal quantiles count as `below` a value or not."""
            count = add("ReduceSum", add("Cast", add(below, every, x), to=self._double), constant([1], np.int64))
            start = add("Clip", add("Sub", count, one), zero, final)
            index = add("Cast", start, to=self._int)
            low, high = (add("Gather", ends, index, axis=0) for ends in (lows, highs))
            step = add("Sub", high, low)
            rises = add("Greater", step, zero)
            share = add("Div", add("Sub", x, low), add("Where", rises, step, one))
            beyond = add("Cast", add(below, high, x), to=self._double)  # where the step has no length
            share = add("Clip", add("Where", rises, share, beyond), zero, one)
            return add("Mul", add("Add", start, share), constant(1.0 / last))

        both = add("Add", place("LessOrEqual"), place("Less"))
        shares = add("Mul", both, constant(0.5, np.float64))
        bounds = constant(-TAIL, np.float64), constant(TAIL, np.float64)
        return add("Clip", self._inverse_normal(shares), *bounds)

    def _inverse_normal(self, shares: str) -> str:
        """Add the inverse of the normal distribution: algorithm AS 241 (Wichura 1988), which is exact to 1e-16."""
        add, constant = self._graph.add, self._graph.constant
        one = constant(1.0, np.float64)
        shares = add("Clip", shares, constant(MOST_CERTAIN, np.float64), constant(1 - MOST_CERTAIN, np.float64))
        away = add("Sub", shares, constant(0.5, np.float64))
        near = add("Sub", constant(0.180625, np.float64), add("Mul", away, away))
        inner = add("Mul", away, add("Div", self._polynomial(near, _A), self._polynomial(near, _B)))
        smaller = add("Min", shares, add("Sub", one, shares))
        root = add("Sub", add("Sqrt", add("Neg", add("Log", smaller))), constant(1.6, np.float64))
        size = add("Div", self._polynomial(root, _C), self._polynomial(root, _D))
        outer = add("Mul", add("Sign", away), size)
        is_near = add("LessOrEqual", add("Abs", away), constant(0.425, np.float64))
        return add("Where", is_near, inner, outer)

    def _polynomial(self, x: str, factors: Sequence[float]) -> str:
        add, constant = self._graph.add, self._graph.constant
        value = constant(factors[-1], np.float64)
        for factor in reversed(factors[:-1]):
            value = add("Add", add("Mul", value, x), constant(factor, np.float64))
        return value

    def _scaled(self, x: str, scaler: InputScaler) -> str:
        add, constant = self._graph.add, self._graph.constant
        if scaler.fill is not None:
            x = add("Where", add("IsNaN", x), constant(scaler.fill, np.float32), x)
        if scaler.per_sample:
            return self._scaled_rows(x, np.float32)
        return add("Add", add("Mul", x, constant(scaler.scale, np.float32)), constant(scaler.shift, np.float32))

    def _scaled_rows(self, x: str, kind: Any) -> str:
        """Scale each row to mean 0 and deviation 1; a row of equal numbers becomes 0."""
        add, constant = self._graph.add, self._graph.constant
        axis, zero, one = constant([1], np.int64), constant(0, kind), constant(1, kind)
        size = add("ReduceMax", add("Abs", x), axis, keepdims=1)
        part = add("Div", x, add("Where", add("Equal", size, zero), one, size))
        highest, lowest = (add(f"Reduce{end}", part, axis, keepdims=1) for end in ("Max", "Min"))
        centred = add("Sub", part, add("ReduceMean", part, axis, keepdims=1))
        deviation = add("Sqrt", add("ReduceMean", add("Mul", centred, centred), axis, keepdims=1))
        flat = add("Or", add("Equal", highest, lowest), add("Equal", deviation, zero))
        return add("Where", flat, zero, add("Div", centred, add("Where", flat, one, deviation)))

    def _net(self, net: nn.Module, x: str) -> str:
        if isinstance(net, Average):
            add, outputs = self._graph.add, [self._net(one, x) for one in net.nets]
            if not net.of_probabilities:
                return add("Mean", *outputs)
            return add("Log", add("Mean", *(add("Softmax", z, axis=1) for z in outputs)))
        for layer in net.children():
            for kind, add_layer in _LAYERS.items():
                if isinstance(layer, kind):
                    x = add_layer(self._graph, layer, x)
                    break
            else:
                raise UsageError(f"--to onnx: {type(layer).__name__} can't be written as ONNX")
        return x

    def _outputs(self, z: str) -> list[onnx.ValueInfoProto]:
        from onnx import helper

        add, constant, model = self._graph.add, self._graph.constant, self._model
        count = int(model.description["outputs"])
        if model.task == "classification":
            place = add("ArgMax", z, axis=1, keepdims=0)
            add("Gather", constant([str(name) for name in model.classes_]), place, output="prediction", axis=0)
            wide = add("Cast", z, to=self._double)
            if model.description["config"]["loss"] in REGRESSION_LOSSES:
                shares = add("Clip", wide, constant(1e-9, np.float64))
                total = add("ReduceSum", shares, constant([1], np.int64), keepdims=1)
                add("Div", shares, total, output="probabilities")
            else:
                add("Softmax", wide, output="probabilities", axis=1)
            return [
                helper.make_tensor_value_info("prediction", self._string, ["rows"]),
                helper.make_tensor_value_info("probabilities", self._double, ["rows", count]),
            ]
        target = model.description["target"]
        numbers = add("Mul", add("Cast", z, to=self._double), constant(_as_float32(target["std"])))
        add("Add", numbers, constant(_as_float32(target["mean"])), output="prediction")
        return [helper.make_tensor_value_info("prediction", self._double, ["rows", count])]


def _as_float32(values: Any) -> NDArray[np.float64]:
    """Return the numbers as float32 holds them, which is what `FittedModel` calculates with."""
    return np.asarray(values, np.float32).astype(np.float64)


def _said_of(description: Any) -> str:
    shape = "x".join(str(side) for side in description.get("shape", ()))
    return f"{shape} pixels from 0 to 255, row by row" if shape else "numbers as in training, not scaled"


_Add = Callable[[_Graph, Any, str], str]


def _operator(name: str, **attributes: Any) -> _Add:
    return lambda graph, layer, x: graph.add(name, x, **attributes)


def _nothing(graph: _Graph, layer: nn.Module, x: str) -> str:
    return x


def _linear(graph: _Graph, layer: nn.Linear, x: str) -> str:
    inputs = [x, graph.constant(_array(layer.weight))]
    if layer.bias is not None:
        inputs.append(graph.constant(_array(layer.bias)))
    return graph.add("Gemm", *inputs, transB=1)


def _norm(graph: _Graph, layer: nn.BatchNorm1d, x: str) -> str:
    tensors = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    return graph.add("BatchNormalization", x, *(graph.constant(_array(part)) for part in tensors), epsilon=layer.eps)


def _convolution(graph: _Graph, layer: nn.Conv2d, x: str) -> str:
    inputs = [x, graph.constant(_array(layer.weight))]
    if layer.bias is not None:
        inputs.append(graph.constant(_array(layer.bias)))
    top, left = (int(side) for side in layer.padding)
    return graph.add("Conv", *inputs, pads=[top, left, top, left])


def _pooling(graph: _Graph, layer: nn.MaxPool2d, x: str) -> str:
    side = int(layer.kernel_size)  # type: ignore[arg-type]  # ours is one number
    return graph.add("MaxPool", x, kernel_shape=[side, side], strides=[side, side])


def _pictures(graph: _Graph, layer: Pictures, x: str) -> str:
    shaped = graph.add("Reshape", x, graph.constant([-1, *layer.unflattened_size], np.int64))
    return graph.add("Transpose", shaped, perm=[0, 3, 1, 2])


def _array(tensor: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = tensor.detach().cpu().contiguous().numpy()
    return found


_LAYERS: dict[type[nn.Module], _Add] = {
    Pictures: _pictures,
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.MaxPool2d: _pooling,
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
    nn.Flatten: _operator("Flatten", axis=1),
    nn.Dropout: _nothing,
    nn.Identity: _nothing,
    nn.ReLU: _operator("Relu"),
    nn.LeakyReLU: _operator("LeakyRelu", alpha=0.01),
    nn.ReLU6: lambda graph, layer, x: graph.add(
        "Clip", x, graph.constant(0, np.float32), graph.constant(6, np.float32)
    ),
    nn.ELU: _operator("Elu", alpha=1.0),
    nn.SELU: _operator("Selu"),
    nn.GELU: _operator("Gelu"),
    nn.SiLU: lambda graph, layer, x: graph.add("Mul", x, graph.add("Sigmoid", x)),
    nn.Hardswish: _operator("HardSwish"),
    nn.Tanh: _operator("Tanh"),
    nn.Sigmoid: _operator("Sigmoid"),
    nn.Softplus: _operator("Softplus"),
    nn.LogSoftmax: _operator("LogSoftmax", axis=1),
}
"""How each kind of layer is written; a subclass is written as the first of these that it belongs to."""

# The coefficients of AS 241, lowest power first: a and b for the middle, c and d for the tails.
_A = (
    3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
_B = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
    3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
_C = (
    1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
    1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
_D = (
    1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
    1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip
