"""The releases of Ray that were tried, the private names of Ray that are used, and what a start says of another Ray.

`make test-versions` runs the tests that concern Ray on both ends of TRIED, and writes docs/versions.md.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from operator import attrgetter

TRIED = ("2.60.0", "2.60.0")
"""The lowest and the highest release of Ray that were tried; docs/versions.md says with which tests. The range in pyproject.toml
is the same; a test compares them."""

PRIVATE_NAMES: Mapping[str, tuple[str, ...]] = {
    "ray._private.node": (
        "Node.dead_processes",
        "Node.kill_all_processes",
        "Node.start_api_server",
        "Node.start_log_monitor",
        "Node.start_monitor",
    ),
    "ray._private.ray_logging": ("global_worker_stdstream_dispatcher.handlers",),
    "ray._private.services": ("_get_gcs_client_options", "get_node"),
    "ray._private.state": ("GlobalState._initialize_global_state", "GlobalState.node_table"),
    "ray._private.worker": ("_global_node", "print_to_stdstream"),
    "ray.air.execution._internal": ("RayActorManager._actor_task_failed",),
    "ray.job_config": ("JobConfig._runtime_env_has_working_dir",),
    "ray.tune.execution.class_cache": ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"),
    "ray.tune.execution.tune_controller": (
        "RayActorManager",
        "TuneController._process_trial_failure",
        "TuneController._schedule_trial_task",
    ),
    "ray.tune.tune": ("TuneController",),
}
"""The private names, by module, whose absence nothing else would show: the package replaces or overrides them, or goes on
without them. Any other private name raises an error when it is used and gone."""


def missing_names(names: Mapping[str, Sequence[str]] = PRIVATE_NAMES) -> list[str]:
    """Return the names that the installed Ray lacks, each with its class or the last part of its module."""
    missing = []
    for module, wanted in names.items():
        for name in wanted:
            try:
                attrgetter(name)(importlib.import_module(module))
            except (ImportError, AttributeError):
                missing.append(name if "." in name else f"{module.rpartition('.')[2]}.{name}")
    return missing


def doubts(version: str, missing: Sequence[str] = ()) -> str:
    """Return one line that says what isn't certain with this version of Ray, or an empty text where nothing is in doubt."""
    low, high = TRIED
    tried = f"tune_mlp was tried with Ray {low}" + (f" to {high}" if high != low else "")
    if missing:
        return f"Ray {version} lacks {', '.join(missing)}: lost workers, schedulers or the start may go wrong; {tried}"
    if not release(low) <= release(version) <= release(high):
        return f"{tried}, and this is {version}: lost workers, schedulers or the start may go wrong"
    return ""


def doubts_about_the_installed_ray() -> str:
    """Return the line for the Ray that is installed here. It imports Ray Tune."""
    import ray

    return doubts(str(ray.__version__), missing_names())


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what marks a pre-release or a build: (2, 61, 0) for 2.61.0rc1+cpu."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found.group().split(".")) if found else ()
