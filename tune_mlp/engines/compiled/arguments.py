"""The kernels' arguments, in groups: a net, a chunk of samples, an optimiser, and one hidden layer of a batch.

They are named tuples because numba compiles these. A field that is an array says its kind and shape.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tune_mlp.engines.compiled.jit import spliced

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer


class Net(NamedTuple):
    """A net: its shape, and its numbers in flat arrays that its PyTorch module shares."""

    dims: Array
    """int64 [layers + 1]: the number of inputs, of each hidden layer's units, and of outputs."""
    places: Array
    """int64 [layers, 4]: where each layer's weights, bias, and batch norm's scale and shift begin in `weights`."""
    units_before: Array
    """int64 [layers]: the number of hidden units in the hidden layers before this one; the last number counts all."""
    weights: Array
    """float32: all weights, each matrix as [inputs, outputs], so that a sample walks along its rows. Behind them stand
    zeros, for the biases that layers under batch norm don't have."""
    weight_count: int
    """The number of weights, without these zeros."""
    means: Array
    """float32 [hidden units]: batch norm's running means; empty without batch norm."""
    variances: Array
    """float32 [hidden units]: batch norm's running variances."""
    activation: int
    """One of `activations.NUMBERS`."""
    loss: int
    """One of `losses.NUMBERS`."""
    batch_norm: bool


class Chunk(NamedTuple):
    """The samples that one call trains on or evaluates, n of them in batches of `size`, and what comes out of it."""

    sparse: bool
    """True if the samples are `rows` of `pictures`, whose zeros are left out; else they are `inputs`."""
    rows: Array
    """int64 [n], read-only."""
    pictures: Array
    """uint8 [all samples, features], read-only."""
    scale: Any
    """float32: a pixel x is the input `scale * x + shift`."""
    shift: Any
    """float32."""
    inputs: Array
    """float32 [n, features], scaled."""
    classes: Array
    """int64 [n]: the targets, where they are classes."""
    targets: Array
    """float32 [n, outputs]: the targets, where they are numbers; else empty."""
    class_weights: Array
    """float32 [classes]: the weight of a sample of each class in the loss; empty where all count alike."""
    size: int
    masks: Array
    """uint8 [n, hidden units]: 1 where dropout keeps a unit; empty without dropout."""
    keep: Any
    """float32: the share of units that dropout keeps; 1 without dropout."""
    outputs: Array
    """float32 [n, outputs], written."""
    losses: Array
    """float64 [batches]: each batch's mean loss, written."""


class Optimiser(NamedTuple):
    """An optimiser: its settings, and its numbers for each weight."""

    kind: int
    """One of `optimisers.NUMBERS`."""
    settings: Array
    """float64 [7]: what `optimisers.settings` gives."""
    plain: bool
    """True for SGD without momentum and penalties, which leaves a weight without a gradient as it is."""
    steps: int
    """The number of steps that have been taken."""
    gradients: Array
    """float32 [weights], written over in each step."""
    first: Array
    """float32 [weights]: momentum, or the gradient's running mean."""
    second: Array
    """float32 [weights]: the running mean of the squared gradient, or its running maximum."""


class HiddenLayer(NamedTuple):
    """One hidden layer of a batch of b samples: what lies between two layers' weights."""

    sums: Array
    """float32 [b, units]: what the layer's weights make of its inputs."""
    outputs: Array
    """float32 [b, units]: what goes on to the next layer."""
    gradients: Array
    """float32 [b, units]."""
    scale: Array
    """float32 [units]: batch norm's weight."""
    shift: Array
    """float32 [units]: batch norm's bias."""
    centre: Array
    """float32 [units]: the mean that batch norm takes away."""
    inverse: Array
    """float32 [units]: 1 over the standard deviation that batch norm divides by."""
    masks: Array
    """uint8 [b, hidden units], as in `Chunk`."""
    first_unit: Any
    """The column of the masks at which the layer's units begin."""


@spliced
def matrix(values: Array, net: Net, layer: Any) -> Array:
    """Return the part of `values`, which has a number for each weight, that is a layer's matrix [inputs, outputs]."""
    start, inputs, outputs = net.places[layer, 0], net.dims[layer], net.dims[layer + 1]
    return values[start : start + inputs * outputs].reshape(inputs, outputs)


BIAS, SCALE, SHIFT = 1, 2, 3


@spliced
def vector(values: Array, net: Net, layer: Any, which: Any) -> Array:
    """Return the part of `values` that is a layer's BIAS, or its batch norm's SCALE or SHIFT."""
    start = net.places[layer, which]
    return values[start : start + net.dims[layer + 1]]


@spliced
def layer_of(values: Array, net: Net, layer: Any, size: Any, b: Any) -> Array:
    """Return the part of `values`, which has room for all hidden units of `size` samples, that is a layer's [b, units]."""
    start, units = size * net.units_before[layer], net.dims[layer + 1]
    return values[start : start + b * units].reshape(b, units)
