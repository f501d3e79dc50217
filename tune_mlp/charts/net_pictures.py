"""The figures of a net that are pictures: what its outputs look for, what its layers answer to a sample, and its kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from tune_mlp.charts.figure import Figure, Image
from tune_mlp.charts.net_answers import sample_with_softmax
from tune_mlp.charts.pictures import SIDE, Rgba, as_picture, enlarged, grey, mosaic, png, side_by_side, signed, units
from tune_mlp.explain.inputs_wanted import STEPS, ascend, pixel_range, receptive_fields
from tune_mlp.explain.layers import LayerOutput, chosen_samples, layer_name, layer_outputs, weight_layers
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.results.answer import percent

SHOWN_UNITS = 20
"""The largest number of output units whose pictures are shown."""
SHOWN_DEPTH = 6
"""The largest number of layers whose activations are shown."""
SHOWN_KERNELS = 32
"""The largest number of kernels of a layer that are shown, and of each kernel's input channels."""
ACTIVE_SHARE = 0.1


def samples_figure(net: TrainedNet) -> Figure | None:
    """Show a sample of each class."""
    if not net.pictures or not net.classes:
        return None
    wanted, names = net.samples.wanted, net.classes
    counts = np.bincount(wanted, minlength=len(names))
    low, high = pixel_range(net)
    images = []
    for place in [int(np.argmax(wanted == number)) for number in range(len(names)) if counts[number]][:SHOWN_UNITS]:
        name = names[wanted[place]]
        picture = enlarged(grey(as_picture(net.samples.raw[place], net.dataset.shape), low, high))
        images.append(
            Image(png(picture), alt=f"Validation sample {net.samples.places[place]}, of class {name}.", caption=name)
        )
    most, least = int(counts.argmax()), int(counts.argmin())
    return Figure(
        name="samples",
        title="The samples",
        finding=f"Of {len(wanted):,} validation samples most are {names[most]} ({counts[most]:,}), and fewest {names[least]} "
        f"({counts[least]:,}).",
        caption="The first validation sample of each class.",
        data=pd.DataFrame({"class": names, "samples": counts}),
        images=tuple(images),
        trials=(net.trial,),
        notes=_first(names),
    )


def fields_figure(net: TrainedNet) -> Figure | None:
    """Show the product of the weight matrices for each output unit."""
    if not net.pictures or not net.classes:
        return None
    fields = receptive_fields(net.nets, int(net.dataset.x.shape[1]))
    shown = fields[:SHOWN_UNITS]
    most = float(np.abs(shown).max())
    size = np.linalg.norm(fields, axis=1)
    strongest, weakest = int(size.argmax()), int(size.argmin())
    nearest: NDArray[np.float64] = np.atleast_2d(np.corrcoef(fields))
    np.fill_diagonal(nearest, -2)
    one, other = np.unravel_index(int(nearest.argmax()), nearest.shape)
    names = net.classes
    finding = (
        f"The output for {names[strongest]} has the strongest field, {size[strongest] / max(size[weakest], 1e-12):.2g} times that for "
        f"{names[weakest]}; those for {names[min(one, other)]} and {names[max(one, other)]} are the most alike (r = {nearest[one, other]:.2f})."
    )
    images = tuple(
        Image(
            png(enlarged(signed(as_picture(field, net.dataset.shape), most))),
            alt=f"The receptive field of the output for {names[place]}: orange pixels speak for it, blue ones against it.",
            caption=names[place],
        )
        for place, field in enumerate(shown)
    )
    frame = pd.DataFrame({"class": names, "size": size})
    return Figure(
        name="receptive_fields",
        title="What each output looks for: receptive fields",
        finding=finding,
        caption="The product of all weight matrices, as if no activation stood between them: orange pixels speak for a class, blue ones "
        "against it." + ("" if net.config.model.name == "mlp" else " Pooling is taken as a mean."),
        data=frame,
        images=images,
        trials=(net.trial,),
        notes=_first(names),
    )


def _first(names: Sequence[str]) -> tuple[str, ...]:
    return (f"Shown are the first {SHOWN_UNITS} of {len(names)} classes.",) if len(names) > SHOWN_UNITS else ()


