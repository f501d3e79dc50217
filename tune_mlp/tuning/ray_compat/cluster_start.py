"""Starting a local Ray for one study, or joining a running one, quietly."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tune_mlp.errors import RunError, UsageError, one_line, require_utf8
from tune_mlp.imports import garbage_waits, import_ahead, large_imports
from tune_mlp.study.study import Study
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.ray_compat.head_watch import abandon, lost_head, print_nothing
from tune_mlp.tuning.ray_compat.patching import changed, environment
from tune_mlp.tuning.ray_compat.session_folder import session_folder

CONNECT_SECONDS = 10
ANSWER_SECONDS = 30.0
"""After so long a Ray, or a node of it, that hasn't answered is taken for frozen."""

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journal is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # run.py stops a study on signals, SIGTERM included
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own snapshots are of no use to us
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a CPU trial's worker needn't have its GPUs hidden
}

NEEDED = ("tune_mlp.tuning.schedulers", "tune_mlp.tuning.trainable", "tune_mlp.tuning.searchers")
"""What the driver imports ahead of its use, and Ray Tune with it."""

FAST_START = {
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
}
"""Settings of a Ray that is started here: its processes look for one another's sockets every 20 ms. Ray's default is once a
second. They still give up after ten seconds.

Ray 2.60 ends workers that were idle for a second and that are more than the free CPUs. An actor takes its CPU a moment before it
takes its worker, and a worker that was made ready for it may be ended in this moment; the next one takes seconds to start."""

PRELOAD = {"RAY_preload_python_modules": "tune_mlp.tuning.ray_compat.preload"}
"""The setting of a Ray in which every worker gets a trial: workers import what a trial needs as soon as they start."""


@contextlib.contextmanager
def connected(
    study: Study, address: str | None, patience: float = ANSWER_SECONDS, trains: bool = True
) -> Iterator[Cluster]:
    """Connect to a Ray for the time of a study: the one that already runs in this process, or one that ends with the study. If
    the Ray `trains`, its workers import what trials need as soon as they run."""
    variables = ENVIRONMENT | ({} if address else FAST_START)
    if trains and _all_workers_train(study):
        variables |= PRELOAD
    with _process_as_before(), environment(variables), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, of its future versions
        with large_imports():
            import ray

        check_ray_can_start()
        already = ray.is_initialized()
        own = not already and address is None
        with session_folder() if own else contextlib.nullcontext() as temporary, _handler_of_sigterm_kept():
            try:
                imports = import_ahead(*NEEDED)
                if not already:
                    _init(address, patience, temporary)
                imports.join()
                with changed(ray._private.worker, print_to_stdstream=print_nothing):
                    yield _cluster(own)
            finally:
                if not already:
                    # Another thread, such as the one that draws the report, would come upon handles of Ray's actors, and Ray
                    # 2.60 ends a process whose thread lets go of one in the middle of its shutdown.
                    with garbage_waits():
                        (abandon if lost_head() else ray.shutdown)()


