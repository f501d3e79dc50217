"""One local Ray for all tests that run a study in this process, and folders that leave nothing behind."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest

from tests.s3 import Bucket

Training = Callable[[], contextlib.AbstractContextManager[None]]


def pytest_collection_finish() -> None:
    """Limit PyTorch to the one thread that a trial has, since two threads on a busy machine mostly wait for each other."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def _ray() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, of its future versions
        import ray

        # Two logical CPUs whatever the machine has: what runs at once is part of what is tested, and the start of a worker
        # for each is most of a test's time.
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
        yield
        ray.shutdown()


@pytest.fixture
def local_ray(_ray: None, recwarn: pytest.WarningsRecorder) -> None:
    """Provide a running Ray that studies join."""
    warnings.simplefilter("ignore", category=DeprecationWarning)  # Ray calls what Python deprecates


@pytest.fixture(scope="module", params=["in process", pytest.param("on Ray", marks=pytest.mark.slow)])
def training(request: pytest.FixtureRequest) -> Training:
    """Return a context in which studies are trained in this process, and in `make test-slow` by a real Ray, too.

    Fixtures use it that several tests share; a test uses `in_process_and_on_ray`.
    """
    if request.param == "on Ray":
        request.getfixturevalue("_ray")
        return contextlib.nullcontext
    from tests.in_process import in_one_process  # it imports Ray Tune and PyTorch

    return in_one_process


@pytest.fixture
def in_process_and_on_ray(training: Training, request: pytest.FixtureRequest) -> Iterator[None]:
    """Train the test's studies in this process, and in `make test-slow` by a real Ray, too: for what is claimed of either."""
    if training is contextlib.nullcontext:
        request.getfixturevalue("local_ray")
    with training():
        yield


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    """Start an object store on loopback with a bucket."""
    bucket = Bucket()
    yield bucket
    bucket.stop()
