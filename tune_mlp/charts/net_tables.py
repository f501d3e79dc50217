"""The figures of a net that learnt a table, or that answers with numbers."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from tune_mlp.charts.figure import Chart, Figure
from tune_mlp.charts.theme import ACCENT, LABEL, MUTED, REFERENCE
from tune_mlp.explain.tables import REPEATS, fitted_curve, permutation_importance
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.results.answer import percent

SHOWN_INPUTS, SHOWN_POINTS = 30, 1000
"""The largest number of inputs, and of samples, in a chart."""


def permutation_figure(net: TrainedNet) -> Figure | None:
    """Draw which inputs of a table the net needs."""
    if net.pictures or net.dataset.x.shape[1] < 2:
        return None
    frame = permutation_importance(net)
    first, least = frame.iloc[0], int((frame["loss"] <= 2 * frame["std"]).sum())
    score = "accuracy" if net.classes else "root mean square error"
    worth = f"{percent(first['loss'], 1)} of accuracy" if net.classes else f"{first['loss']:.4g} of error"
    finding = f"The net needs {first['input']} most: shuffled, it costs {worth}"
    finding += f"; {least} of {len(frame)} inputs cost nothing that stands out from chance." if least else "."
    notes = (f"Shown are the first {SHOWN_INPUTS} of {len(frame)} inputs.",) if len(frame) > SHOWN_INPUTS else ()
    return Figure(
        name="permutation_importance",
        title="Which inputs it needs",
        finding=finding,
        caption=f"A bar says how much {score} is lost on the validation part if one input's values are shuffled, as the mean of "
        f"{REPEATS} shuffles; the line on it is two standard deviations either way. Inputs that say the same stand in for each "
        "other, and each looks as if it weren't needed.",
        data=frame,
        chart=_importance_chart(frame.head(SHOWN_INPUTS), score, bool(net.classes)),
        trials=(net.trial,),
        notes=notes,
    )


def _importance_chart(frame: pd.DataFrame, score: str, share: bool) -> Chart:
    rows = frame.assign(low=frame["loss"] - 2 * frame["std"], high=frame["loss"] + 2 * frame["std"])
    axis = alt.Axis(format="%") if share else alt.Axis()
    title = f"{score} lost" if share else f"{score} gained"
    base = alt.Chart(rows).encode(y=alt.Y("input:N", sort=None, title=None), tooltip=["input:N", "loss:Q", "std:Q"])
    bars = base.mark_bar(style=ACCENT).encode(x=alt.X("loss:Q", title=title, axis=axis))
    interval = base.mark_rule(style=LABEL, strokeWidth=1.5).encode(
        x=alt.X("low:Q", title=title, axis=axis), x2="high:Q"
    )
    chart: Chart = alt.layer(bars, interval).properties(height=alt.Step(22))
    return chart


def number_rows(net: TrainedNet) -> pd.DataFrame:
    """Return a row for each sample and target: its number in the dataset, the true value, the answer and their difference."""
    targets = net.samples.wanted.shape[1]
    parts = [
        pd.DataFrame(
            {
                "sample": net.samples.places,
                "target": f"target {column + 1}" if targets > 1 else "target",
                "true": net.samples.wanted[:, column],
                "answer": net.found[:, column],
            }
        )
        for column in range(targets)
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(residual=frame["answer"] - frame["true"])


def _some(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    if len(frame) <= SHOWN_POINTS:
        return frame, ()
    places = np.linspace(0, len(frame) - 1, SHOWN_POINTS).round().astype(int)
    return frame.iloc[places], (f"Drawn are {SHOWN_POINTS:,} even ones of {len(frame):,} answers.",)


def predicted_figure(net: TrainedNet) -> Figure | None:
    """Draw what the net answers against what is true."""
    if net.classes:
        return None
    frame = number_rows(net)
    shown, notes = _some(frame)
    rmse = float(np.sqrt((frame["residual"] ** 2).mean()))
    left = float((frame["residual"] ** 2).sum())
    whole = float(((frame["true"] - frame.groupby("target")["true"].transform("mean")) ** 2).sum())
    explained = f"; it explains {percent(1 - left / whole, 1)} of the variance" if whole > 0 else ""
    return Figure(
        name="predicted_against_true",
        title="Predicted against true",
        finding=f"The net is wrong by {rmse:.4g} on the {len(net.samples.wanted):,} validation samples (root mean square){explained}.",
        caption="A point is a sample of the validation part, in the target's own unit. On the dashed line the answer is true.",
        data=frame,
        chart=_predicted_chart(shown),
        trials=(net.trial,),
        notes=notes,
    )


def _predicted_chart(frame: pd.DataFrame) -> Chart:
    ends = [min(frame["true"].min(), frame["answer"].min()), max(frame["true"].max(), frame["answer"].max())]
    scale = alt.Scale(zero=False, nice=True)
    line = (
        alt.Chart(pd.DataFrame({"true": ends, "answer": ends}))
        .mark_line(style=REFERENCE)
        .encode(x=alt.X("true:Q", scale=scale), y=alt.Y("answer:Q", scale=scale))
    )
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, opacity=0.6, size=30)
        .encode(
            x=alt.X("true:Q", title="true value", scale=scale),
            y=alt.Y("answer:Q", title="answer", scale=scale),
            tooltip=["sample:Q", "true:Q", "answer:Q", "residual:Q"],
            **_by_target(frame),
        )
    )
    chart: Chart = alt.layer(line, points).properties(width=380, height=380)
    return chart


def _by_target(frame: pd.DataFrame) -> dict[str, alt.Color]:
    return {"color": alt.Color("target:N", title=None)} if frame["target"].nunique() > 1 else {}


def residual_figure(net: TrainedNet) -> Figure | None:
    """Draw how wrong the net is against what it answers."""
    if net.classes:
        return None
    frame = number_rows(net)
    shown, notes = _some(frame)
    mean, std = float(frame["residual"].mean()), float(frame["residual"].std(ddof=0))
    largest = frame.iloc[int(frame["residual"].abs().to_numpy().argmax())]
    return Figure(
        name="residuals",
        title="Residuals",
        finding=f"The residuals have the mean {mean:.3g} and the standard deviation {std:.3g}; the largest is {largest['residual']:+.3g}, "
        f"of sample {int(largest['sample'])}.",
        caption="A point is a sample of the validation part: how much the answer is too large, against the answer. A net that learnt all "
        "there is leaves a band around zero without a pattern.",
        data=frame,
        chart=_residual_chart(shown),
        trials=(net.trial,),
        notes=notes,
    )


def _residual_chart(frame: pd.DataFrame) -> Chart:
    zero = alt.Chart(pd.DataFrame({"residual": [0.0]})).mark_rule(style=REFERENCE).encode(y="residual:Q")
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, opacity=0.6, size=30)
        .encode(
            x=alt.X("answer:Q", title="answer", scale=alt.Scale(zero=False)),
            y=alt.Y("residual:Q", title="answer less true value"),
            tooltip=["sample:Q", "true:Q", "answer:Q", "residual:Q"],
            **_by_target(frame),
        )
    )
    chart: Chart = alt.layer(zero, points)
    return chart


def curve_figure(net: TrainedNet) -> Figure | None:
    """Draw the curve that the net fitted, where there is one input and one target."""
    curve = fitted_curve(net)
    if curve is None or curve.y.shape[1] != 1:
        return None
    name = (net.dataset.features or ("x",))[0]
    line = pd.DataFrame({"x": curve.x, "y": curve.y[:, 0], "part": "fitted"})
    train = pd.DataFrame(
        {"x": net.dataset.x[net.fold.train, 0], "y": net.dataset.y[net.fold.train, 0], "part": "training"}
    )
    own = pd.DataFrame({"x": net.samples.raw[:, 0], "y": net.samples.wanted[:, 0], "part": "validation"})
    few, notes = _some(pd.concat([train, own], ignore_index=True).astype({"x": float, "y": float}))
    frame = pd.concat([line, few], ignore_index=True)
    turns = int((np.diff(np.sign(np.diff(curve.y[:, 0]))) != 0).sum())
    rmse = float(np.sqrt(((net.found - net.samples.wanted) ** 2).mean()))
    return Figure(
        name="fitted_curve",
        title="The fitted curve",
        finding=f"The curve turns {turns} times between {curve.x[0]:.3g} and {curve.x[-1]:.3g}, and misses the validation samples by "
        f"{rmse:.3g} (root mean square).",
        caption="The line is the net's answer along its only input. Grey points trained it, points in the line's colour validate it.",
        data=frame,
        chart=_curve_chart(frame, name),
        trials=(net.trial,),
        notes=notes,
    )


def _curve_chart(frame: pd.DataFrame, name: str) -> Chart:
    base = alt.Chart(frame).encode(
        x=alt.X("x:Q", title=name, scale=alt.Scale(zero=False)),
        y=alt.Y("y:Q", title="target", scale=alt.Scale(zero=False)),
    )
    training = base.transform_filter("datum.part === 'training'").mark_point(
        style=MUTED, filled=True, size=25, opacity=0.7
    )
    validation = base.transform_filter("datum.part === 'validation'").mark_point(style=ACCENT, filled=True, size=45)
    line = base.transform_filter("datum.part === 'fitted'").mark_line(strokeWidth=2)
    chart: Chart = alt.layer(training, line, validation)
    return chart
