"""The cluster: what the nodes of a Ray offer, and how many trials they hold at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tune_mlp.errors import ResourceError
from tune_mlp.study.settings import Resources


@dataclass(frozen=True)
class Cluster:
    """What the nodes of a Ray offer."""

    nodes: tuple[dict[str, float], ...]
    own: bool = False
    """Was it started for this study? Then its workers have this process's environment."""

    def slots(self, resources: Resources, concurrent: int | None) -> int:
        """Return how many trials fit at once. A request that no node can ever meet is refused."""
        fits = sum(_fits(node, resources) for node in self.nodes)
        if not fits:
            most = {kind: max((node.get(kind, 0.0) for node in self.nodes), default=0.0) for kind in ("CPU", "GPU")}
            raise ResourceError(
                f"no node can run a trial: resources ask for cpu={resources.cpu:g}, gpu={resources.gpu:g}, and the "
                f"largest node has {most['CPU']:g} CPUs, the largest {most['GPU']:g} GPUs"
            )
        return min(fits, concurrent or fits)


def fewer_than_asked(cluster: Cluster, resources: Resources, concurrent: int | None) -> str:
    """Return the line that says why fewer trials run at once than were asked for; empty where as many do."""
    slots = cluster.slots(resources, concurrent)
    if concurrent is None or slots >= concurrent:
        return ""
    line = f"concurrent={concurrent}, but {slots} at once is all that cpu={resources.cpu:g} a trial leaves room for"
    if len(cluster.nodes) > 1 or resources.gpu:
        return line
    cpu = math.floor(cluster.nodes[0].get("CPU", 0.0) / concurrent * 100) / 100
    return f"{line}; --cpus {cpu:g} makes it {concurrent}" if cpu > 0 else line


def _fits(node: dict[str, float], resources: Resources) -> int:
    counts = [math.floor(node.get("CPU", 0.0) / resources.cpu + 1e-9)]
    if resources.gpu >= 1:
        counts.append(math.floor(node.get("GPU", 0.0) / resources.gpu))
    elif resources.gpu > 0:  # fractions share one GPU and never span two
        counts.append(math.floor(node.get("GPU", 0.0)) * math.floor(1 / resources.gpu + 1e-9))
    return min(counts)
