"""The stamp of a study: as long as it stays the same, so do the study's results."""

from __future__ import annotations

from tune_mlp.service.messages import StudySummary


def stamp_of(summary: StudySummary) -> tuple[object, ...]:
    """Return what changes whenever a study's results may change. A confirmation has a journal of its own, and ends as a job."""
    return summary.offset, summary.state, summary.job, summary.started, summary.ended
