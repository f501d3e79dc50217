"""The health of a service: its root, its disk, its queue and its drivers, for `tune-mlp doctor --server`."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from tune_mlp.service.ledger import Ledger
from tune_mlp.service.messages import ServiceFacts
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.rows import ACTIVE, QUEUED, open_studies
from tune_mlp.service.supervisor import Supervisor


def facts_of(root: Path, ledger: Ledger, supervisor: Supervisor, options: ServiceOptions) -> ServiceFacts:
    """Say how a service does."""
    with ledger.reading() as transaction:
        queued, running = (len(open_studies(transaction, state)) for state in (QUEUED, ACTIVE))
    return ServiceFacts(
        now=time.time(),
        root=str(root),
        unwritable=_unwritable(root),
        free_bytes=shutil.disk_usage(root).free,
        queued=queued,
        running=running,
        concurrent=options.concurrent_studies,
        queue_seconds=None if supervisor.looked is None else max(0.0, time.monotonic() - supervisor.looked),
        fault=supervisor.fault,
        unknown={name: one.why for name, one in supervisor.unreached.items()},
    )


def _unwritable(root: Path) -> str:
    """Say why no file can be written in the service's own folder; empty where one can."""
    probe = root / ".service" / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"tune_mlp")
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""
