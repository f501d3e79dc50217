"""The memory of processes; memory that several processes share is counted once."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def proportional(pid: int) -> int:
    """Return the bytes of a process, with its part of shared memory; 0 if the system doesn't tell."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def family(root: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    parents: dict[int, int] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            # The program's name, in brackets, may contain spaces and brackets.
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found = [root]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found
