"""Builders for tests of studies as jobs of a real Ray: a service on a cluster, a study, and the same study without a service.

A head that takes jobs needs the packages of ray[default], which the development environment leaves out: with them, each import of Ray takes
half a second longer, and most tests start one.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.in_process import in_one_process
from tests.nodes import Nodes
from tests.service.servers import FREELY, serving
from tune_mlp import Client, Study
from tune_mlp.results.results import Results
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app
from tune_mlp.service.cluster_launcher import ClusterLauncher
from tune_mlp.service.messages import StudySummary
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.studies import StudyService
from tune_mlp.service.study_events import TrialEnded

NEEDED = [
    name for name in ("aiohttp_cors", "opencensus", "prometheus_client") if importlib.util.find_spec(name) is None
]
MARKS = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        bool(NEEDED),
        reason="needs a head with ray[default]: pip install -c constraints.txt -c docker/constraints.txt 'ray[default]'",
    ),
]
"""The marks of a module with such tests."""

STUDY = """\
name: jobs
data: {name: digits}
space: {lr: {log: [1.0e-3, 1.0e-1]}, batch_size: {choice: [8, 16]}, depth: {int: [1, 2]}, width: {choice: [16, 32]}}
trials: 6
epochs: 12
engine: eager
scheduler: fifo
"""
WHOLE_TRIALS = 8
VARYING = ["seconds", "train_seconds", "node"]
PROGRAM = (sys.executable, "-P", "-m", "tune_mlp")


def run_whole(folder: Path) -> Path:
    """Run the study, with the trials that it will have in the end, in this process without Ray; returns its folder."""
    (folder / "jobs.yaml").write_text(STUDY.replace("trials: 6", f"trials: {WHOLE_TRIALS}"))
    with in_one_process():
        return Study.load(folder / "jobs.yaml").run(folder / "runs", "jobs", quiet=True).path


@contextmanager
def service_on(dashboard: int, token: str, root: Path) -> Iterator[Client]:
    """Serve a root whose studies run on the cluster of this dashboard's port."""
    launcher = launcher_on(dashboard, token, root)
    options = ServiceOptions(address="auto", plan=False, grace_seconds=60.0)
    with (
        StudyService(root, launcher, options) as opened,
        serving(make_app(opened, Access(), FREELY)) as url,
        Client(url) as client,
    ):
        yield client
    launcher.close()


def launcher_on(dashboard: int, token: str, root: Path) -> ClusterLauncher:
    return ClusterLauncher(f"http://127.0.0.1:{dashboard}", root / ".service" / "jobs", lambda: token, program=PROGRAM)


def port(ray: Nodes) -> int:
    """Return the port of a cluster's dashboard."""
    assert ray.dashboard is not None
    return ray.dashboard


def until_ended(client: Client, trials: int) -> None:
    """Watch the study until so many trials have ended."""
    ended = set()
    for event in client.follow("jobs"):
        if isinstance(event, TrialEnded):
            ended.add(event.trial)
        if len(ended) >= trials:
            return
    raise AssertionError(client.get("jobs"))


def eventually(
    look: Callable[[], StudySummary], is_so: Callable[[StudySummary], bool], seconds: float = 240
) -> StudySummary:
    end = time.monotonic() + seconds
    while not is_so(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.3)
    return found


def assert_same(run: Path, other: Path) -> None:
    """Compare the tables of two runs; the test part's figures are only there for the winner, of whichever trials there are."""
    found, wanted = (Results.load(path).trials.drop(columns=VARYING) for path in (run, other))
    tested = [name for name in found.columns if name.startswith("test_")]
    pd.testing.assert_frame_equal(found.drop(columns=tested), wanted.drop(columns=tested), check_exact=True)
