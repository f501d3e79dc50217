"""Studies as Ray Jobs on a real Ray of three nodes in token mode: submitted, watched, stopped, extended, confirmed and replayed, and what
comes from outside: a service that ends, a job that is stopped or killed, a stranger.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.in_process import in_one_process
from tests.nodes import RAY, Nodes, below, command, free_ports, nodes
from tests.service.ray_jobs import (
    MARKS,
    PROGRAM,
    STUDY,
    WHOLE_TRIALS,
    assert_same,
    eventually,
    launcher_on,
    port,
    run_whole,
    service_on,
    until_ended,
)
from tune_mlp.console.board import Display
from tune_mlp.followup.confirm import confirm
from tune_mlp.results.results import Results
from tune_mlp.service.launcher import DriverOrder, DriverState
from tune_mlp.service.messages import StudyState
from tune_mlp.tuning.run import Request

pytestmark = MARKS


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole study, run in this process without Ray."""
    return run_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def ray() -> Iterator[Nodes]:
    """A head that trains nothing and two nodes that do."""
    (dashboard,) = free_ports(1)
    with nodes(0, 1, 1, dashboard=dashboard) as started:
        yield started


def jobs_of(ray: Nodes, word: str = "") -> list[dict[str, Any]]:
    """Return the jobs that were submitted to the cluster, as it says, whose command lines have a word."""
    headers = {"Authorization": f"Bearer {ray.token}"}
    found = httpx.get(f"http://127.0.0.1:{port(ray)}/api/jobs/", headers=headers, timeout=60).json()
    return [job for job in found if job["type"] == "SUBMISSION" and word in job["entrypoint"]]


def test_a_study_is_submitted_watched_stopped_and_extended_as_jobs_of_ray(
    tmp_path: Path, whole: Path, ray: Nodes
) -> None:
    with service_on(port(ray), ray.token, tmp_path) as client:
        client.submit(STUDY, name="jobs")
        until_ended(client, 1)
        assert client.get("jobs").state is StudyState.RUNNING
        client.stop("jobs")
        stopped = client.wait("jobs")
        assert stopped.state is StudyState.STOPPED, stopped
        assert 1 <= stopped.ended_trials < 6
        client.extend("jobs", WHOLE_TRIALS - 6)
        done = client.wait("jobs")
        assert (done.state, done.ended_trials) == (StudyState.FINISHED, WHOLE_TRIALS), done
    assert_same(tmp_path / "jobs", whole)


def test_a_study_is_confirmed_and_replayed_as_jobs_of_ray(tmp_path: Path, whole: Path, ray: Nodes) -> None:
    """The same nets come out as in this process without Ray."""
    here, there = tmp_path / "here" / "jobs", tmp_path / "there" / "jobs"
    for copy in (here, there):
        shutil.copytree(whole, copy)
    with in_one_process():
        confirm(here, 2, 1, Request(command=("tune-mlp", "confirm", str(here))), Display())
    with service_on(port(ray), ray.token, there.parent) as client:
        client.confirm("jobs", top=2, seeds=1)
        done = client.wait("jobs")
        assert (done.state, done.job, done.detail) == (StudyState.FINISHED, "confirm", ""), done
        client.replay("jobs", 0, 1)
        done = client.wait("jobs")
        assert (done.state, done.job, done.detail) == (StudyState.FINISHED, "replay", ""), done
        said = ""
        end = time.monotonic() + 120
        while not said and time.monotonic() < end:  # a busy head may not answer in time, and then nothing is shown
            said = httpx.get(f"{client.url}/api/studies/jobs/log", timeout=60).text
        assert "2 of 2 trials are bit for bit the same" in said
    assert [len(jobs_of(ray, f"{word} {there}")) for word in ("confirm", "replay")] == [1, 1]
    found = [Results.load(run).confirmed for run in (here, there)]
    assert len(found[0]) == 2
    pd.testing.assert_frame_equal(*found, check_exact=True)
    assert_same(there, whole)


