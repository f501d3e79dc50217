"""Studies as Ray Jobs on clusters that can't be reached for a while: one whose machines are lost, and one that starts after the service."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.nodes import free_ports, nodes
from tests.service.ray_jobs import (
    MARKS,
    STUDY,
    WHOLE_TRIALS,
    assert_same,
    eventually,
    port,
    run_whole,
    service_on,
    until_ended,
)
from tune_mlp.service.messages import StudyState

pytestmark = MARKS


def test_a_lost_head_is_said_and_the_study_goes_on_on_the_next_cluster(tmp_path: Path) -> None:
    whole = run_whole(tmp_path)
    (dashboard,) = free_ports(1)
    with (
        nodes(0, 1, 1, dashboard=dashboard) as ray,
        service_on(port(ray), ray.token, tmp_path / "served") as client,
    ):
        client.submit(STUDY, [f"trials={WHOLE_TRIALS}"], name="jobs")
        until_ended(client, 1)
        for node in ray.nodes:
            node.signal(signal.SIGKILL)
        lost = eventually(lambda: client.get("jobs"), lambda found: "can't be reached" in found.detail)
        assert lost.state is StudyState.RUNNING
        assert lost.ended_trials >= 1
        with nodes(0, 1, 1, dashboard=dashboard, token=ray.token):
            done = eventually(lambda: client.get("jobs"), lambda found: found.state in ("finished", "failed"), 400)
            assert (done.state, done.ended_trials, done.restarts) == (StudyState.FINISHED, WHOLE_TRIALS, 1), done
    assert_same(tmp_path / "served" / "jobs", whole)


def test_a_service_that_is_there_before_its_cluster_keeps_studies_for_it(tmp_path: Path) -> None:
    (dashboard,) = free_ports(1)
    token = "a" * 64
    for _ in range(2):  # the service, and the same started again
        with service_on(dashboard, token, tmp_path) as client:
            client.submit(STUDY, ["trials=2", "epochs=2"], name="jobs", key="one")
            found = eventually(lambda: client.get("jobs"), lambda found: "can't be reached" in found.detail)
            assert (found.state, found.position) == (StudyState.QUEUED, None)
            assert list(client.health().facts.unknown) == ["jobs"]
    with service_on(dashboard, token, tmp_path) as client:
        client.submit(STUDY, name="unwanted")
        eventually(lambda: client.get("unwanted"), lambda found: "can't be reached" in found.detail)
        client.stop("unwanted")
        assert client.wait("unwanted").state is StudyState.STOPPED
        with nodes(0, 1, 1, dashboard=dashboard, token=token):
            done = client.wait("jobs")
            assert (done.state, done.ended_trials, done.restarts, done.detail) == (StudyState.FINISHED, 2, 0, ""), done
        assert not (tmp_path / "unwanted").exists()
