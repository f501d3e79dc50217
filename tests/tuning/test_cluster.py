"""A Ray of our own, and how many trials fit on the nodes at once."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import pytest

from tune_mlp.errors import ResourceError
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.settings import Resources

LAPTOP = {"CPU": 2.0}
BOX = {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("nodes", "cpu", "gpu", "slots"),
    [
        ((LAPTOP,), 1, 0, 2),
        ((LAPTOP,), 0.25, 0, 8),
        ((LAPTOP,), 0.1, 0, 20),
        ((LAPTOP,), 1.5, 0, 1),
        ((LAPTOP, LAPTOP), 1.5, 0, 2),
        ((LAPTOP, BOX), 2, 0, 9),
        ((BOX,), 1, 0.25, 8),
        ((BOX,), 1, 0.4, 4),
        ((BOX,), 1, 1, 2),
        ((BOX,), 1, 2, 1),
        ((BOX,), 16, 0.5, 1),
        ((LAPTOP, BOX), 1, 0.5, 4),
    ],
)
def test_slots_are_what_the_resources_allow(
    nodes: tuple[dict[str, float], ...], cpu: float, gpu: float, slots: int
) -> None:
    assert Cluster(nodes).slots(Resources(cpu=cpu, gpu=gpu), None) == slots
    assert Cluster(nodes).slots(Resources(cpu=cpu, gpu=gpu), 1) == 1
    assert Cluster(nodes).slots(Resources(cpu=cpu, gpu=gpu), 1000) == slots


@pytest.mark.parametrize(("cpu", "gpu"), [(17, 0), (1, 3), (3, 0.5)])
def test_what_no_single_node_has_is_refused(cpu: float, gpu: float) -> None:
    nodes = (LAPTOP, {"CPU": 16.0}, {"CPU": 2.0, "GPU": 2.0})
    with pytest.raises(ResourceError, match=r"the largest node has 16 CPUs, the largest 2 GPUs"):
        Cluster(nodes).slots(Resources(cpu=cpu, gpu=gpu), None)


def test_a_ray_of_our_own_starts_no_process_that_nobody_needs_and_what_runs_later_is_as_it_was() -> None:
    """And what is needed next is imported while it starts."""
    code = (
        "import sys\n"
        "from ray._private import node, worker\n"
        "from tune_mlp.tuning.cluster import connected\n"
        "from tune_mlp.tuning.study import Study\n"
        "before = {name: value for name, value in vars(node.Node).items()}\n"
        "with connected(Study.load('digits_quick'), None) as cluster:\n"
        "    print(*sorted(worker._global_node.all_processes), len(cluster.nodes), 'ray.tune' in sys.modules)\n"
        "print(before == dict(vars(node.Node)))\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a short path, for Ray's sockets
        done = subprocess.run(
            [sys.executable, "-c", f"import os; os.environ['RAY_TMPDIR'] = {folder!r}\n{code}"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.split() == ["gcs_server", "raylet", "1", "True", "True"]
