"""One local Ray for all tests that run a study in this process, and folders that leave nothing behind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.s3 import Bucket


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
def _trained_by(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "on Ray":
        request.getfixturevalue("_ray")
        yield request.param
        return
    from tests.in_process import InProcess  # it imports Ray Tune and PyTorch
    from tune_mlp.training.threads import threads

    with pytest.MonkeyPatch.context() as patch, threads(1):
        InProcess().use(patch)
        yield request.param


@pytest.fixture
def in_process_and_on_ray(_trained_by: str, request: pytest.FixtureRequest) -> None:
    """Train studies in this process, and in `make test-slow` through a real Ray, too: for what is claimed of either way."""
    if _trained_by == "on Ray":
        request.getfixturevalue("local_ray")


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    """Start an object store on loopback with a bucket."""
    bucket = Bucket()
    yield bucket
    bucket.stop()