def test_a_service_that_starts_again_finds_a_job_that_runs_and_one_that_has_ended(
    tmp_path: Path, whole: Path, ray: Nodes
) -> None:
    with service_on(port(ray), ray.token, tmp_path) as client:
        client.submit(STUDY, name="jobs")
        until_ended(client, 1)
    with service_on(port(ray), ray.token, tmp_path) as client:
        assert client.get("jobs").state is StudyState.RUNNING
        until_ended(client, 2)
        done = client.wait("jobs")
        assert (done.state, done.ended_trials, done.restarts) == (StudyState.FINISHED, 6, 0), done
        assert [job["status"] for job in jobs_of(ray, f"{tmp_path}")] == ["SUCCEEDED"]
        client.extend("jobs", WHOLE_TRIALS - 6)
        eventually(lambda: client.get("jobs"), lambda found: bool(jobs_of(ray, f"resume {tmp_path}")))
    end = time.monotonic() + 240
    while jobs_of(ray, f"resume {tmp_path}")[0]["status"] in ("PENDING", "RUNNING"):
        assert time.monotonic() < end
        time.sleep(0.3)
    with service_on(port(ray), ray.token, tmp_path) as client:
        done = client.wait("jobs")
        assert (done.state, done.ended_trials, done.restarts) == (StudyState.FINISHED, WHOLE_TRIALS, 0), done
    assert len(jobs_of(ray, f"{tmp_path}")) == 2
    assert_same(tmp_path / "jobs", whole)


def test_a_job_that_is_stopped_from_outside_is_interrupted_and_one_that_is_killed_is_resumed(
    tmp_path: Path, whole: Path, ray: Nodes
) -> None:
    with service_on(port(ray), ray.token, tmp_path) as client:
        client.submit(STUDY, ["trials=8"], name="jobs")
        until_ended(client, 1)
        (job,) = jobs_of(ray, f"{tmp_path}")
        words = ["job", "stop", "--no-wait", "--address", f"http://127.0.0.1:{port(ray)}", job["submission_id"]]
        subprocess.run([RAY, *words], env=ray.environment, check=True, timeout=120)
        stopped = client.wait("jobs")
        assert stopped.state is StudyState.INTERRUPTED, stopped
        assert "from outside the service" in stopped.detail
        assert stopped.restarts == 0
        assert '"interrupted"' in (tmp_path / "jobs" / "run.json").read_text(), "it had time to save"
        client.resume("jobs")
        until_ended(client, stopped.ended_trials + 1)
        (driver,) = [
            pid
            for pid in below(ray.nodes[0].process.pid)
            if command(pid).startswith(f"{PROGRAM[0]} -P -m tune_mlp resume")
        ]
        os.kill(driver, signal.SIGKILL)
        done = client.wait("jobs")
        assert (done.state, done.ended_trials, done.restarts) == (StudyState.FINISHED, WHOLE_TRIALS, 1), done
    assert_same(tmp_path / "jobs", whole)


def test_a_job_is_begun_once_and_a_stranger_is_refused(tmp_path: Path, ray: Nodes) -> None:
    launcher = launcher_on(port(ray), ray.token, tmp_path)
    order = DriverOrder("twice-0123", "twice", ("--version",))
    assert launcher.report(order.token).state is DriverState.ABSENT
    for _ in range(3):
        launcher.launch(order)
    other = launcher_on(port(ray), ray.token, tmp_path / "elsewhere")
    other.launch(order)
    end = time.monotonic() + 120
    while launcher.report(order.token).state is not DriverState.ENDED:
        assert time.monotonic() < end
        time.sleep(0.3)
    assert launcher.report(order.token).status == 0
    assert launcher.log(order.token).count("tune-mlp ") == 1
    assert [job["submission_id"] for job in jobs_of(ray, "--version")] == [order.token]
    stranger = launcher_on(port(ray), "0" * 64, tmp_path)
    found = stranger.report(order.token)
    assert found.state is DriverState.UNKNOWN
    assert "refuses the service's token" in found.detail
    launcher.forget(order.token)
    assert launcher.report(order.token).state is DriverState.ABSENT
    for one in (launcher, other, stranger):
        one.close()
