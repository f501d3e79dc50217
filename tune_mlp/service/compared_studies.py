"""Several studies side by side: the settings that differ, the course of their best scores, and their best trials."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tune_mlp.records import better
from tune_mlp.results.journal import Ended
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column
from tune_mlp.service.messages import StudySummary
from tune_mlp.service.result_messages import BestSoFar, ComparedStudy, DifferentSetting, StudiesCompared
from tune_mlp.service.table_cells import records_of

TOP = 10
"""The number of best trials of each study."""


def compare_studies(studies: Sequence[tuple[StudySummary, Results]]) -> StudiesCompared:
    """Compare studies, in the order in which they are given."""
    ways = {(results.metric, results.mode) for _, results in studies}
    metric, mode = next(iter(ways)) if len(ways) == 1 else (None, None)
    return StudiesCompared(
        metric=metric,
        mode=mode,
        settings=different_settings([results.study for _, results in studies]),
        studies=tuple(
            ComparedStudy(summary=summary, course=course(results), top=records_of(results.ranked.head(TOP)))
            for summary, results in studies
        ),
    )


def different_settings(trees: Sequence[Mapping[str, Any]]) -> tuple[DifferentSetting, ...]:
    """Return the settings of study files that differ, in the order of the first file that has them."""
    flat = [_flat(tree) for tree in trees]
    paths = dict.fromkeys(path for one in flat for path in one)
    rows = ((path, tuple(one.get(path) for one in flat)) for path in paths)
    return tuple(DifferentSetting(path=path, values=values) for path, values in rows if len(set(values)) > 1)


def course(results: Results) -> tuple[BestSoFar, ...]:
    """Return the points at which a study's best score became better, in the order in which its trials ended."""
    column = score_column(results.trials, results.metric)
    scores = dict(zip(results.ranked["trial"], results.ranked[column], strict=True))
    points: list[BestSoFar] = []
    ended: set[int] = set()
    begun = results.lines[0].at if results.lines else None
    for line in results.lines:
        if not isinstance(line.event, Ended) or line.event.trial in ended:
            continue
        ended.add(line.event.trial)
        score = scores.get(line.event.trial)
        if score is None or (points and not better(float(score), points[-1].best, results.mode)):
            continue
        seconds = None if begun is None or line.at is None else line.at - begun
        points.append(BestSoFar(trials=len(ended), seconds=seconds, best=float(score)))
    return tuple(points)


def _flat(tree: Any, path: str = "") -> dict[str, str]:
    """Return the values of a study's settings as JSON, which is YAML, too, by their paths."""
    if isinstance(tree, Mapping) and tree:
        return {
            place: value
            for name, inner in tree.items()
            for place, value in _flat(inner, f"{path}.{name}" if path else str(name)).items()
        }
    return {path: json.dumps(tree, ensure_ascii=False, default=str)}
