"""The cluster launcher: each study's driver is a job of Ray's own job engine, on the cluster whose dashboard it is told of.

Ray takes a submission id once, so a submission that is repeated begins nothing twice. Its list of jobs is not paged and says nothing of
owners, so it is never read: the service's ledger knows which jobs there are. A cluster whose head was replaced knows no job any more; a
file beside the ledger tells a job that was lost in this way from one that was never begun.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tune_mlp.errors import RunError, StorageError, UsageError, clipped, one_line
from tune_mlp.regular_files import read_regular
from tune_mlp.service.launcher import DriverOrder, DriverReport, DriverState
from tune_mlp.service.local_launcher import KILLED

PROGRAM = ("python", "-P", "-m", "tune_mlp")
"""How a node of the cluster starts a driver: by the Python that starts Ray there."""
JOBS = "/api/jobs/"
STOP_SECONDS = 60
"""The time that a driver has to save before Ray kills it; Ray's own is 3 seconds."""
ANSWER_SECONDS = 10.0
PAUSE_SECONDS = 5.0
"""A cluster that can't be reached isn't asked again for so long, so that it doesn't hold up everything else."""
ASKED_TO_END = 143
"""The status of a driver that ended by SIGTERM, which is how Ray stops a job."""
MOST_TOKEN_BYTES = 4096
MARKS = ("asked", "accepted")
"""The endings of a job's files."""


