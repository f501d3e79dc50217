"""The figures of what a net answers to samples: confusion, the worst and the most ambiguous mistakes, and calibration."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.charts.figure import Chart, Figure, Image
from tune_mlp.charts.pictures import as_picture, enlarged, grey, png, side_by_side, softmax_bars
from tune_mlp.charts.theme import ACCENT, LABEL, MUTED, REFERENCE
from tune_mlp.explain.confusion import calibration, confusion, mistakes, most_confused
from tune_mlp.explain.inputs_wanted import pixel_range
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.results.answer import percent

SHOWN_MISTAKES = 6
SHOWN_CLASSES = 20
"""The largest number of classes in a table of confusion."""


def confusion_figure(net: TrainedNet) -> Figure | None:
    """Draw which classes are taken for which others."""
    if not net.classes:
        return None
    matrix = confusion(net.samples.wanted, net.found, len(net.classes))
    frame = confusion_rows(matrix, net.classes)
    right, n = int(np.trace(matrix)), int(matrix.sum())
    said = f"{right:,} of {n:,} validation samples are answered rightly ({percent(right / n, 2)})"
    if pair := most_confused(matrix):
        of = int(matrix[pair.wanted].sum())
        one, other = net.classes[pair.wanted], net.classes[pair.found]
        finding = f"{one} is taken for {other} most often: {pair.times:,} of {of:,}; {said}."
    else:
        finding = f"All {n:,} validation samples are answered rightly."
    notes: tuple[str, ...] = ()
    if len(net.classes) > SHOWN_CLASSES:
        notes = (f"Shown are the {SHOWN_CLASSES} classes with the most mistakes, of {len(net.classes)}.",)
    return Figure(
        name="confusion",
        title="Which classes are confused",
        finding=finding,
        caption="A row is a class of the validation part, a column an answer; a number counts samples. The stronger the colour, "
        "the larger the share of the row; right answers are grey.",
        data=frame,
        chart=_confusion_chart(frame),
        trials=(net.trial,),
        notes=notes,
    )


def confusion_rows(matrix: NDArray[np.int64], classes: list[str]) -> pd.DataFrame:
    """Return a row for each cell of the classes that are shown: those with the most mistakes, in their order."""
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    shown = sorted(np.argsort(-wrong, kind="stable")[:SHOWN_CLASSES].tolist())
    rows = [
        (classes[i], classes[j], int(matrix[i, j]), float(matrix[i, j] / max(1, matrix[i].sum())), i == j)
        for i in shown
        for j in shown
    ]
    return pd.DataFrame(rows, columns=["class", "answer", "samples", "share", "right"])


def _confusion_chart(frame: pd.DataFrame) -> Chart:
    order = list(dict.fromkeys(frame["class"]))
    wordy = max(map(len, order)) > 3
    x = alt.X("answer:N", sort=order, title="answer", axis=alt.Axis(labelAngle=-45 if wordy else 0, orient="top"))
    y = alt.Y("class:N", sort=order, title="class")
    tooltip = [*map(alt.Tooltip, ("class:N", "answer:N", "samples:Q")), alt.Tooltip("share:Q", format=".2%")]
    base = alt.Chart(frame).encode(x=x, y=y, tooltip=tooltip)
    some = base.transform_filter("datum.samples > 0")
    most = float(frame.loc[~frame["right"], "share"].max() or 1.0) if len(order) > 1 else 1.0
    shade = alt.Opacity("share:Q", legend=None, scale=alt.Scale(type="sqrt", domain=[0, most or 1.0], range=[0.0, 0.6]))
    right = some.transform_filter("datum.right").mark_rect(style=MUTED, opacity=0.25)
    wrong = some.transform_filter("!datum.right").mark_rect(style=ACCENT).encode(opacity=shade)
    text = some.mark_text(style=LABEL, fontSize=11 if len(order) <= 12 else 8).encode(text=alt.Text("samples:Q"))
    step = max(26, min(44, 440 // len(order)))
    chart: Chart = alt.layer(right, wrong, text).properties(width=alt.Step(step), height=alt.Step(min(step, 34)))
    return chart


def worst_mistakes(net: TrainedNet) -> Figure | None:
    """Show the mistakes that the net is surest of."""
    if not net.classes:
        return None
    found = mistakes(net, SHOWN_MISTAKES)
    finding = "The net makes no mistake on the validation part."
    if found.times:
        worst = int(found.worst[0])
        share = net.probabilities[worst].max()
        finding = (
            f"The surest of {found.times:,} mistake{'s' if found.times > 1 else ''}: {_named(net, worst)}, at {percent(share, 1)}, "
            f"while its own class gets {percent(net.probabilities[worst, net.samples.wanted[worst]], 2)}."
        )
    return _shown(net, "worst_mistakes", "The worst mistakes", finding, found.worst)


def ambiguous_mistakes(net: TrainedNet) -> Figure | None:
    """Show the mistakes whose two likeliest classes are the nearest to each other."""
    if not net.classes:
        return None
    found = mistakes(net, SHOWN_MISTAKES)
    finding = "The net makes no mistake on the validation part."
    if found.times:
        highest = np.sort(net.probabilities[found.ambiguous], axis=1)[:, ::-1]
        first = int(found.ambiguous[0])
        finding = f"The nearest miss: {_named(net, first)}, at {percent(highest[0, 0], 2)} against {percent(highest[0, 1], 2)} for the second class."
    return _shown(net, "ambiguous_mistakes", "The most ambiguous mistakes", finding, found.ambiguous)


def _named(net: TrainedNet, place: int) -> str:
    return f"{net.classes[net.samples.wanted[place]]} taken for {net.classes[net.found[place]]}"


def softmax_rows(net: TrainedNet, places: NDArray[np.int64]) -> pd.DataFrame:
    """Return a row for each of these samples and each class, with its probability."""
    rows = [
        (
            int(net.samples.places[place]),
            f"{int(net.samples.places[place])}: {_named(net, int(place))}",
            net.classes[net.samples.wanted[place]],
            name,
            float(net.probabilities[place, column]),
        )
        for place in places
        for column, name in enumerate(net.classes)
    ]
    return pd.DataFrame(rows, columns=["sample", "said", "class", "answer", "probability"])


def sample_with_softmax(net: TrainedNet, place: int, words: str = "") -> Image:
    """Return a sample's picture beside its softmax."""
    low, high = pixel_range(net)
    shares, wanted, found = net.probabilities[place], int(net.samples.wanted[place]), int(net.found[place])
    picture = enlarged(grey(as_picture(net.samples.raw[place], net.dataset.shape), low, high))
    said = words or _named(net, place)
    first = ", ".join(
        f"{net.classes[column]} ({percent(shares[column], 1)})" for column in np.argsort(-shares, kind="stable")[:3]
    )
    return Image(
        png(side_by_side([picture, softmax_bars(net.classes, shares, wanted, found)])),
        alt=f"Validation sample {net.samples.places[place]}: {said}. Softmax: {first}.",
        caption=f"{said}: {first}",
    )


