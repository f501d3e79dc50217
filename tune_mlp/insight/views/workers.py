"""The timeline of the workers: when each trial trained, on which node, beside which others."""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pandas as pd

from tune_mlp.insight.views.curves import endings
from tune_mlp.insight.views.drawn_trials import MOST, settings_of
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.journal import Trained
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column

PAUSE = 0.3
"""The seconds for which a trial may train nothing within one bar; of long epochs, half an epoch."""
TOUCH = 0.05
"""Trials may overlap by this share of the later one and still count as one after the other, since times are rough."""
LANES = 40
"""The largest number of lanes; of a larger cluster each lane is a node."""
PARTS = 120
"""The parts of the time by which a large search is drawn."""
COLUMNS = ("lane", "trial", "start", "end")
METHOD = (
    "An epoch's time is the time of its line in the journal less the seconds that it took. The journal names a trial's node; "
    "the lanes are as many as trials trained at once there.",
)


class Bar(NamedTuple):
    """A time in which a trial trained without a longer pause."""

    node: str
    trial: int
    start: float
    end: float


def workers(results: Results) -> Answer:
    """Return a row for each bar of the timeline; for a large search a row for each part of the time of each lane."""
    none = pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
    if results.files is None:
        return Answer("A table alone doesn't say when and where trials ran.", none, METHOD)
    bars = _bars(results)
    if not bars:
        why = "No line of the journal says when a trial trained, so there is no timeline to draw."
        return Answer(why, none, METHOD)
    zero, whole = min(bar.start for bar in bars), max(bar.end for bar in bars)
    lanes = _lanes(bars)
    names = _names([(bar.node, lane) for bar, lane in zip(bars, lanes, strict=True)])
    table = pd.DataFrame(
        {
            "lane": [names[bar.node, lane] for bar, lane in zip(bars, lanes, strict=True)],
            "node": [bar.node for bar in bars],
            "trial": [bar.trial for bar in bars],
            "start": [bar.start - zero for bar in bars],
            "end": [bar.end - zero for bar in bars],
        }
    )
    count, nodes = len(names), table["node"].nunique()
    busy = float((table["end"] - table["start"]).sum() / ((whole - zero) * count)) if whole > zero else 1.0
    longest = table.assign(took=table["end"] - table["start"]).groupby("trial")["took"].sum()
    sentence = (
        f"{counted(count, 'worker')} on {counted(nodes, 'node')} {'were' if count > 1 else 'was'} busy {100 * min(busy, 1):.0f} % of the "
        f"{_seconds(whole - zero)} from the first epoch's start to the last one's end; trial {longest.idxmax()} took longest, "
        f"{_seconds(longest.max())}."
    )
    order = list(dict.fromkeys(names[key] for key in sorted(names)))
    if len(table) > MOST or count > LANES:
        found, order = _busy(table, whole - zero, order)
        note = f"{len(table):,} times of training are drawn as the share of each part of the time in which a lane was busy."
        return Answer(sentence, found, METHOD, (note,), {"lanes": order, "by_trial": False})
    how, scores = endings(results), results.trials.set_index("trial")[score_column(results.trials, results.metric)]
    table["ended"] = [how[trial] for trial in table["trial"]]
    table["score"] = [float(scores[trial]) for trial in table["trial"]]
    table["settings"] = [settings_of(results, trial) for trial in table["trial"]]
    return Answer(sentence, table, METHOD, (), {"lanes": order, "by_trial": True})


def _bars(results: Results) -> list[Bar]:
    """Return the times in which each trial trained, in the order of their starts."""
    pieces: dict[int, list[Bar]] = defaultdict(list)
    for line in results.lines:
        if isinstance(line.event, Trained) and line.at is not None:
            took = sum(record.seconds for record in line.event.epochs)
            pieces[line.event.trial].append(Bar(line.event.node, line.event.trial, line.at - took, line.at))
    bars: list[Bar] = []
    for found in pieces.values():
        whole = found[0]
        for piece in found[1:]:
            if piece.node == whole.node and piece.start - whole.end <= max(PAUSE, (piece.end - piece.start) / 2):
                whole = whole._replace(start=min(whole.start, piece.start), end=max(whole.end, piece.end))
            else:
                bars.append(whole)
                whole = piece
        bars.append(whole)
    return sorted(bars, key=lambda bar: (bar.start, bar.trial))


def _lanes(bars: list[Bar]) -> list[int]:
    """Return the lane of each bar: the first one of its node that is free, so that a node has as few lanes as can be."""
    free: dict[str, list[int]] = defaultdict(list)
    taken: dict[str, list[tuple[float, int]]] = defaultdict(list)
    lanes = []
    for bar in bars:
        ends, idle = taken[bar.node], free[bar.node]
        while ends and ends[0][0] <= bar.start + TOUCH * (bar.end - bar.start):
            heapq.heappush(idle, heapq.heappop(ends)[1])
        lane = heapq.heappop(idle) if idle else len(ends)
        heapq.heappush(ends, (bar.end, lane))
        lanes.append(lane)
    return lanes


def _names(keys: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return what each lane is called: its node's name, and a number where the node has several."""
    several = {node for node, lane in keys if lane}
    return {key: f"{key[0]} #{key[1] + 1}" if key[0] in several else key[0] for key in dict.fromkeys(keys)}


def _busy(table: pd.DataFrame, whole: float, order: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return for each lane and part of the time the share in which it was busy; of too many lanes, those of a node together."""
    by, lanes = "lane", order
    if len(order) > LANES:
        by, lanes = "node", sorted(table["node"].unique())[:LANES]
    edges = np.linspace(0, whole, PARTS + 1)
    rows = []
    for lane in lanes:
        own = table[table[by] == lane]
        start, end = own["start"].to_numpy()[:, None], own["end"].to_numpy()[:, None]
        shares = np.clip(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None).sum(axis=0) / (
            edges[1] or 1
        )
        shares = np.minimum(shares / own["lane"].nunique(), 1)
        rows += [(lane, edges[i], edges[i + 1], share) for i, share in enumerate(shares) if share > 0]
    return pd.DataFrame(rows, columns=["lane", "start", "end", "busy"]), list(lanes)


def _seconds(seconds: float) -> str:
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
