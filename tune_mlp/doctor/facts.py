"""What is known of a cluster before it is judged: the driver, each node, the folder for runs and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tune_mlp.study.settings import Resources


@dataclass(frozen=True)
class Machine:
    """What `probe.look` found out where it ran."""

    host: str
    boot: str
    """Of the running system: nodes that share it share its cores and memory."""
    versions: Mapping[str, str]
    package: str
    """tune_mlp's version, empty where it can't be imported, for the reason in `unimported`."""
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
    """Can everybody on that machine read the token?"""
    gpus: int
    cuda_build: str | None
    """The CUDA that PyTorch was built for, empty for none, None where it wasn't asked or didn't answer."""
    cuda_devices: int
    disk: tuple[int, int] | None
    """Free and all bytes where its Ray keeps files."""

    @property
    def system(self) -> tuple[str, str]:
        """The same for all nodes on one machine."""
        return self.host, self.boot

    @property
    def token(self) -> bool:
        """Does its Ray ask for a token?"""
        return self.token_mode.lower() not in ("", "disabled")


@dataclass(frozen=True)
class Clock:
    """Seconds that a node's clock is ahead of the driver's, give or take half the round trip."""

    ahead: float
    give: float


@dataclass(frozen=True)
class Shared:
    """What kept a node, and the driver after it, from reading and writing in the folder for runs; empty where nothing did."""

    unread: str = ""
    unwritten: str = ""
    unreturned: str = ""


@dataclass(frozen=True)
class Node:
    """A node of the Ray."""

    name: str
    resources: Mapping[str, float]
    machine: Machine | None = None
    silence: str = ""
    """Why there is no `machine`."""
    clock: Clock | None = None
    shared: Shared | None = None


@dataclass(frozen=True)
class RunsFolder:
    """Where runs are to lie; `fault` is why the driver can't write there."""

    path: str
    """Or a URI, without its secrets."""
    fault: str = ""
    disk: tuple[int, int] | None = None

    @property
    def is_store(self) -> bool:
        """Is it no folder?"""
        return "://" in self.path


@dataclass(frozen=True)
class Data:
    """The dataset, as the driver finds it without a download."""

    wanted: str
    found: str = ""
    samples: int = 0
    size: int = 0
    fault: str = ""
    """Why it can't be read, though it is there."""
    stand_in: str | None = None
    """What the study would learn where it is absent and can't be downloaded."""


@dataclass(frozen=True)
class ClusterFacts:
    """All of it."""

    address: str | None
    """None is a Ray that was started for the question."""
    driver: Machine
    nodes: tuple[Node, ...]
    folder: RunsFolder
    data: Data
    resources: Resources
    gone: int = 0
    """Nodes that this Ray has lost."""
    fault: str = ""
    """Why there is no Ray to ask."""

    @property
    def answered(self) -> list[tuple[Node, Machine]]:
        """The nodes that are known."""
        return [(node, node.machine) for node in self.nodes if node.machine]