@contextlib.contextmanager
def _process_as_before() -> Iterator[None]:
    """Undo what Ray does to its driver's environment and logging, which it leaves: the process may be somebody's notebook."""

    def rays() -> dict[str, str]:
        return {
            name: value for name, value in os.environ.items() if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"
        }

    before, logger = rays(), logging.getLogger("ray")
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)
        for name in rays().keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _cluster(own: bool) -> Cluster:
    """Return what the nodes offer."""
    import ray

    return Cluster(tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"]), own=own)


@contextlib.contextmanager
def _handler_of_sigterm_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM: Ray sets one of its own for good when it starts in the main thread."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def check_ray_can_start() -> None:
    """Refuse to start where the working directory was deleted: Ray's processes can't be started from there. Refuse a name
    that isn't UTF-8, too, there or on the command line, which Ray keeps."""
    try:
        require_utf8("the working directory", os.getcwd())
    except FileNotFoundError:
        raise UsageError("the working directory was deleted; change to a folder that exists, and try again") from None
    for argument in sys.argv:
        require_utf8("the argument", argument)


def _all_workers_train(study: Study) -> bool:
    """True if every worker of a new Ray gets a trial. A Ray that is started here has one worker for each core at once; workers
    without a trial need not import anything."""
    cores = os.cpu_count() or 1
    at_once = min(study.number_of_trials, study.concurrent or cores)
    return study.resources.cpu <= 1 and not study.resources.gpu and at_once >= cores


def _init(address: str | None, patience: float, folder: str | None) -> None:
    import ray

    local = address is None
    if address is not None:
        address = _resolved(address)
        check_answers(address, patience)
    options: dict[str, Any] = {"_temp_dir": folder} if folder else {}
    try:
        with (
            _private_token(local),
            _signals_for_the_driver_alone(),
            _few_processes() if local else contextlib.nullcontext(),
        ):
            ray.init(
                address="local" if local else address,
                include_dashboard=False if local else None,
                log_to_driver=False,
                logging_level="CRITICAL",
                job_config=_no_driver_paths(),
                **options,
            )
    except Exception as error:  # noqa: BLE001  # Ray raises many kinds here
        where = "start Ray on this machine" if local else f"connect to Ray at {address!r}"
        raise RunError(f"can't {where}: {one_line(error, 300)}") from None
    _silence_lost_workers()


def _no_driver_paths() -> Any:
    """Return a job configuration that keeps the driver's working directory and script folder off the workers' import path.

    Ray puts both at the front of it, unless the job brings a working directory of its own. The working directory may be a
    folder that came from a stranger, and a `numba.py` in it would run in every worker. Workers need no code of the user's:
    a dataset reaches them as arrays.
    """
    from ray.job_config import JobConfig

    class NoDriverPaths(JobConfig):  # type: ignore[misc]  # ray ships no types
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return NoDriverPaths()


def _resolved(address: str) -> str:
    """Return the address that `auto` stands for; refuse it at once if no Ray runs here. Ray itself would look for a long time."""
    if address != "auto":
        return address
    from ray._private import services

    try:
        return str(services.canonicalize_bootstrap_address(address) or address)
    except Exception as error:  # noqa: BLE001  # Ray raises many kinds here
        raise RunError(f"can't connect to Ray at 'auto': none runs on this machine ({one_line(error, 100)})") from None


@contextlib.contextmanager
def _private_token(local: bool) -> Iterator[None]:
    """Make a token file that Ray creates now readable by its owner alone: Ray creates it with mode 0644. A Ray of our own gets its
    token from the environment if the home can't hold the file."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token"))
    made_before = path.exists()
    if local and not made_before and not _can_be_made(path):
        os.environ.setdefault("RAY_AUTH_TOKEN", _process_token())  # `_process_as_before` removes it
    try:
        yield
    finally:
        if not made_before:
            with contextlib.suppress(OSError):
                path.chmod(0o600)


def _can_be_made(path: Path) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path.parent, os.W_OK | os.X_OK)


@cache
def _process_token() -> str:
    """Return one token for this process, in which Ray keeps the first one that it reads."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _signals_for_the_driver_alone() -> Iterator[None]:
    """Block a terminal's SIGHUP and SIGQUIT while Ray's processes start: they inherit it, and go on while the driver ends
    in order. Ray does so with SIGINT itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGQUIT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _few_processes() -> Iterator[None]:
    """Start Ray without its autoscaler, log monitor and dashboard, which a Ray for one study doesn't need. Each is a Python
    process that takes a second of a core to start, and the autoscaler takes another second to end. Also, ask for Ray's node
    more often than Ray does."""
    from ray._private import services
    from ray._private.node import Node

    def nothing(node: Any, **_: Any) -> None:
        node._webui_url = ""

    get_node: Any = getattr(services, "get_node", None)

    def get_node_soon(gcs_address: str, node_id: str) -> Any:
        """Ask for the node often; Ray's own function asks once a second."""
        with contextlib.suppress(Exception):
            from ray._private.state import GlobalState

            state = GlobalState()
            state._initialize_global_state(services._get_gcs_client_options(gcs_address))
            until = time.monotonic() + CONNECT_SECONDS
            while time.monotonic() < until and all(node["NodeID"] != node_id for node in state.node_table()):
                time.sleep(0.02)
        return get_node(gcs_address, node_id)

    with (
        changed(Node, start_monitor=nothing, start_log_monitor=nothing, start_api_server=nothing),
        changed(services, get_node=get_node_soon),
    ):
        yield


def _silence_lost_workers() -> None:
    """Switch off Ray's messages about lost workers: each fills a screen, whatever log_to_driver says. The table says what
    became of the trial."""
    with contextlib.suppress(ImportError, AttributeError):
        from ray._private.ray_logging import global_worker_stdstream_dispatcher

        global_worker_stdstream_dispatcher.handlers = []


def check_answers(address: str, patience: float) -> None:
    """Raise an error if no Ray answers at the address, or if it refuses our token.

    `ray.init` itself would try for a long time in C++, which nothing interrupts, and would print pages of warnings. Ray's health
    check runs in a process that can be ended. Any other fault shows when we join.
    """
    _check_reachable(address)
    if "://" in address:
        return
    command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        said = subprocess.run(command, capture_output=True, timeout=patience, check=False).stderr
    except subprocess.TimeoutExpired:
        raise RunError(f"Ray at {address!r} gave no answer in {patience:g} s") from None
    if b"InvalidAuthToken" in said:
        raise RunError(f"Ray at {address!r} refuses this machine's token")
    if b"RAY_AUTH_TOKEN" in said:
        raise RunError(f"there is no token to show to Ray at {address!r}")


def _check_reachable(address: str) -> None:
    """Raise an error if nobody listens at the address."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # `auto`, or a name that Ray resolves
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"can't connect to Ray at {address!r}: {one_line(error)}") from None
