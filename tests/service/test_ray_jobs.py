"""Studies as Ray Jobs on a real Ray of three nodes in token mode: submitted, watched, stopped, extended; and what a lost head leaves.

A head that takes jobs needs the packages of ray[default], which the development environment leaves out: with them, each import of Ray takes
half a second longer, and most tests start one.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest

from tests.nodes import Nodes, free_ports, nodes
from tests.service.servers import FREELY, serving
from tests.test_search import SEARCH, environment
from tune_mlp import Client
from tune_mlp.results.results import Results
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app
from tune_mlp.service.cluster_launcher import ClusterLauncher
from tune_mlp.service.launcher import DriverOrder, DriverState
from tune_mlp.service.messages import StudyState, StudySummary
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.studies import StudyService
from tune_mlp.service.study_events import TrialEnded

NEEDED = [
    name for name in ("aiohttp_cors", "opencensus", "prometheus_client") if importlib.util.find_spec(name) is None
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        bool(NEEDED),
        reason="needs a head with ray[default]: pip install -c constraints.txt -c docker/constraints.txt 'ray[default]'",
    ),
]

STUDY = """\
name: jobs
data: {name: digits}
space: {lr: {log: [1.0e-3, 1.0e-1]}, batch_size: {choice: [8, 16]}, depth: {int: [1, 2]}, width: {choice: [16, 32]}}
trials: 6
epochs: 12
engine: eager
scheduler: fifo
"""
VARYING = ["seconds", "train_seconds", "node"]
PROGRAM = (sys.executable, "-P", "-m", "tune_mlp")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study, with the trials that it will have in the end, run on this machine without a service."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "jobs.yaml").write_text(STUDY)
    words = ["--space", "jobs.yaml", "--trials", "8", "--name", "whole", "--quiet"]
    subprocess.run([*SEARCH, *words], cwd=folder, env=environment(folder), check=True, timeout=300)
    return folder / "runs" / "whole"


@contextmanager
def service_on(ray: Nodes, root: Path) -> Iterator[Client]:
    """Serve a root whose studies run on this cluster."""
    launcher = launcher_on(ray, root)
    options = ServiceOptions(address="auto", plan=False, grace_seconds=60.0)
    with (
        StudyService(root, launcher, options) as opened,
        serving(make_app(opened, Access(), FREELY)) as url,
        Client(url) as client,
    ):
        yield client
    launcher.close()


def launcher_on(ray: Nodes, root: Path, token: str | None = None) -> ClusterLauncher:
    where = f"http://127.0.0.1:{ray.dashboard}"
    return ClusterLauncher(where, root / ".service" / "jobs", token or ray.token, program=PROGRAM)


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
    tables = [Results.load(path).trials.drop(columns=VARYING) for path in (run, other)]
    tested = [name for name in tables[0].columns if name.startswith("test_")]
    pd.testing.assert_frame_equal(*(table.drop(columns=tested) for table in tables), check_exact=True)


def test_a_study_is_submitted_watched_stopped_and_extended_as_jobs_of_ray(tmp_path: Path, whole: Path) -> None:
    (port,) = free_ports(1)
    with nodes(0, 1, 1, dashboard=port) as ray, service_on(ray, tmp_path) as client:
        client.submit(STUDY, name="jobs")
        until_ended(client, 1)
        assert client.get("jobs").state is StudyState.RUNNING
        client.stop("jobs")
        stopped = client.wait("jobs")
        assert stopped.state is StudyState.STOPPED, stopped
        assert 1 <= stopped.ended_trials < 6
        client.extend("jobs", 8 - 6)
        done = client.wait("jobs")
        assert (done.state, done.ended_trials) == (StudyState.FINISHED, 8), done
        assert len({*client.trials("jobs")["node"]}) >= 1
    assert_same(tmp_path / "jobs", whole)


def test_a_lost_head_is_said_and_the_study_goes_on_on_the_next_cluster(tmp_path: Path, whole: Path) -> None:
    (port,) = free_ports(1)
    with nodes(0, 1, 1, dashboard=port) as ray, service_on(ray, tmp_path) as client:
        client.submit(STUDY, ["trials=8"], name="jobs")
        until_ended(client, 1)
        for node in ray.nodes:
            node.signal(signal.SIGKILL)
        lost = eventually(lambda: client.get("jobs"), lambda found: "can't be reached" in found.detail)
        assert lost.state is StudyState.RUNNING
        assert lost.ended_trials >= 1
        with nodes(0, 1, 1, dashboard=port, token=ray.token):
            done = eventually(lambda: client.get("jobs"), lambda found: found.state in ("finished", "failed"), 400)
            assert (done.state, done.ended_trials, done.restarts) == (StudyState.FINISHED, 8, 1), done
    assert_same(tmp_path / "jobs", whole)


def test_a_job_is_begun_once_and_a_stranger_is_refused(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with nodes(1, dashboard=port) as ray:
        launcher = launcher_on(ray, tmp_path)
        order = DriverOrder("twice-0123", "twice", ("--version",))
        assert launcher.report(order.token).state is DriverState.ABSENT
        for _ in range(3):
            launcher.launch(order)
        other = launcher_on(ray, tmp_path / "elsewhere")
        other.launch(order)
        end = time.monotonic() + 120
        while launcher.report(order.token).state is not DriverState.ENDED:
            assert time.monotonic() < end
            time.sleep(0.3)
        assert launcher.report(order.token).status == 0
        assert launcher.log(order.token).count("tune-mlp ") == 1
        headers = {"Authorization": f"Bearer {ray.token}"}
        jobs = httpx.get(f"http://127.0.0.1:{port}/api/jobs/", headers=headers).json()
        assert [job["submission_id"] for job in jobs if job["type"] == "SUBMISSION"] == [order.token]
        stranger = launcher_on(ray, tmp_path, "0" * 64)
        found = stranger.report(order.token)
        assert found.state is DriverState.UNKNOWN
        assert "refuses the service's token" in found.detail
        launcher.forget(order.token)
        assert launcher.report(order.token).state is DriverState.ABSENT
        for one in (launcher, other, stranger):
            one.close()