def ray_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token of the cluster from where Ray itself looks for it: two variables, then a file in the home folder."""
    if token := environment.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return read_regular(path, MOST_TOKEN_BYTES).decode().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        if named:
            raise UsageError(f"RAY_AUTH_TOKEN_PATH {named}: no token can be read there: {one_line(error)}") from None
        return None


class ClusterLauncher:
    """Begins drivers as jobs of a Ray cluster. `folder` is for the launcher alone: which jobs the cluster has accepted."""

    def __init__(
        self,
        address: str,
        folder: Path,
        token: Callable[[], str | None] = ray_token,
        *,
        program: Sequence[str] = PROGRAM,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"the address of a cluster's dashboard must be like http://head:8265, got {address!r:.200}"
            )
        self.address, self.folder, self.program = address.rstrip("/"), folder, tuple(program)
        self._token = token
        self._client = httpx.Client(
            base_url=self.address, auth=self._signed, timeout=ANSWER_SECONDS, transport=transport, trust_env=False
        )
        self._not_before, self._fault = 0.0, ""

    def launch(self, order: DriverOrder) -> None:
        """Submit a driver as a job, unless the cluster knows it."""
        asked, accepted = self._marks(order.token)
        is_there = self._job(order.token) is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            asked.touch(mode=0o600)
        except OSError as error:
            raise StorageError(f"{asked}: can't be written: {error.strerror or error}") from None
        if not is_there:
            answer = self._ask("POST", JOBS, self._job_request(order))
            known = answer.is_error and "already exists" in answer.text  # it came through, and its answer was lost
            if answer.status_code == httpx.codes.BAD_REQUEST and not known:
                raise UsageError(f"the cluster refuses the job: {_last_line(answer.text)}")
            if answer.is_error and not known:
                raise RunError(f"the cluster at {self.address} can't begin the job: {_last_line(answer.text)}")
        with contextlib.suppress(OSError):
            os.replace(asked, accepted)

    def report(self, token: str) -> DriverReport:
        """Say where a driver stands. While the cluster can't be asked, that is UNKNOWN, with the reason."""
        asked, accepted = self._marks(token)
        try:
            job = self._job(token)
        except RunError as error:
            begun = asked.exists() or accepted.exists()  # one that was never submitted needs no cluster to be stopped
            return DriverReport(DriverState.UNKNOWN if begun else DriverState.ABSENT, detail=one_line(error))
        if job is None:
            if accepted.exists():
                return DriverReport(
                    DriverState.LOST, detail="the cluster doesn't know its job any more: its head was replaced"
                )
            return DriverReport(DriverState.ABSENT)
        if asked.exists():
            with contextlib.suppress(OSError):
                os.replace(asked, accepted)
        return _reported(job)

    def stop(self, token: str, firmly: bool) -> None:
        """Ask a driver to save and end. Ray kills it if it is still there a minute later, so `firmly` is no different."""
        answer = self._ask("POST", f"{JOBS}{token}/stop")
        if answer.is_error and answer.status_code != httpx.codes.NOT_FOUND:
            raise RunError(f"the cluster at {self.address} can't stop {token}: {_last_line(answer.text)}")

    def log(self, token: str, most_bytes: int = 20_000) -> str:
        """Return the end of what a driver said."""
        try:
            answer = self._ask("GET", f"{JOBS}{token}/logs")
            logs = str(answer.json().get("logs") or "") if answer.is_success else ""
        except (RunError, ValueError):
            return ""
        return logs.encode()[-most_bytes:].decode("utf-8", "replace")

    def answer(self, token: str, most_bytes: int = 10_000_000) -> str:
        """Return what a driver wrote to its standard output; Ray keeps it in one log with the standard error."""
        return self.log(token, most_bytes)

    def kept(self) -> dict[str, float]:
        """Return the tokens of all jobs that were asked for here, each with the time of that."""
        found: dict[str, float] = {}
        for ending in MARKS:
            for path in self.folder.glob(f"*.{ending}"):
                with contextlib.suppress(OSError):
                    found[path.stem] = max(found.get(path.stem, 0.0), path.stat().st_mtime)
        return found

    def forget(self, token: str) -> None:
        """Remove a job that ended from the cluster's list."""
        with contextlib.suppress(RunError):  # a list that is longer than needed harms nothing
            self._ask("DELETE", f"{JOBS}{token}")
        for mark in self._marks(token):
            mark.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the connection. Jobs go on."""
        self._client.close()

    def _job_request(self, order: DriverOrder) -> dict[str, Any]:
        return {
            "submission_id": order.token,
            "entrypoint": shlex.join((*self.program, *order.words)),
            "metadata": {"tune_mlp_study": order.study},
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}},
        }

    def _job(self, token: str) -> dict[str, Any] | None:
        """Return what the cluster knows of a job; None if it knows none of this id."""
        answer = self._ask("GET", f"{JOBS}{token}")
        if answer.status_code == httpx.codes.NOT_FOUND and "does not exist" in answer.text:
            return None
        try:
            job = answer.raise_for_status().json()
            if not isinstance(job, dict):
                raise ValueError("a job is an object")
        except (httpx.HTTPStatusError, ValueError):
            said = f"{answer.status_code} {answer.reason_phrase}".strip()
            raise RunError(
                f"{self.address} answered {said} when it was asked for a job: is it the dashboard of a Ray with ray[default]?"
            ) from None
        return job

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Send a request to the cluster; a RunError says in one line why it can't be reached."""
        if time.monotonic() < self._not_before:
            raise RunError(self._fault)
        try:
            answer = self._client.request(method, path, json=body)
        except UsageError as error:  # the token's file has gone since the service was started
            raise RunError(one_line(error)) from None
        except httpx.RequestError as error:
            reason = "it didn't answer in time" if isinstance(error, httpx.TimeoutException) else one_line(error)
            self._not_before = time.monotonic() + PAUSE_SECONDS
            self._fault = f"the cluster at {self.address} can't be reached: {reason}"
            raise RunError(self._fault) from None
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise RunError(f"the cluster at {self.address} refuses the service's token: {_last_line(answer.text)}")
        return answer

    def _signed(self, request: httpx.Request) -> httpx.Request:
        """Add the cluster's token, which is read anew for each request: a cluster that is started again may have another."""
        if token := self._token():
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    def _marks(self, token: str) -> tuple[Path, Path]:
        """Return the file of a job that is being submitted, and that of one that the cluster has accepted."""
        asked, accepted = (self.folder / f"{token}.{ending}" for ending in MARKS)
        return asked, accepted


def _reported(job: Mapping[str, Any]) -> DriverReport:
    """Translate what Ray says of a job."""
    status, code, message = job.get("status"), job.get("driver_exit_code"), str(job.get("message") or "")
    if status == "PENDING":
        return DriverReport(DriverState.STARTING, detail=_last_line(message))
    if status == "RUNNING":
        return DriverReport(DriverState.RUNNING)
    if status == "SUCCEEDED":
        return DriverReport(DriverState.ENDED, 0)
    if status == "STOPPED":
        return DriverReport(DriverState.ENDED, ASKED_TO_END)
    if not isinstance(code, int):
        return DriverReport(DriverState.LOST, detail=_last_line(message) or "the cluster lost its process")
    code = 128 - code if code < 0 else code
    if code - 128 in KILLED:
        return DriverReport(DriverState.LOST, code, "its process was killed")
    return DriverReport(DriverState.ENDED, code, _last_line(message))


def _last_line(text: str) -> str:
    """Return the last line of a log or of a traceback, which says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return clipped(lines[-1], 500) if lines else ""