def ascent_figure(net: TrainedNet) -> Figure | None:
    """Show a picture that gradient ascent made for each class."""
    if not net.pictures or not net.classes:
        return None
    found = ascend(net)
    names = net.classes
    sure = int((found.probabilities > 0.99).sum())
    frame = pd.DataFrame(
        {"class": names, "before": found.before, "after": found.after, "probability": found.probabilities}
    )
    images = tuple(
        Image(
            png(enlarged(grey(as_picture(picture, net.dataset.shape), 0, 1))),
            alt=f"The picture that raises the output for {names[place]} most, from {found.before[place]:.1f} to {found.after[place]:.1f}.",
            caption=f"{names[place]}: {found.before[place]:.1f} → {found.after[place]:.1f}",
        )
        for place, picture in enumerate(found.pictures[:SHOWN_UNITS])
    )
    return Figure(
        name="gradient_ascent",
        title="What each output looks for: gradient ascent",
        finding=f"The net is more than 99 % sure of {sure} of {len(names)} pictures that {STEPS} steps of gradient ascent made of the same "
        "noise.",
        caption="Each picture began as the same random noise, and its pixels were changed so that the output of one class grew; beneath it "
        "stands that output before and after.",
        data=frame,
        images=images,
        trials=(net.trial,),
        notes=_first(names),
    )


def activations_figure(net: TrainedNet, pair: Sequence[str] = ()) -> Figure | None:
    """Show what each layer answers to three samples: one that is taken for another class, and a clear one of each."""
    if not net.pictures or not net.classes:
        return None
    chosen = chosen_samples(net, pair)
    layers = layer_outputs(net.nets[0], net.samples.inputs[chosen.places]) if chosen.places else []
    if not layers:
        return None
    layers = layers[:SHOWN_DEPTH]
    rows = []
    images = []
    for number, (place, words) in enumerate(zip(chosen.places, chosen.words, strict=True)):
        low, high = pixel_range(net)
        parts = [enlarged(grey(as_picture(net.samples.raw[place], net.dataset.shape), low, high))]
        said = []
        for layer in layers:
            parts.append(_block(layer, number))
            active = _active(layer)[number]
            rows.append((words, layer.name, active, layer.values[0].size))
            said.append(f"{layer.name}: {active:,} of {layer.values[0].size:,} active")
        text = "; ".join(said)
        images.append(
            Image(
                png(side_by_side(parts)),
                alt=f"{words}: the sample, then its activations. {text}.",
                caption=f"{words}: {text}",
            )
        )
    frame = pd.DataFrame(rows, columns=["sample", "layer", "active", "units"])
    last = frame[frame["layer"] == layers[-1].name]
    counts = ", ".join(f"{words}: {active:,}" for words, active in zip(last["sample"], last["active"], strict=True))
    return Figure(
        name="activations",
        title="What the layers answer",
        finding=f"Of the {int(last['units'].iloc[0]):,} units of {layers[-1].name} these are active: {counts}.",
        caption="From left to right: a validation sample, then the units of each hidden layer after its activation, white where strong (or "
        "orange, and blue where negative). A unit is active beyond a tenth of the layer's largest activation here.",
        data=frame,
        images=tuple(images),
        trials=(net.trial,),
        notes=("It is the first of several nets.",) if len(net.nets) > 1 else (),
    )


def _active(layer: LayerOutput) -> list[int]:
    size = np.abs(layer.values).reshape(len(layer.values), -1)
    return [int(count) for count in (size > ACTIVE_SHARE * size.max()).sum(axis=1)]


def _block(layer: LayerOutput, number: int) -> Rgba:
    most = float(np.abs(layer.values).max()) or 1.0
    values = layer.values[number]
    return units(values, most) if values.ndim == 1 else _maps(values, most)


def _maps(values: NDArray[np.float64], most: float) -> Rgba:
    """Return the feature maps of a convolution, [channels, height, width], as a mosaic."""
    pictures = [signed(one, most) if values.min() < 0 else grey(one, 0, most) for one in values[:SHOWN_KERNELS]]
    return enlarged(mosaic(pictures), 2 * SIDE)


def softmax_figure(net: TrainedNet, pair: Sequence[str] = ()) -> Figure | None:
    """Show the softmax of the samples whose activations are shown."""
    if not net.pictures or not net.classes:
        return None
    chosen = chosen_samples(net, pair)
    if not chosen.places:
        return None
    first = chosen.places[0]
    own, answer = int(net.samples.wanted[first]), int(net.found[first])
    shares = net.probabilities[first]
    frame = pd.DataFrame(net.probabilities[chosen.places], columns=net.classes)
    frame.insert(0, "sample", chosen.words)
    return Figure(
        name="softmax",
        title="The softmax of three samples",
        finding=f"The net answers {net.classes[answer]} at {percent(shares[answer], 1)} to {chosen.words[0]}; its own class gets {percent(shares[own], 1)}.",
        caption="A bar is the probability of a class: orange for the answer, grey for the right class where it isn't the answer.",
        data=frame,
        images=tuple(
            sample_with_softmax(net, place, words) for place, words in zip(chosen.places, chosen.words, strict=True)
        ),
        trials=(net.trial,),
    )


