"""Ray's processes in tests: nodes of one's own with a token, the workers below them, and what was left behind.

Whatever is ended here is ended by its process id.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

RAY = str(Path(sys.executable).with_name("ray"))
START_SECONDS = 240
"""A node that can't start ends, which is seen at once; on a busy machine a start may take minutes."""
END_SECONDS = 120
"""A node's two agents try for a minute, a figure of Ray's own, to tell a head that is gone of their node's end."""
CHUNK = 2**20
COUNTS = {"RAY_object_manager_default_chunk_size": str(CHUNK), "RAY_debug_dump_period_milliseconds": "500"}
"""Objects are sent in pieces of this size, and Node.chunks_received is half a second old at most."""
QUICK_CHECKS = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""A node that doesn't answer is given up after some ten seconds; Ray's own settings take longer."""


def processes() -> dict[int, int]:
    """Return each running process with its parent."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    found[int(folder.name)] = int(parent)
    return found


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def below(pid: int) -> list[int]:
    """Return all descendants of a process."""
    parents = processes()
    found, layer = [], {pid}
    while layer := {child for child, parent in parents.items() if parent in layer}:
        found += sorted(layer)
    return found


def workers(pid: int) -> list[int]:
    """Those below a process that train trials, or are about to."""
    return [one for one in below(pid) if command(one).startswith(("ray::TrialActor", "ray::_Inner"))]


def left_of_ray(session: str) -> list[str]:
    """Processes of a Ray whose temporary folder is this, by their command lines. A worker's names no folder, but its
    log lies there."""
    found = []
    for pid in processes():
        said = command(pid)
        with contextlib.suppress(OSError):
            opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
            if pid != os.getpid() and (session in said or any(path.startswith(session) for path in opened)):
                found.append(said[:200])
    return found


def none_left_of(session: str) -> bool:
    """Waits for the last of them to end."""
    until = time.monotonic() + END_SECONDS
    while left_of_ray(session):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


@dataclass
class Node:
    """A process `ray start --block` and all its descendants."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def chunks_received(self) -> int:
        """The number of chunks of objects that this node received from other nodes, as its own raylet counts them."""
        said = (self.folder / "session_latest" / "logs" / "debug_state.txt").read_text()
        return int(said.partition("num chunks received total:")[2].split()[0])

    @property
    def pids(self) -> list[int]:
        return [self.process.pid, *below(self.process.pid)]

    @property
    def workers(self) -> list[int]:
        return workers(self.process.pid)

    def signal(self, number: int) -> None:
        """To every process at once, as near as can be: what the loss of a machine is to the others."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@dataclass
class Nodes:
    """A Ray of several nodes on this machine, with its own ports and its own token."""

    folder: Path
    settings: Mapping[str, str]
    dashboard: int | None = None
    """The port of the head's dashboard, which takes jobs; it needs ray[default]. None starts no dashboard."""
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    port: int = 0
    nodes: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**kept, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"), **self.settings}

    def start(self, cpus: int) -> Node:
        """Another node; the first is the head."""
        folder = self.folder / str(len(self.nodes))
        port, agent = free_ports(2)
        if not self.nodes:
            self.port = port
            (self.folder / "token").touch(mode=0o600)
            (self.folder / "token").write_text(self.token)
            shown = ["--include-dashboard=false"]
            if self.dashboard is not None:
                shown = ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}"]
            where = ["--head", f"--port={port}", *shown]
        else:
            where = [f"--address={self.address}"]
        options = [
            *("--block", "--disable-usage-stats", f"--num-cpus={cpus}", "--object-store-memory=150000000"),
            *("--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={agent}"),
            f"--temp-dir={folder}",
        ]
        log = self.folder / f"{folder.name}.log"
        with log.open("wb") as said:
            command = [RAY, "start", *where, *options]
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        self.nodes.append(Node(process, folder))
        until = time.monotonic() + START_SECONDS
        while b"Ray runtime started" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        return self.nodes[-1]

    def end(self) -> None:
        for node in reversed(self.nodes):
            pids = node.pids
            node.signal(signal.SIGCONT)
            node.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(END_SECONDS)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    if str(self.folder) in command(pid):
                        os.kill(pid, signal.SIGKILL)
            node.process.wait(END_SECONDS)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def nodes(
    head: int, *others: int, dashboard: int | None = None, token: str | None = None, **settings: str
) -> Iterator[Nodes]:
    """Start a head and other nodes, each with so many CPUs, and remove everything of them at the end."""
    folder = Path(tempfile.mkdtemp(prefix="n", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    ray = Nodes(folder, settings, dashboard, token or secrets.token_hex(32))
    try:
        for cpus in (head, *others):
            ray.start(cpus)
        yield ray
    finally:
        ray.end()
        gone = none_left_of(str(folder))
        left = left_of_ray(str(folder))
        shutil.rmtree(folder, ignore_errors=True)
    assert gone, left


class Killer:
    """Ends workers of a process, one after the other, at random instants, until it has ended as many as it should.

    It waits between two of them until a trial has made progress: if none could, all trials would rightly be given up.
    """

    def __init__(self, pid: int, kills: int, seed: int, longest: float) -> None:
        self.killed = 0
        self.got_on = threading.Event()
        self._pid, self._kills, self._longest = pid, kills, longest
        self._random = Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while self.killed < self._kills and not self._over.wait(self._random.uniform(0.0, self._longest)):
            if self.got_on.wait(0.1) and (there := workers(self._pid)):
                self.got_on.clear()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(there), signal.SIGKILL)
                    self.killed += 1

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
