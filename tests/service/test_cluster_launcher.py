"""The cluster launcher against the answers that Ray's job engine gives: nothing is begun twice, and nothing is lost unnoticed.

tests/service/test_ray_jobs.py asks a real one.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tune_mlp.errors import RunError, StorageError, UsageError
from tune_mlp.service import cluster_launcher
from tune_mlp.service.cluster_launcher import ClusterLauncher, ray_token
from tune_mlp.service.launcher import DriverOrder, DriverState

TOKEN = "a" * 64
ORDER = DriverOrder("first-0123abcd", "first", ("search", "--space", "/runs/a b.yaml", "--name", "first"))


class RayJobs(httpx.BaseTransport):
    """Answers as the dashboard of Ray 2.60 does: in its words, with its statuses, and behind its token."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.lose: list[str] = []
        """The methods of the requests whose answers are lost once."""
        self.away = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("connection refused")
        given = request.headers.get("authorization", "")
        if not given:
            return httpx.Response(401, text="Unauthorized: Missing authentication token")
        if given != f"Bearer {TOKEN}":
            return httpx.Response(403, text="Forbidden: Invalid authentication token")
        answer = self._answer(request)
        if request.method in self.lose:
            self.lose.remove(request.method)
            raise httpx.ReadTimeout("timed out")
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name, _, rest = request.url.path.removeprefix("/api/jobs/").partition("/")
        if request.method == "POST" and not name:
            body = json.loads(request.read())
            if body["submission_id"] in self.jobs:
                said = f"ValueError: Job with submission_id {body['submission_id']} already exists."
                return httpx.Response(500, text=f"Traceback (most recent call last):\n{said}\n")
            self.jobs[body["submission_id"]] = {**body, "status": "PENDING", "message": "Job has not started yet."}
            return httpx.Response(200, json={"job_id": "x", "submission_id": body["submission_id"]})
        if name not in self.jobs:
            return httpx.Response(404, text=f"Job {name} does not exist")
        if request.method == "DELETE":
            del self.jobs[name]
            return httpx.Response(200, json={"deleted": True})
        if rest == "stop":
            self.jobs[name]["status"] = "STOPPED"
            return httpx.Response(200, json={"stopped": True})
        if rest == "logs":
            return httpx.Response(200, json={"logs": self.jobs[name].get("logs", "")})
        return httpx.Response(200, json={**self.jobs[name], "type": "SUBMISSION"})


@pytest.fixture
def ray() -> RayJobs:
    return RayJobs()


@pytest.fixture
def launcher(ray: RayJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterLauncher]:
    monkeypatch.setattr(cluster_launcher, "PAUSE_SECONDS", 0.0)
    made = ClusterLauncher("http://head.example:8265/", tmp_path / "jobs", lambda: TOKEN, transport=ray)
    yield made
    made.close()


def again(launcher: ClusterLauncher, ray: RayJobs, token: str | None = TOKEN) -> ClusterLauncher:
    """Return the launcher of a service that was started again."""
    return ClusterLauncher(launcher.address, launcher.folder, lambda: token, transport=ray)


