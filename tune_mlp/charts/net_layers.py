"""The figures of a net's layers: their shapes, the spread of their weights, and a map of what the second-last one answers."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from tune_mlp.charts.figure import Chart, Figure
from tune_mlp.charts.theme import ACCENT, LABEL, REFERENCE
from tune_mlp.explain.embedding import embedding
from tune_mlp.explain.layers import hidden_layers, shapes
from tune_mlp.explain.trained_again import initial_nets
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.explain.weights import WeightsByEpoch, WeightsOfLayers, histograms, weights_of
from tune_mlp.results.answer import counted, percent

SHOWN_LAYERS = 9
"""The largest number of layers whose weights are drawn."""
BEFORE, AFTER = "before training", "trained"


def layers_figure(net: TrainedNet) -> Figure | None:
    """Draw the net as a column of its steps."""
    frame = shapes(net.nets[0], int(net.model.description["inputs"]))
    weights = int(frame["weights"].sum())
    many = f"; {len(net.nets)} such nets answer together" if len(net.nets) > 1 else ""
    return Figure(
        name="layers",
        title="The net",
        finding=f"The net has {counted(hidden_layers(net.nets[0]), 'hidden layer')} and {weights:,} weights{many}.",
        caption="A sample goes through the steps from top to bottom; beside each stand the shape of what comes out and its weights.",
        data=frame,
        chart=_layers_chart(frame),
        trials=(net.trial,),
    )


def _layers_chart(frame: pd.DataFrame) -> Chart:
    weights = frame["weights"].map(lambda count: f" · {count:,} weights" if count else "")
    rows = frame.assign(place=range(len(frame)), text=frame["step"] + " → " + frame["shape"] + weights)
    rows.loc[0, "text"] = "input · " + str(frame["shape"][0])
    base = alt.Chart(rows).encode(y=alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.35)))
    boxes = base.mark_bar(height={"band": 1}, cornerRadius=4, opacity=0.2, width=320)
    boxes = boxes.encode(
        x=alt.X(datum=0, type="quantitative", axis=None, scale=alt.Scale(domain=[0, 1])),
        x2=alt.X2Datum(1),
        tooltip=["step:N", "shape:N", "weights:Q"],
    )
    # Layers with weights stand out from those that have none.
    with_weights = boxes.transform_filter("datum.weights > 0").mark_bar(style=ACCENT, opacity=0.35, cornerRadius=4)
    without = boxes.transform_filter("datum.weights === 0").mark_bar(
        style=REFERENCE, strokeDash=[0, 0], opacity=0.15, cornerRadius=4
    )
    middle = alt.X(datum=0.5, type="quantitative", axis=None)
    text = base.mark_text(style=LABEL).encode(x=middle, text="text:N")
    arrows = (
        base.transform_filter(f"datum.place < {len(rows) - 1}").mark_text(style=LABEL, text="↓", dy=16).encode(x=middle)
    )
    chart: Chart = alt.layer(without, with_weights, text, arrows).properties(width=340, height=alt.Step(34))
    return chart


def weights_figure(net: TrainedNet) -> Figure | None:
    """Draw the weights of each layer before training and after it."""
    stages = {AFTER: weights_of(net.nets), BEFORE: weights_of(initial_nets(net.recipe))}
    frame = histograms(_few_layers(stages))
    spread = frame.attrs["spread"]
    grown = {layer: of[AFTER] / of[BEFORE] if of[BEFORE] > 0 else float("inf") for layer, of in spread.items()}
    most = max(grown, key=lambda layer: grown[layer])
    finding = (
        f"The weights of {most.partition(':')[0]} spread most: their standard deviation was {spread[most][BEFORE]:.3g} before training "
        f"and is {spread[most][AFTER]:.3g} now."
    )
    return Figure(
        name="weight_histograms",
        title="The weights, before training and trained",
        finding=finding,
        caption="Each panel is a layer, without its biases. The lines are the shares of its weights by size; the weights before training "
        "were drawn again from the trial's seed.",
        data=frame,
        chart=histogram_chart(frame, alt.Color("stage:N", sort=[AFTER, BEFORE], title=None)),
        trials=(net.trial,),
        notes=_left_out(stages),
    )


def epochs_figure(net: TrainedNet, by_epoch: WeightsByEpoch) -> Figure:
    """Draw the weights of each layer from epoch to epoch."""
    stages = {str(epoch): weights for epoch, weights in by_epoch.epochs.items()}
    frame = histograms(_few_layers(stages)).astype({"stage": int}).rename(columns={"stage": "epoch"})
    spread = frame.attrs["spread"]
    first, last = str(min(by_epoch.epochs)), str(max(by_epoch.epochs))
    moved = {layer: of[last] - of[first] for layer, of in spread.items()}
    most = max(moved, key=lambda layer: abs(moved[layer]))
    return Figure(
        name="weights_over_epochs",
        title="The weights over the epochs",
        finding=f"From epoch {first} to {last} the standard deviation of the weights changes most in {most.partition(':')[0]}: from "
        f"{spread[most][first]:.3g} to {spread[most][last]:.3g}.",
        caption="Each panel is a layer, without its biases. A line is the spread of its weights after an epoch; epoch 0 is before "
        "training.",
        data=frame,
        chart=histogram_chart(frame, alt.Color("epoch:O", title="epoch")),
        trials=(net.trial,),
        notes=(
            f"For this the net was trained again, in {by_epoch.again.seconds:.1f} s: {by_epoch.again.compared}.",
            *(("It is the first of several nets.",) if len(net.nets) > 1 else ()),
            *_left_out(stages),
        ),
    )


def _few_layers(stages: dict[str, WeightsOfLayers]) -> dict[str, WeightsOfLayers]:
    names = list(next(iter(stages.values())))
    places = np.linspace(0, len(names) - 1, min(SHOWN_LAYERS, len(names))).round().astype(int)
    kept = [names[place] for place in dict.fromkeys(places.tolist())]
    return {stage: {name: weights[name] for name in kept} for stage, weights in stages.items()}


def _left_out(stages: dict[str, WeightsOfLayers]) -> tuple[str, ...]:
    layers = len(next(iter(stages.values())))
    return (f"Shown are {SHOWN_LAYERS} even ones of {layers} layers.",) if layers > SHOWN_LAYERS else ()


def histogram_chart(frame: pd.DataFrame, colour: alt.Color) -> Chart:
    """Draw a panel for each layer, with a line for each stage."""
    rows = frame.assign(weight=(frame["low"] + frame["high"]) / 2)
    layers = list(dict.fromkeys(rows["layer"]))
    columns = min(len(layers), 3 if len(layers) != 4 else 2)
    base = alt.Chart(rows).mark_line(interpolate="step", strokeWidth=1.8)
    lines = base.encode(
        x=alt.X("weight:Q", title="weight", axis=alt.Axis(tickCount=5)),
        y=alt.Y("share:Q", title="share of the weights", axis=alt.Axis(format="%", tickCount=4)),
        color=colour,
        tooltip=["layer:N", alt.Tooltip("weight:Q", format=".3f"), alt.Tooltip("share:Q", format=".2%")],
    ).properties(width=max(190, min(420, 640 // columns - 60)), height=170)
    facet = alt.Facet("layer:N", sort=layers, title=None)
    chart: Chart = lines.facet(facet, columns=columns).resolve_scale(x="independent", y="independent")
    return chart


def embedding_figure(net: TrainedNet) -> Figure | None:
    """Draw a map of what the second-last layer makes of the samples."""
    if not hidden_layers(net.nets[0]):
        return None
    found = embedding(net)
    if found is None:
        return None
    x, y = found.points.T
    wanted = net.samples.wanted[found.places]
    frame = pd.DataFrame({"sample": net.samples.places[found.places], "x": x, "y": y})
    if net.classes:
        answers = net.found[found.places]
        frame["class"] = [net.classes[number] for number in wanted]
        frame["answer"] = [net.classes[number] for number in answers]
        frame["wrong"] = wanted != answers
        finding = f"{percent(found.neighbours, 1)} of the samples lie next to one of their own class."
    else:
        frame["true"] = wanted[:, 0]
        one, other = np.corrcoef(frame["true"], x)[0, 1], np.corrcoef(frame["true"], y)[0, 1]
        finding = f"Samples that lie near each other look alike to the net; the target follows the map's axes by r = {one:.2f} and {other:.2f}."
    return Figure(
        name="embedding",
        title="What the second-last layer tells apart",
        finding=finding,
        caption="A map by t-SNE of what the layer before the output makes of validation samples: those that look alike to the net lie "
        "together. Distances between groups mean nothing." + (" Circles are answered wrongly." if net.classes else ""),
        data=frame,
        chart=_class_map(frame, net.classes) if net.classes else _number_map(frame),
        trials=(net.trial,),
        notes=(f"{len(frame):,} of {len(net.samples.inputs):,} validation samples, picked by a seed.",)
        if len(frame) < len(net.samples.inputs)
        else (),
    )


def _class_map(frame: pd.DataFrame, classes: Sequence[str]) -> Chart:
    x, y = (alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)), alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)))
    colour = alt.Color("class:N", sort=list(classes), legend=None)
    plain = alt.Chart(frame).encode(x=x, y=y, tooltip=["sample:Q", "class:N", "answer:N"])
    base = plain.encode(color=colour)
    # A short name is the mark itself, since there are fewer colours than classes.
    short = max(map(len, classes)) <= 2
    marks = (
        base.mark_text(fontSize=9).encode(text="class:N")
        if short
        else base.mark_point(filled=True, size=18, opacity=0.7)
    )
    wrong = plain.transform_filter("datum.wrong").mark_point(
        style=REFERENCE, strokeDash=[1, 0], filled=False, size=130, strokeWidth=1.2
    )
    middle = frame.groupby("class", sort=False)[["x", "y"]].median().reset_index()
    names = alt.Chart(middle).mark_text(style=LABEL, fontSize=18, fontWeight=700).encode(x=x, y=y, text="class:N")
    chart: Chart = alt.layer(marks, wrong, names).properties(width=560, height=480)
    return chart


def _number_map(frame: pd.DataFrame) -> Chart:
    chart: Chart = (
        alt.Chart(frame)
        .mark_point(filled=True, size=30)
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
            color=alt.Color("true:Q", title="true value"),
            tooltip=["sample:Q", "true:Q"],
        )
        .properties(width=560, height=480)
    )
    return chart
