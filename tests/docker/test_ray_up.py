"""`ray up`, `ray submit` and `ray rsync-down` with docker/cluster.yaml, to a sshd of this test's own on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.nodes import free_ports

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
MISSING = [name for name in ("ssh", "ssh-keygen", "rsync", "nc", "pgrep") if not shutil.which(name)]
START_SECONDS = 20
COMMAND_SECONDS = 240

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds what it started in /proc"),
    pytest.mark.skipif(
        SSHD is None or bool(MISSING),
        reason=f"needs sshd, rsync and nc (Debian: openssh-server rsync netcat-openbsd); missing: {MISSING or 'sshd'}",
    ),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """What the node's user has for a home; Ray puts sockets below, whose paths may have 107 characters. Whatever was
    started with this home, and nothing else, is ended with the test."""
    path = Path(tempfile.mkdtemp(prefix="up", dir="/tmp"))
    try:
        yield path
    finally:
        left = end_all_of(path)
        shutil.rmtree(path, ignore_errors=True)
        for sockets in Path("/tmp").glob("ray_ssh_*/" + hashlib.sha256(path.name.encode()).hexdigest()[:10]):
            shutil.rmtree(sockets)  # Ray keeps ssh's connections there, by the hash of the cluster's name
    assert left == [], "these outlived SIGKILL"


def end_all_of(home: Path) -> list[int]:
    """Ends the processes that have this home in their environment or their command; gives those that won't end."""
    for kind, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 10)):
        for pid in processes_of(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
        until = time.monotonic() + seconds
        while processes_of(home) and time.monotonic() < until:
            time.sleep(0.2)
    return processes_of(home)


def processes_of(home: Path) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if str(home).encode() in (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes():
                    state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                    found += [int(folder.name)] if state != "Z" else []
    return found


def listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def sshd_port(home: Path) -> Iterator[int]:
    """Start an sshd that lets this user in with a new key, and uses that home."""
    assert SSHD
    (port,) = free_ports(1)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / key], check=True)
    (home / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {home}/user_key.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"UsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nSetEnv HOME={home}/node\n"
    )
    (home / "node").mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it won't start as root without
    with (home / "sshd.log").open("w") as log:
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", home / "sshd_config"], stderr=log)
        try:
            until = time.monotonic() + START_SECONDS
            while not listens(port) and time.monotonic() < until:
                assert sshd.poll() is None, (home / "sshd.log").read_text()
                time.sleep(0.1)
            yield port
        finally:
            sshd.terminate()
            sshd.wait(START_SECONDS)


def cluster_file(home: Path, sshd_port: int) -> tuple[Path, int]:
    """Write docker/cluster.yaml with this machine's address, Ray's port and a venv with this environment's packages."""
    config = yaml.safe_load((ROOT / "docker" / "cluster.yaml").read_text(encoding="utf-8"))
    ray_port, agent_port = free_ports(2)
    config["cluster_name"] = home.name
    config["provider"] = {"type": "local", "head_ip": "127.0.0.1", "worker_ips": []}
    config["auth"] = {
        "ssh_user": os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip(),
        "ssh_private_key": str(home / "user_key"),
        "ssh_proxy_command": f"nc 127.0.0.1 {sshd_port}",
    }
    make_venv, install, *rest = config["setup_commands"]
    assert "-m venv" in make_venv
    assert "pip install" in install
    config["setup_commands"] = [f"ln -sfn {sys.prefix} ~/tune_mlp_venv", *rest]
    (start,) = config["head_start_ray_commands"]
    only_ours = start.partition("|| ")[2].replace("--port=6379", f"--port={ray_port}")
    config["head_start_ray_commands"] = [
        f"{only_ours} --temp-dir={home}/ray --num-cpus=1 --object-store-memory=100000000 --include-dashboard=false "
        f"--dashboard-agent-listen-port={agent_port} --disable-usage-stats"
    ]
    config["worker_start_ray_commands"] = []
    file = home / "cluster.yaml"
    file.write_text(yaml.safe_dump(config))
    return file, ray_port


@pytest.mark.timeout(900)
def test_a_search_is_submitted_to_a_cluster_over_ssh_and_its_table_fetched(home: Path, sshd_port: int) -> None:
    here = home / "here"
    (here / ".ray").mkdir(parents=True)
    (here / ".ray" / "auth_token").write_text(secrets.token_hex(32))
    file, ray_port = cluster_file(home, sshd_port)
    cluster = str(file)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_MLP", "XDG_"))}
    env = {
        **kept,
        "HOME": str(here),
        "RAY_TMPDIR": str(home / "tmp"),
        "TMPDIR": str(home / "tmp"),
        "RAY_AUTH_MODE": "token",
        "COLUMNS": "160",
    }
    (home / "tmp").mkdir()

    def ray(*words: str) -> str:
        print("$ ray", *words)
        command = [str(Path(sys.executable).with_name("ray")), *words]
        done = subprocess.run(
            command, env=env, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        print(done.stdout)
        assert done.returncode == 0, done.stdout + (home / "sshd.log").read_text()
        return done.stdout

    ray("up", cluster, "--yes", "--disable-usage-stats")
    assert (home / "node" / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    assert (home / "node" / "tune_mlp_source" / "constraints.txt").is_file()
    assert not (home / "node" / "tune_mlp_source" / ".git").exists()

    # Not `auto`, which may find another Ray of this machine.
    words = f"--space digits_quick --trials 3 --epochs 2 --address 127.0.0.1:{ray_port} --out ~/runs --name first"
    said = ray("submit", cluster, "tune_mlp/search.py", "--", *words.split())
    assert "Best 3 of 3 trials" in said
    assert (home / "node" / "search.py").is_file()

    table = home / "trials.csv"
    ray("rsync-down", cluster, "~/runs/first/trials.csv", str(table))
    trials = pd.read_csv(table)
    assert list(trials["trial"]) == [0, 1, 2]
    assert set(trials["state"]) <= {"finished", "stopped"}