def test_a_driver_is_one_job_however_often_it_is_launched(launcher: ClusterLauncher, ray: RayJobs) -> None:
    assert launcher.report(ORDER.token).state is DriverState.ABSENT
    launcher.launch(ORDER)
    launcher.launch(ORDER)
    again(launcher, ray).launch(ORDER)
    (job,) = ray.jobs.values()
    assert job["submission_id"] == ORDER.token
    assert shlex.split(job["entrypoint"]) == ["python", "-P", "-m", "tune_mlp", *ORDER.words]
    assert job["metadata"] == {"tune_mlp_study": "first"}
    assert job["runtime_env"]["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "60"


def test_a_launch_whose_answer_is_lost_is_found_again(launcher: ClusterLauncher, ray: RayJobs) -> None:
    ray.lose = ["POST"]
    with pytest.raises(
        RunError, match=r"the cluster at http://head\.example:8265 can't be reached: it didn't answer in time"
    ):
        launcher.launch(ORDER)
    assert again(launcher, ray).report(ORDER.token).state is DriverState.STARTING
    launcher.launch(ORDER)
    assert len(ray.jobs) == 1


def test_two_launches_at_once_begin_one_job(launcher: ClusterLauncher, ray: RayJobs) -> None:
    """Both looked before either submitted."""
    job = {"submission_id": ORDER.token, "status": "RUNNING"}
    answers = iter([httpx.Response(404, text="Job x does not exist")])
    answer = ray._answer

    def late(request: httpx.Request) -> httpx.Response:
        found = next(answers, None)
        if found is not None:
            ray.jobs[ORDER.token] = job  # of the other
            return found
        return answer(request)

    ray._answer = late  # type: ignore[method-assign]
    launcher.launch(ORDER)
    assert ray.jobs[ORDER.token] is job


@pytest.mark.parametrize(
    ("job", "state", "status", "said"),
    [
        ({"status": "PENDING", "message": "waiting for CPUs"}, DriverState.STARTING, None, "waiting for CPUs"),
        ({"status": "RUNNING"}, DriverState.RUNNING, None, ""),
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, DriverState.ENDED, 0, ""),
        ({"status": "STOPPED"}, DriverState.ENDED, 143, ""),
        (
            {
                "status": "FAILED",
                "driver_exit_code": 2,
                "message": "failed with exit code 2, logs:\ntune-mlp: no data\n",
            },
            DriverState.ENDED,
            2,
            "tune-mlp: no data",
        ),
        ({"status": "FAILED", "driver_exit_code": 143}, DriverState.ENDED, 143, ""),
        ({"status": "FAILED", "driver_exit_code": -15}, DriverState.ENDED, 143, ""),
        ({"status": "FAILED", "driver_exit_code": -9}, DriverState.LOST, 137, "its process was killed"),
        ({"status": "FAILED", "driver_exit_code": 137}, DriverState.LOST, 137, "its process was killed"),
        ({"status": "FAILED", "message": "node died"}, DriverState.LOST, None, "node died"),
        ({"status": "FAILED"}, DriverState.LOST, None, "the cluster lost its process"),
    ],
)
def test_what_ray_says_of_a_job_is_understood(
    launcher: ClusterLauncher, ray: RayJobs, job: dict[str, Any], state: DriverState, status: int | None, said: str
) -> None:
    ray.jobs[ORDER.token] = job
    found = launcher.report(ORDER.token)
    assert (found.state, found.status, found.detail) == (state, status, said)


def test_a_job_is_stopped_its_log_read_and_forgotten(launcher: ClusterLauncher, ray: RayJobs) -> None:
    launcher.launch(ORDER)
    ray.jobs[ORDER.token]["logs"] = "a\n" * 100 + "end\n"
    assert launcher.log(ORDER.token, 6) == "a\nend\n"
    launcher.stop(ORDER.token, firmly=False)
    launcher.stop(ORDER.token, firmly=True)
    assert launcher.report(ORDER.token).status == 143
    launcher.forget(ORDER.token)
    assert ray.jobs == {}
    assert launcher.log(ORDER.token) == ""
    launcher.stop(ORDER.token, firmly=True)
    assert launcher.report(ORDER.token).state is DriverState.ABSENT
    assert list(launcher.folder.iterdir()) == []


def test_a_job_of_a_head_that_was_replaced_is_lost_and_one_that_was_never_accepted_is_absent(
    launcher: ClusterLauncher, ray: RayJobs
) -> None:
    launcher.launch(ORDER)
    ray.jobs.clear()
    for one in (launcher, again(launcher, ray)):
        found = one.report(ORDER.token)
        assert found.state is DriverState.LOST
        assert "its head was replaced" in found.detail
    assert launcher.report("second-0123").state is DriverState.ABSENT