def _shown(net: TrainedNet, name: str, title: str, finding: str, places: NDArray[np.int64]) -> Figure:
    """Return the figure of some samples: their pictures, or for a table their softmax as a chart."""
    frame = softmax_rows(net, places)
    bars = "A bar is the probability of a class: orange for the answer, grey for the right class."
    shade = (
        "A row is a sample, with its number in the dataset; the stronger the colour, the higher a class's probability."
    )
    drawn = bool(len(places))
    return Figure(
        name=name,
        title=title,
        finding=finding,
        caption=bars if net.pictures else shade,
        data=frame,
        chart=_softmax_chart(frame) if drawn and not net.pictures else None,
        images=tuple(sample_with_softmax(net, int(place)) for place in places) if net.pictures else (),
        trials=(net.trial,),
    )


def _softmax_chart(frame: pd.DataFrame) -> Chart:
    shown = frame
    if frame["answer"].nunique() > SHOWN_CLASSES:
        likeliest = frame.groupby("answer")["probability"].max().nlargest(SHOWN_CLASSES).index
        shown = frame[frame["answer"].isin(likeliest)]
    base = alt.Chart(shown).encode(
        x=alt.X(
            "answer:N", sort=None, title="class", axis=alt.Axis(labelAngle=0 if shown["answer"].nunique() < 6 else -45)
        ),
        y=alt.Y("said:N", sort=None, title=None, axis=alt.Axis(labelLimit=320)),
        tooltip=["said:N", "answer:N", alt.Tooltip("probability:Q", format=".3%")],
    )
    opacity = alt.Opacity("probability:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.02, 0.6]))
    cells = base.mark_rect(style=ACCENT).encode(opacity=opacity)
    text = base.mark_text(style=LABEL, fontSize=11).encode(text=alt.Text("probability:Q", format=".1%"))
    chart: Chart = alt.layer(cells, text).properties(width=alt.Step(72), height=alt.Step(26))
    return chart


def calibration_figure(net: TrainedNet) -> Figure | None:
    """Draw how often the net is right at each confidence."""
    if not net.classes:
        return None
    frame = calibration(net.probabilities, net.samples.wanted)
    sure, right = frame.attrs["confidence"], frame.attrs["accuracy"]
    error = frame.attrs["error"]
    word = (
        "as often as it says"
        if abs(sure - right) < 0.005
        else "less often than it says"
        if sure > right
        else "more often than it says"
    )
    return Figure(
        name="calibration",
        title="How far its probabilities can be believed",
        finding=f"The net is right {word}: its mean confidence is {percent(sure, 1)}, its accuracy {percent(right, 1)}; "
        f"the expected calibration error is {percent(error, 2)}.",
        caption="A point gathers the validation samples whose answer has about this probability, in ten steps; the line on it is the "
        "90 % interval of the share that is right, and a larger point has more samples. On the dashed line a net is as often "
        "right as it says.",
        data=frame,
        chart=_calibration_chart(frame),
        trials=(net.trial,),
    )


def _calibration_chart(frame: pd.DataFrame) -> Chart:
    percent = alt.Axis(format="%")
    x = alt.X("confidence:Q", title="probability of the answer", axis=percent, scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("accuracy:Q", title="share that is right", axis=percent, scale=alt.Scale(domain=[0, 1]))
    tooltip = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("confidence", "accuracy", "low", "high")]
    base = alt.Chart(frame).encode(x=x, tooltip=[*tooltip, alt.Tooltip("samples:Q", format=",")])
    diagonal = (
        alt.Chart(pd.DataFrame({"confidence": [0.0, 1.0], "accuracy": [0.0, 1.0]}))
        .mark_line(style=REFERENCE)
        .encode(x="confidence:Q", y="accuracy:Q")
    )
    interval = base.mark_rule(style=ACCENT, strokeWidth=1.5).encode(
        y=alt.Y("low:Q", title="share that is right"), y2="high:Q"
    )
    size = alt.Size("samples:Q", title="samples", scale=alt.Scale(type="sqrt", range=[30, 300]))
    points = base.mark_point(style=ACCENT, filled=True, opacity=1).encode(y=y, size=size)
    chart: Chart = alt.layer(diagonal, interval, points).properties(width=360, height=360)
    return chart
