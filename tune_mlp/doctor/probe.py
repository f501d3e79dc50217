"""Probes: functions that are sent to a node by value, so that they run even where the package is missing.

Nothing but Python's own library is needed, and what they return are plain values.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("ray", "torch", "numpy", "numba")
LATE_SECONDS = 3.0
"""The time until a new file must be visible on another node: shared file systems cache that a file is missing."""

CUDA = """\
import json, torch
usable = torch.cuda.is_available()
build = torch.version.cuda or torch.version.hip or ""
print(json.dumps({"cuda_build": build, "cuda_devices": torch.cuda.device_count() if usable else 0}))
"""


def look(session: str | None, gpu: bool) -> dict[str, Any]:
    """Return the facts of the machine. `session` is the folder of its Ray. PyTorch, which takes two seconds to import, is only
    asked if the machine has a GPU, or if `gpu` says that it should have one."""
    started = _environment_of_ray()
    total, available = _memory()
    gpus = _gpus()
    return {
        "host": socket.gethostname(),
        "boot": _first_line("/proc/sys/kernel/random/boot_id"),
        "versions": {"python": platform.python_version(), **_versions()},
        **_package(),
        "cores": _cores(),
        "memory": total,
        "available": available,
        "omp": started.get("OMP_NUM_THREADS", ""),
        "token_mode": started.get("RAY_AUTH_MODE", ""),
        **_token_file(started),
        "gpus": gpus,
        **(_cuda(started) if gpus or gpu else {"cuda_build": None, "cuda_devices": 0}),
        "disk": disk(session) if session else None,
    }


def now() -> float:
    """Return the time by the node's clock."""
    return time.time()


def share(place: str, theirs: str, content: str, ours: str) -> dict[str, str]:
    """Read the file that the driver wrote into the folder or the store, and write one for the driver to read; returns the
    reasons why either failed."""
    return {"unread": unread_of(place, theirs, content), "unwritten": unwritten_of(place, ours, content)}


def unwritten_of(place: str, name: str, content: str) -> str:
    """Write a file; returns why that failed, or an empty text."""
    try:
        if "://" in place:
            _store(place).write(name, content.encode())
        else:
            (Path(place) / name).write_text(content, encoding="ascii")
    except Exception as error:  # noqa: BLE001  # a store's, where the package is missing, are of any kind
        return _said(error)
    return ""


def unread_of(place: str, name: str, content: str) -> str:
    """Read a file and compare its content; returns why that failed, or an empty text."""
    end = time.monotonic() + LATE_SECONDS
    while True:
        try:
            found = _store(place).read(name) if "://" in place else (Path(place) / name).read_bytes()
            if found == content.encode():
                return ""
            reason = "No such file" if found is None else "another content than was written"
        except Exception as error:  # noqa: BLE001  # as above
            reason = _said(error)
        if time.monotonic() > end:
            return reason
        time.sleep(0.1)


def _store(uri: str) -> Any:
    """Open an object store, for which the package itself is needed."""
    from tune_mlp.results.storage import ObjectStore

    return ObjectStore(uri)


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def disk(folder: str) -> tuple[int, int] | None:
    """Return the free bytes and all bytes of the disk that holds the folder."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free, usage.total


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _environment_of_ray() -> dict[str, str]:
    """Return the environment that `ray start` had: Ray changes parts of it for its workers."""
    raylet = os.environ.get("RAY_RAYLET_PID")
    try:
        pairs = Path(f"/proc/{raylet}/environ").read_bytes().decode(errors="replace").split("\0") if raylet else []
    except OSError:
        pairs = []
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair) or dict(os.environ)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def _package() -> dict[str, Any]:
    """Import tune_mlp as a trial would; returns its version, a checksum of its sources, and whether its kernels are compiled."""
    try:
        package = importlib.import_module("tune_mlp")
        folder = Path(str(package.__file__)).parent
        sources = hashlib.blake2b(digest_size=8)
        for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
            sources.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
        found = {"package": str(package.__version__), "sources": sources.hexdigest(), "unimported": ""}
    except Exception as error:  # noqa: BLE001  # whatever it is, a trial would end with it
        return {"package": "", "sources": "", "unimported": f"{type(error).__name__}: {error}", "compiled": None}
    try:
        compiled = bool(importlib.import_module("tune_mlp.engines.compiled.cache").is_compiled())
    except Exception:  # noqa: BLE001  # another version, or no numba: the versions tell
        return {**found, "compiled": None}
    return {**found, "compiled": compiled}


def _cores() -> float:
    """Return how many cores this process may use, by its affinity and by its container's quota."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for folder in _control_groups("cpu"):
        quota, _, period = _first_line(f"{folder}/cpu.max").partition(" ")
        quota = quota or _first_line(f"{folder}/cpu.cfs_quota_us")
        period = period or _first_line(f"{folder}/cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():
            cores = min(cores, int(quota) / int(period))
    return cores


def _memory() -> tuple[int | None, int | None]:
    """Return all memory and the available memory, within a container's limit; None if the system doesn't tell."""
    try:
        memory = importlib.import_module("psutil").virtual_memory()  # Ray depends on it
        total, available = int(memory.total), int(memory.available)
    except ImportError:
        return None, None
    for folder in _control_groups("memory"):
        limit = _first_line(f"{folder}/memory.max") or _first_line(f"{folder}/memory.limit_in_bytes")
        used = _first_line(f"{folder}/memory.current") or _first_line(f"{folder}/memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit() and int(limit) < memory.total:
            with contextlib.suppress(OSError, ValueError):  # the kernel frees cached file pages when it must
                lines = Path(f"{folder}/memory.stat").read_text().splitlines()
                stat = dict(line.split() for line in lines)
                used = str(int(used) - int(stat.get("total_inactive_file", stat.get("inactive_file", "0"))))
            total, available = min(total, int(limit)), min(available, int(limit) - int(used))
    return total, max(0, available)


def _control_groups(controller: str) -> list[str]:
    """Yield the folders that hold a container's limits: this process's control group and those above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = Path("/sys/fs/cgroup") / (controller if controllers else "")
            own = root / path.strip("/")
            folders += [str(folder) for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return folders


def _token_file(environment: dict[str, str]) -> dict[str, Any]:
    """Return where the token lies and who may read it; the token itself is not read."""
    if environment.get("RAY_AUTH_TOKEN"):
        return {"token_file": "$RAY_AUTH_TOKEN", "token_bits": 0o600, "token_open": False}
    home = environment.get("HOME") or os.path.expanduser("~")
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or f"{home}/.ray/auth_token")
    try:
        mode = path.stat().st_mode
        open_to_all = bool(mode & 0o004) and all(folder.stat().st_mode & 0o001 for folder in path.absolute().parents)
    except OSError:
        return {"token_file": str(path), "token_bits": None, "token_open": False}
    return {"token_file": str(path), "token_bits": mode & 0o777, "token_open": open_to_all}


def _gpus() -> int:
    """Count the GPUs that the system knows, whether or not Ray offers them."""
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in said.splitlines())


def _cuda(environment: dict[str, str]) -> dict[str, Any]:
    """Ask PyTorch about the GPUs, in a process of its own with the environment of `ray start`."""
    seen = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    if "CUDA_VISIBLE_DEVICES" in environment:
        seen["CUDA_VISIBLE_DEVICES"] = environment["CUDA_VISIBLE_DEVICES"]
    try:
        ran = subprocess.run(
            [sys.executable, "-c", CUDA], env=seen, capture_output=True, text=True, timeout=20, check=True
        )
        return dict(json.loads(ran.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {"cuda_build": None, "cuda_devices": 0}
