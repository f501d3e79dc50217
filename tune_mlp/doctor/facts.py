"""The facts that the doctor gathers: about the driver, each node, the folder for runs and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tune_mlp.study.settings import Resources


@dataclass(frozen=True)
class Machine:
    """The facts that `probe.look` finds on the machine where it runs."""

    host: str
    boot: str
    """The id of the running system; nodes with the same id share its cores and memory."""
    versions: Mapping[str, str]
    package: str
    """tune_mlp's version; empty if it can't be imported, and `unimported` says why."""
    sources: str
    unimported: str
    compiled: bool | None
    cores: float
    memory: int | None
    available: int | None
    omp: str
    token_mode: str
    token_file: str
    token_bits: int | None
    token_open: bool
    """True if every user of that machine can read the token."""
    gpus: int
    cuda_build: str | None
    """The CUDA version that PyTorch was built for; empty for none, None if PyTorch wasn't asked or didn't answer."""
    cuda_devices: int
    disk: tuple[int, int] | None
    """Free bytes and all bytes of the disk where Ray keeps its files."""

    @property
    def system(self) -> tuple[str, str]:
        """An id that all nodes on one machine share."""
        return self.host, self.boot

    @property
    def token(self) -> bool:
        """True if the machine's Ray asks for a token."""
        return self.token_mode.lower() not in ("", "disabled")


@dataclass(frozen=True)
class Clock:
    """How many seconds a node's clock is ahead of the driver's; the error is at most half the round trip."""

    ahead: float
    give: float


@dataclass(frozen=True)
class Shared:
    """The reasons why a node, or the driver after it, can't read or write in the folder for runs; empty where it can."""

    unread: str = ""
    unwritten: str = ""
    unreturned: str = ""


@dataclass(frozen=True)
class Node:
    """A node of the Ray cluster."""

    name: str
    resources: Mapping[str, float]
    machine: Machine | None = None
    silence: str = ""
    """Why the node gave no facts, if `machine` is None."""
    clock: Clock | None = None
    shared: Shared | None = None


@dataclass(frozen=True)
class RunsFolder:
    """The folder for runs; `fault` says why the driver can't write there."""

    path: str
    """A path, or a URI without its secrets."""
    fault: str = ""
    disk: tuple[int, int] | None = None

    @property
    def is_store(self) -> bool:
        """True if the path is the URI of an object store."""
        return "://" in self.path


@dataclass(frozen=True)
class Data:
    """The dataset that the driver finds without a download."""

    wanted: str
    found: str = ""
    samples: int = 0
    size: int = 0
    fault: str = ""
    """Why the dataset can't be read although its files exist."""
    stand_in: str | None = None
    """The dataset that a study would use instead if this one is missing and can't be downloaded."""


@dataclass(frozen=True)
class ClusterFacts:
    """All facts about a cluster."""

    address: str | None
    """The address of a running Ray; None if Ray was started for this check."""
    driver: Machine
    nodes: tuple[Node, ...]
    folder: RunsFolder
    data: Data
    resources: Resources
    gone: int = 0
    """How many nodes this Ray has lost."""
    fault: str = ""
    """Why Ray can't be reached."""

    @property
    def answered(self) -> list[tuple[Node, Machine]]:
        """The nodes that answered, each with its machine."""
        return [(node, node.machine) for node in self.nodes if node.machine]