def kernels_figure(net: TrainedNet) -> Figure | None:
    """Show the kernels of each convolution."""
    layers = weight_layers(net.nets[0])
    convolutions = [
        (number, layer) for number, (_, layer) in enumerate(layers, start=1) if isinstance(layer, nn.Conv2d)
    ]
    if not convolutions:
        return None
    rows = []
    images = []
    for number, layer in convolutions:
        weights = layer.weight.detach().double().numpy()
        most = float(np.abs(weights).max())
        shown = weights[:SHOWN_KERNELS, :SHOWN_KERNELS]
        columns = shown.shape[1] if shown.shape[1] > 1 else 8
        size_of_one = 10 if shown.shape[0] * shown.shape[1] > 64 else 40
        parts = [enlarged(signed(channel, most), size_of_one) for kernel in shown for channel in kernel]
        name = layer_name(number, layer, len(layers))
        text = f"{name}, {weights.shape[1]} input channels"
        images.append(Image(png(mosaic(parts, columns)), alt=f"The kernels of {text}.", caption=text))
        size = np.linalg.norm(weights.reshape(len(weights), -1), axis=1)
        rows += [(f"layer {number}", place, float(one)) for place, one in enumerate(size)]
    frame = pd.DataFrame(rows, columns=["layer", "kernel", "size"])
    first = frame[frame["layer"] == frame["layer"][0]]
    return Figure(
        name="kernels",
        title="The kernels of the convolutions",
        finding=f"The {len(first)} kernels of {first['layer'].iloc[0]} have sizes from {first['size'].min():.3g} to {first['size'].max():.3g} "
        "(the root of the sum of their squares).",
        caption="A square is a kernel on one input channel: orange weights are positive, blue ones negative. Where there are several input "
        "channels, a row is a kernel and a column a channel.",
        data=frame,
        images=tuple(images),
        trials=(net.trial,),
        notes=("Shown are 32 kernels and 32 channels of a layer at most.",) if _large(convolutions) else (),
    )


def _large(convolutions: Sequence[tuple[int, nn.Conv2d]]) -> bool:
    return any(max(layer.in_channels, layer.out_channels) > SHOWN_KERNELS for _, layer in convolutions)


def maps_figure(net: TrainedNet, pair: Sequence[str] = ()) -> Figure | None:
    """Show what the kernels of each convolution answer to one sample."""
    if not any(isinstance(layer, nn.Conv2d) for layer in net.nets[0]):
        return None
    chosen = chosen_samples(net, pair)
    if not chosen.places:
        return None
    place, words = chosen.places[0], chosen.words[0]
    layers = [layer for layer in layer_outputs(net.nets[0], net.samples.inputs[[place]]) if layer.values.ndim == 4]
    low, high = pixel_range(net)
    sample = enlarged(grey(as_picture(net.samples.raw[place], net.dataset.shape), low, high))
    images = [Image(png(sample), alt=f"The sample: {words}.", caption=words)]
    rows = []
    for layer in layers:
        values = layer.values[0]
        channels = len(values)
        text = f"{layer.name}: {channels} maps of {values.shape[1]}x{values.shape[2]}"
        images.append(
            Image(png(_maps(values, float(np.abs(values).max()) or 1.0)), alt=f"Feature maps of {text}.", caption=text)
        )
        rows += [(layer.name, channel, float(np.abs(values[channel]).max())) for channel in range(channels)]
    frame = pd.DataFrame(rows, columns=["layer", "map", "largest"])
    silent = int((frame["largest"] == 0).sum())
    return Figure(
        name="feature_maps",
        title="What the convolutions answer",
        finding=f"To {words}, {len(frame) - silent} of {len(frame)} feature maps answer"
        + (f", and {silent} stay silent." if silent else "."),
        caption="A square is what one kernel answers at each place of the sample, after the activation: white where strong.",
        data=frame,
        images=tuple(images),
        trials=(net.trial,),
        notes=("Shown are 32 maps of a layer at most.",) if (frame["map"] >= SHOWN_KERNELS).any() else (),
    )
