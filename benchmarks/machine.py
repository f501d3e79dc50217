"""The machine: what it is, and how fast one of its cores can multiply and read, measured here and now."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from numba import njit

PACKAGES = ("numpy", "torch", "numba", "scikit-learn", "ray")
ROOT = Path(__file__).parents[1]
RECORDS = "benchmarks/RECORDS.md"
PASSES = 64
"""The number of times that an array is read in one timed call."""


@dataclass(frozen=True)
class Limits:
    """The highest speeds that one core was seen to reach."""

    fma_gflops: float
    """float32 multiply-adds from L1, each counted as two."""
    blas_gflops: float
    """The same from BLAS on square matrices of 512 to 1024, the best of NumPy's and PyTorch's."""
    l2_gbs: float
    """Bytes read from L2, in GB/s."""
    l3_gbs: float
    """Bytes read from L3, in GB/s."""
    l2_bytes: int


def facts() -> str:
    """Return one line that names the processor, its cores and caches, and the versions."""
    versions = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"no {name}")
    caches = ", ".join(f"{name} {size // 1024} KiB" for name, size in cache_sizes().items())
    return f"{_processor()}, {os.cpu_count()} cores, {caches}; {', '.join(versions)}"


def commit() -> str:
    """Return the commit that runs, and whether files were changed since."""
    return f"{_git('rev-parse', '--short', 'HEAD').strip() or 'unknown'}{' with changes' if changed_files() else ''}"


def changed_files() -> list[str]:
    """Return the files that differ from the commit; the records themselves, which a benchmark writes, don't count."""
    changed = _git("status", "--porcelain", "--untracked-files=all", "--", ".", f":(exclude){RECORDS}")
    return [line[3:] for line in changed.splitlines()]


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def busy(seconds: float = 1.0) -> float:
    """Return the number of cores that other processes keep busy while this process sleeps."""

    def jiffies() -> tuple[int, int]:
        counts = [int(count) for count in Path("/proc/stat").read_text().partition("\n")[0].split()[1:]]
        return sum(counts[:8]), counts[3] + counts[4]

    all_before, idle_before = jiffies()
    time.sleep(seconds)
    all_after, idle_after = jiffies()
    idle = (idle_after - idle_before) / max(1, all_after - all_before)
    return (os.cpu_count() or 1) * (1 - idle)


def cache_sizes() -> dict[str, int]:
    """Bytes of L1d, L2 and L3 as one core sees them; empty where the system doesn't say."""
    sizes: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = ((folder / name).read_text().strip() for name in ("level", "type"))
        if kind != "Instruction":
            amount = (folder / "size").read_text().strip()
            sizes[f"L{level}{'d' if kind == 'Data' else ''}"] = int(amount.rstrip("KM")) * (
                1024**2 if amount.endswith("M") else 1024
            )
    return sizes


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    wide = "AVX-512" if "avx512f" in named.get("flags", "").split() else "no AVX-512"
    family = f"family {named.get('cpu family', '?')} model {named.get('model', '?')}"
    return f"{named.get('model name', 'unknown processor')} ({family}, {wide})"


def measure_limits(repeats: int = 7) -> Limits:
    """Measure the machine's limits. Each is the best of several repetitions, since a limit is what a core can reach."""
    blas = max(_blas_gflops(n, repeats) for n in (512, 768, 1024))  # its own loop may use wider vectors than ours
    l2_bytes = cache_sizes().get("L2", 1024**2)
    return Limits(
        fma_gflops=max(_fma_gflops(repeats), blas),
        blas_gflops=blas,
        l2_gbs=_read_gbs(l2_bytes // 2, repeats),
        l3_gbs=_read_gbs(8 * l2_bytes, repeats),
        l2_bytes=l2_bytes,
    )


def _fma_gflops(repeats: int) -> float:
    x, steps, half = np.ones(4096, np.float32), 4000, np.float32(0.5)
    return 2 * 16 * x.size * steps / _best(lambda: _multiply_add(x, steps, half, half), repeats) / 1e9


@njit(fastmath={"contract"})
def _multiply_add(x, steps, m, c):  # type: ignore[no-untyped-def]
    """16 multiply-adds for each number read and written; the numbers go to c/(1-m), so they stay ordinary."""
    for _ in range(steps):
        for i in range(x.size):
            v = x[i]
            v = (((v * m + c) * m + c) * m + c) * m + c
            v = (((v * m + c) * m + c) * m + c) * m + c
            v = (((v * m + c) * m + c) * m + c) * m + c
            v = (((v * m + c) * m + c) * m + c) * m + c
            x[i] = v


def _blas_gflops(n: int, repeats: int) -> float:
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=(n, n)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    x, y, z = (torch.from_numpy(array) for array in (a, b, out))
    fastest = min(_best(lambda: np.matmul(a, b, out=out), repeats), _best(lambda: torch.mm(x, y, out=z), repeats))
    return 2 * n**3 / fastest / 1e9


def _read_gbs(size: int, repeats: int) -> float:
    array = np.random.default_rng(0).normal(size=size // 4).astype(np.float32)
    return PASSES * array.nbytes / _best(lambda: _read(array, PASSES), repeats) / 1e9


@njit(fastmath=True)
def _read(array, passes):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for number in range(passes):
        factor = np.float32(number)
        for i in range(array.size):
            total += array[i] * factor  # the factor keeps the compiler from reading once for all passes
    return total


def _best(work: Callable[[], object], repeats: int) -> float:
    work()
    return min(timed(work) for _ in range(repeats))


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(seconds: list[float]) -> float:
    """Return the median."""
    return statistics.median(seconds)
