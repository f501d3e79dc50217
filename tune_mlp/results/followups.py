"""Follow-ups of a run: what was trained again lies in the run's folder, as a run of its own without a study file."""

from __future__ import annotations

from pathlib import Path

from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import FOLLOWUPS, JOURNAL


def followup_folder(run: Path, kind: str) -> Path:
    """Return the folder of a run's follow-up: `runs/mine/followups/confirm`."""
    return run / FOLLOWUPS / kind


def load_followup(run: Path, kind: str) -> Results | None:
    """Load what a follow-up has trained so far; None if it never began. The column `again` of its trials names the trial of
    the run that each trained again."""
    folder = followup_folder(run, kind)
    return Results.load(folder) if (folder / JOURNAL).exists() else None
