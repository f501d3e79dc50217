"""The limits of a journal: the format that is written, and the lowest and the highest value of each whole number."""

from __future__ import annotations

FORMAT = 2
"""The format that is written."""
MAX_TRIALS = 10**9
"""Files are named by a trial's number."""
LIMITS = {
    "format": (1, FORMAT),
    "trial": (0, MAX_TRIALS - 1),
    "donor": (0, MAX_TRIALS - 1),
    "again": (0, MAX_TRIALS - 1),
    "nets": (1, 10**6),
    "competed": (0, MAX_TRIALS),
    "place": (1, MAX_TRIALS),
    "kept": (0, MAX_TRIALS),
    "trials": (1, MAX_TRIALS),
    "trials_before": (1, MAX_TRIALS),
    "added": (0, MAX_TRIALS),
    "epochs": (1, 10**9),
    "epoch": (1, 10**9),
    "fold": (0, 9999),
    "repeat": (0, 9999),
    "steps": (0, 2**53),
    "weights": (0, 2**53),
    "classes": (0, 2**53),
}
"""The lowest and the highest value of each whole number that a run can have; a seed is any number of 64 bits."""
