"""What the best net of a search is worth: a table of finished runs, with what their confirmations say, and figures of them.

`python -m benchmarks.record RUN...` trains nothing. docs/search.md has the commands that make the runs.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from benchmarks import machine
from benchmarks.machine import ROOT
from benchmarks.tables import Table, terminal, write_records
from tune_mlp.charts.theme import config
from tune_mlp.insight.confirmation import confirmed
from tune_mlp.results.journal import Trained
from tune_mlp.results.results import Results

LEAST = 0.96
"""The lowest score of the figure over time."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and write it and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    runs = [Results.load(run) for run in parser.parse_args(argv).runs]
    table = Table(
        "The best net on MNIST that a search of 10 minutes finds",
        [
            "study",
            "trials",
            "time",
            "weights",
            "val_accuracy",
            "test_accuracy",
            "confirmed: val_accuracy",
            "confirmed: test_accuracy",
        ],
        notes=[
            "The winner is chosen by validation alone. Confirmed: trained again from fresh seeds, the mean and its 95 % interval, and the mean test accuracy of "
            "these nets, each trained anew on the training and validation samples."
        ],
    )
    table.rows = [_row(results) for results in runs]
    table.show(terminal())
    words = ["python", "-m", "benchmarks.record", *(f"runs/{run.path.name}" for run in runs)]
    write_records([table], f"commit {machine.commit()}, `{shlex.join(words)}`")
    _draw("over_time", best_over_time(runs))
    _draw("front", runs[0].plot.weights_against_score())


def best_over_time(runs: Sequence[Results]) -> Any:
    """Return a chart of each search's best score by the minutes since its process began."""
    rows = []
    for results in runs:
        began, best = datetime.fromisoformat(results.manifest["started"]).timestamp(), -math.inf
        for line in results.lines:
            if isinstance(line.event, Trained) and line.at is not None:
                best = max([best, *(record.metrics[results.metric] for record in line.event.epochs)])
                rows.append((results.manifest["study"], (line.at - began) / 60, best))
    frame = pd.DataFrame(rows, columns=["study", "minutes", "best"])
    frame = frame[frame["best"] >= LEAST]
    steps = alt.Chart(frame).mark_line(interpolate="step-after")
    score = alt.Y("best:Q", title=runs[0].metric, scale=alt.Scale(domain=[LEAST, 0.995]))
    chart = steps.encode(x=alt.X("minutes:Q", title="minutes"), y=score, color=alt.Color("study:N", title=None))
    return chart.properties(width=500, height=240).configure(**config("light"))


def _draw(name: str, chart: Any) -> None:
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    (ROOT / "docs" / f"record_{name}.svg").write_text(svg, encoding="utf-8")


def _row(results: Results) -> list[str]:
    winner = json.loads((results.path / "best" / "trial.json").read_text(encoding="utf-8"))
    minutes, seconds = divmod(round(float(results.manifest["seconds"])), 60)
    weights = int(results.trials.set_index("trial").loc[winner["trial"], "weights"])
    row = [str(results.manifest["study"]), str(len(results.trials)), f"{minutes}:{seconds:02d}"]
    row += [f"{weights:,}", f"{winner['metrics']['val_accuracy']:.4f}", f"{winner['test']['test_accuracy']:.4f}"]
    if results.confirmed.empty:
        return [*row, "-", "-"]
    answer = confirmed(results)
    best, test = answer.table.iloc[0], answer.facts["test"]
    return [
        *row,
        f"{best['mean']:.4f} ({best['low']:.4f} to {best['high']:.4f}), {int(best['seeds'])} seeds",
        f"{test['test_accuracy']:.4f}, with a standard deviation of {test['test_accuracy_std']:.4f}",
    ]


if __name__ == "__main__":
    main()