def test_a_cluster_that_is_away_is_said_and_everything_is_tried_again(launcher: ClusterLauncher, ray: RayJobs) -> None:
    ray.away = True
    with pytest.raises(RunError, match="can't be reached"):
        launcher.launch(ORDER)
    found = launcher.report(ORDER.token)
    assert found.state is DriverState.ABSENT, "it was never submitted, which is known without the cluster"
    ray.away = False
    launcher.launch(ORDER)
    assert launcher.report(ORDER.token).state is DriverState.STARTING
    ray.away = True
    found = launcher.report(ORDER.token)
    assert found.state is DriverState.UNKNOWN
    assert found.detail == "the cluster at http://head.example:8265 can't be reached: ConnectError: connection refused"
    assert launcher.log(ORDER.token) == ""
    with pytest.raises(RunError):
        launcher.stop(ORDER.token, firmly=False)
    ray.away = False
    assert launcher.report(ORDER.token).state is DriverState.STARTING


def test_a_cluster_that_is_away_is_not_asked_at_every_look(
    launcher: ClusterLauncher, ray: RayJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher.launch(ORDER)
    monkeypatch.setattr(cluster_launcher, "PAUSE_SECONDS", 1000.0)
    ray.away = True
    launcher.report(ORDER.token)
    ray.away = False
    assert launcher.report(ORDER.token).state is DriverState.UNKNOWN
    launcher._not_before = 0.0
    assert launcher.report(ORDER.token).state is DriverState.STARTING


@pytest.mark.parametrize("token", [None, "b" * 64])
def test_a_token_that_the_cluster_refuses_is_said_and_shown_nowhere(
    launcher: ClusterLauncher, ray: RayJobs, token: str | None
) -> None:
    launcher.launch(ORDER)
    found = again(launcher, ray, token).report(ORDER.token)
    assert found.state is DriverState.UNKNOWN
    assert "refuses the service's token" in found.detail
    assert token is None or token not in found.detail


def test_a_cluster_that_is_started_again_may_have_another_token(
    launcher: ClusterLauncher, ray: RayJobs, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    here = ClusterLauncher(
        launcher.address, launcher.folder, lambda: ray_token({"RAY_AUTH_TOKEN_PATH": str(file)}), transport=ray
    )
    for content, said in ((None, "no token can be read there"), ("b" * 64, "refuses the service's token")):
        if content:
            file.write_text(content)
        with pytest.raises(RunError, match=said):
            here.launch(ORDER)
    file.write_text(TOKEN)
    here.launch(ORDER)
    assert here.report(ORDER.token).state is DriverState.STARTING
    here.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: httpx.Response(404, text="<h1>Not here</h1>"), "is it the dashboard of a Ray with ray[default]?"),
        (lambda: httpx.Response(200, text="<h1>Here</h1>"), "is it the dashboard of a Ray with ray[default]?"),
        (lambda: httpx.Response(200, json=["x"]), "is it the dashboard of a Ray with ray[default]?"),
        (
            lambda: httpx.Response(200, stream=httpx.ByteStream(b"not gzip"), headers={"content-encoding": "gzip"}),
            "can't be reached: DecodingError",
        ),
    ],
)
def test_another_server_than_rays_dashboard_is_said(
    answer: Callable[[], httpx.Response], said: str, tmp_path: Path
) -> None:
    transport = httpx.MockTransport(lambda request: answer())
    launcher = ClusterLauncher("http://other.example", tmp_path, lambda: TOKEN, transport=transport)
    assert said in launcher.report("x").detail


def test_an_address_that_is_no_dashboards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be like http://head:8265"):
        ClusterLauncher("127.0.0.1:6379", tmp_path)


def test_a_job_is_not_submitted_where_its_note_cannot_be_kept(launcher: ClusterLauncher, ray: RayJobs) -> None:
    launcher.folder.write_text("a file is in the way")
    with pytest.raises(StorageError):
        launcher.launch(ORDER)
    assert ray.jobs == {}


def test_the_token_comes_from_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert ray_token({}) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of the home\n")
    (tmp_path / "named").write_text("of the file")
    assert ray_token({}) == "of the home"
    assert ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "named")}) == "of the file"
    assert (
        ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "named"), "RAY_AUTH_TOKEN": "of the variable"})
        == "of the variable"
    )
    with pytest.raises(UsageError, match="no token can be read there"):
        ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")})
