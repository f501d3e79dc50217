"""The options of the service: where data are, how much runs at once, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServiceOptions:
    """What the person who starts the service decides."""

    data_dir: Path | None = None
    """The folder below which studies may name tables, and in which datasets are looked for first."""
    address: str | None = None
    """The Ray cluster on which trials run; None for one Ray a study, on this machine."""
    stores: tuple[str, ...] = ()
    """The beginnings of addresses of object stores from which studies may read tables, such as s3://bucket/tables/."""
    concurrent_studies: int = 2
    """How many studies run at once."""
    studies_per_user: int | None = None
    """How many studies of one user run at once."""
    cpus_per_user: float | None = None
    """How many CPU cores the running studies of one user ask for, together."""
    gpus_per_user: float | None = None
    """How many GPUs the running studies of one user ask for, together."""
    longest_queue: int = 1000
    """How many studies may wait."""
    queued_per_user: int = 200
    """How many studies of one user may wait."""
    restarts: int = 3
    """How often a study whose process was lost is resumed by the service."""
    grace_seconds: float = 30.0
    """The time that a study has to save and end, before it is asked again."""
    keep_days: float = 30.0
    """How long a deleted study can be restored, and how long what a driver said is kept once nothing shows it; 0 keeps all for ever."""
    plan_seconds: float = 90.0
    """The longest time that a forecast may take."""
    plan: bool = True
    """Measure a forecast where a study is validated; else only its settings are checked."""
    poll_seconds: float = 0.1
    """How often the files of running studies are looked at."""
