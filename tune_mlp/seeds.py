"""Seeds for every random thing, derived from the study's seed and what the randomness is for; nothing is global."""

from __future__ import annotations

import hashlib


def trial_seed(study_seed: int, number: int) -> int:
    """Of a study's trial; short, so that any tool that reads the table keeps all its digits."""
    return derive(study_seed, "trial", number) >> 32


def repeated(seed: int, repeat: int) -> int:
    """The seed of a trial's repetition; the first has the trial's own."""
    return derive(seed, "repeat", repeat) if repeat else seed


def derive(seed: int, *purpose: int | str) -> int:
    """A seed below 2**63 that depends on nothing but the arguments: `derive(study_seed, "trial", 7)`."""
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
