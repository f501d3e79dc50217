"""Memory that processes really take: what several share is counted once in all."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def proportional(pid: int) -> int:
    """A process's bytes, with its part of what it shares; 0 where the system doesn't say."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            # The name, in brackets, may itself hold spaces and brackets.
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found = [root]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found
