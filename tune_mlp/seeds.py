"""Seeds: each is derived from the study's seed and from its purpose; no random state is global."""

from __future__ import annotations

import hashlib


def trial_seed(study_seed: int, number: int) -> int:
    """Return a trial's seed; it is short, so that every tool that reads the table keeps all its digits."""
    return derive(study_seed, "trial", number) >> 32


def fresh_seed(study_seed: int, repeat: int) -> int:
    """Return a seed that no trial of the study has; a confirmation gives it to each of its configurations."""
    return derive(study_seed, "confirm", repeat) >> 32


def repeated(seed: int, repeat: int) -> int:
    """Return the seed of one of a trial's repetitions; the first has the trial's own seed."""
    return derive(seed, "repeat", repeat) if repeat else seed


def derive(seed: int, *purpose: int | str) -> int:
    """Return a seed below 2**63 that depends on the arguments alone: `derive(study_seed, "trial", 7)`."""
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
