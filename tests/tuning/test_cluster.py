"""A Ray of our own, and how many trials fit on the nodes at once."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
import time

import pytest

from tests import studies
from tune_mlp.errors import ResourceError
from tune_mlp.study.settings import Resources
from tune_mlp.tuning.cluster import Cluster, fewer_than_asked
from tune_mlp.tuning.ray_compat.cluster_start import _all_workers_train
from tune_mlp.tuning.ray_compat.patching import changed

CORES = os.cpu_count() or 1
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
        "from tune_mlp.tuning.ray_compat.cluster_start import connected\n"
        "from tune_mlp.study.study import Study\n"
        "before = {name: value for name, value in vars(node.Node).items()}\n"
        "with connected(Study.load('digits_quick'), None) as cluster:\n"
        "    print(*sorted(worker._global_node.all_processes), len(cluster.nodes), 'ray.tune' in sys.modules)\n"
        "print(before == dict(vars(node.Node)))\n"
    )
    with short_folder() as folder:
        assert python(folder, "-c", code).split() == ["gcs_server", "raylet", "1", "True", "True"]


@pytest.mark.parametrize("trains", [True, False])
def test_workers_of_a_ray_of_our_own_make_ready_for_trials_as_soon_as_they_run(trains: bool) -> None:
    code = (
        "import os, sys, ray\n"
        "from tune_mlp.tuning.ray_compat.cluster_start import connected\n"
        "from tune_mlp.study.study import Study\n"
        "study = Study.load('digits_quick').with_options([(['trials'], os.cpu_count(), '')])\n"
        f"with connected(study, None, trains={trains}):\n"
        "    print(ray.get(ray.remote(lambda: 'torch' in sys.modules and 'ray.tune' in sys.modules).remote()))\n"
        "print(*(name for name in os.environ if 'preload' in name or 'connect_timeout' in name))\n"
    )
    with short_folder() as folder:
        assert python(folder, "-c", code).split() == [str(trains)]


def test_no_garbage_is_collected_while_ray_ends() -> None:
    """A thread that let go of a handle of Ray's in this moment would end the process."""
    code = (
        "import gc, ray\n"
        "from tune_mlp.tuning.ray_compat.cluster_start import connected\n"
        "from tune_mlp.study.study import Study\n"
        "end = ray.shutdown\n"
        "ray.shutdown = lambda: (print(gc.isenabled()), end())\n"
        "with connected(Study.load('digits_quick'), None, trains=False):\n"
        "    print(gc.isenabled())\n"
        "print(gc.isenabled())\n"
    )
    with short_folder() as folder:
        assert python(folder, "-c", code).split() == ["True", "False", "True"]


def test_trials_have_the_workers_that_ray_started_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no others are started for them, though Ray Tune would hand the credentials on to these."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    words = ("--space", "digits_quick", "--engine", "eager", "--trials", str(2 * CORES), "--epochs", "1", "--quiet")
    with short_folder() as folder:
        command = [sys.executable, "-m", "tune_mlp.search", *words, "--out", f"{folder}/runs"]
        seen: set[str] = set()
        with subprocess.Popen(command, env={**os.environ, "RAY_TMPDIR": folder}, stdout=subprocess.DEVNULL) as search:
            while search.poll() is None:  # Ray's folder is removed when the search ends
                seen.update(
                    glob.glob(f"{folder}/ray/session_2*/logs/worker-*.out")
                )  # unlike pathlib's, it passes over what goes
                time.sleep(0.02)
        assert search.returncode == 0
        assert len(seen) == CORES, sorted(seen)


@pytest.mark.parametrize(
    ("trials", "concurrent", "resources", "all_train"),
    [
        (4, None, {}, True),
        (5, 4, {"cpu": 0.5}, True),
        (3, None, {}, False),
        (100, 3, {}, False),
        (100, None, {"cpu": 2}, False),
        (100, None, {"gpu": 0.1}, False),
    ],
)
def test_a_worker_that_will_have_no_trial_makes_ready_for_none(
    trials: int,
    concurrent: int | None,
    resources: dict[str, float],
    all_train: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    study = studies.study(trials=trials, concurrent=concurrent, resources=resources)
    assert _all_workers_train(study) is all_train


def test_a_name_that_ray_no_longer_has_stays_away_and_one_that_it_has_comes_back() -> None:
    class Owner:
        here = 1

    with changed(Owner, here=2, gone=3):
        assert Owner.here == 2
        assert not hasattr(Owner, "gone")
    assert Owner.here == 1


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """With a short path, for Ray's sockets."""
    return tempfile.TemporaryDirectory(dir="/tmp")


def python(folder: str, *arguments: str) -> str:
    """Run a Python script with Ray's files in that folder, and return its output."""
    environment = {**os.environ, "RAY_TMPDIR": folder}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_fewer_trials_at_once_than_asked_for_are_explained_with_the_option_that_allows_them() -> None:
    two_cores = Cluster(({"CPU": 2.0},))
    assert fewer_than_asked(two_cores, Resources(), 2) == ""
    assert fewer_than_asked(two_cores, Resources(), None) == ""
    line = fewer_than_asked(two_cores, Resources(), 4)
    assert line == "concurrent=4, but 2 at once is all that cpu=1 a trial leaves room for; --cpus 0.5 makes it 4"
    assert two_cores.slots(Resources(cpu=0.5), 4) == 4, "the advice holds"
    assert "--cpus" not in fewer_than_asked(Cluster(({"CPU": 1.0},) * 2), Resources(), 4)
