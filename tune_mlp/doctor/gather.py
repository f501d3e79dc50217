"""Gathering facts: short tasks run on each node within a time limit, and the driver adds what it knows itself."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_mlp.data.sources import load_dataset
from tune_mlp.doctor import probe
from tune_mlp.doctor.facts import Clock, ClusterFacts, Data, Machine, Node, RunsFolder, Shared
from tune_mlp.errors import DataError, RunError, one_line
from tune_mlp.results.storage import FolderStorage, ObjectStore
from tune_mlp.runs import run_folder
from tune_mlp.study.study import Study
from tune_mlp.tuning.ray_compat.cluster_start import ANSWER_SECONDS, connected

CLOCK_ROUNDS, CLOCK_SECONDS = 4, 5.0
STAND_IN = "digits"
FROM_DRIVER = "driver"

Send = Callable[..., Any]
"""A function that starts another one on a node and returns Ray's reference to its result."""


def gather(
    study: Study, address: str | None, out: Path | ObjectStore, data_dir: Path | None, patience: float = ANSWER_SECONDS
) -> ClusterFacts:
    """Gather all facts that concern a study like this one. No file is left in `out`."""
    if isinstance(out, Path):
        run_folder.check_place(out, None)
    data: Data | None = None
    nodes: tuple[Node, ...] = ()
    gone, fault = 0, ""
    with _meeting(out) as meeting:
        try:
            with connected(study, address, patience, trains=False), _sent_whole() as send:
                import ray

                known = ray.nodes()
                gone = sum(not node["Alive"] for node in known)
                alive = [node for node in known if node["Alive"]]
                asked = [
                    _Asked(node, name, meeting, study, send) for node, name in zip(alive, _names(alive), strict=True)
                ]
                data = _data(study, data_dir)  # while the nodes are at work
                references = [reference for one in asked for reference in one.references]
                ready, _ = ray.wait(references, num_returns=len(references), timeout=patience)
                nodes = tuple(one.answer(set(ready), patience) for one in asked)
        except RunError as error:
            fault = one_line(error)
        driver = Machine(**probe.look(None, gpu=False))
    return ClusterFacts(
        address, driver, nodes, meeting.folder, data or _data(study, data_dir), study.resources, gone, fault
    )


@dataclass(frozen=True)
class _Meeting:
    """The folder for runs, and the files there by which the driver and the nodes test that they share it."""

    folder: RunsFolder
    place: str = ""
    """A path or a URI; empty if the driver can't write there."""
    prefix: str = ""
    content: str = ""


@contextlib.contextmanager
def _meeting(out: Path | ObjectStore) -> Iterator[_Meeting]:
    """Make the folder if it is missing, as a run would, and remove afterwards what was made."""
    place = out if isinstance(out, ObjectStore) else FolderStorage(out.absolute())
    where = place.uri if isinstance(place, ObjectStore) else str(place)
    folders = [] if isinstance(place, ObjectStore) else [place.path, *place.path.parents]
    made = [folder for folder in folders if not folder.exists()]
    prefix, content = f"doctor-{secrets.token_hex(8)}-", secrets.token_hex(512)
    try:
        fault = ""
        try:
            if made:
                made[0].mkdir(parents=True)
        except OSError as error:
            fault = error.strerror or str(error)
        if fault := fault or probe.unwritten_of(where, prefix + FROM_DRIVER, content):
            yield _Meeting(RunsFolder(str(place), fault))
        else:
            yield _Meeting(RunsFolder(str(place), disk=probe.disk(where) if folders else None), where, prefix, content)
    finally:
        with contextlib.suppress(OSError, RunError):
            place.remove(f"{prefix}*")
        with contextlib.suppress(OSError):  # another program has begun to use the folder
            for folder in made:
                folder.rmdir()


@contextlib.contextmanager
def _sent_whole() -> Iterator[Send]:
    """Send functions by value: Ray sends them by name, and a node may lack the module."""
    import ray
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    tasks: dict[Callable[..., Any], Any] = {}

    def send(node: str, function: Callable[..., Any], *arguments: Any) -> Any:
        task = tasks.setdefault(function, ray.remote(num_cpus=0, max_retries=0)(function))
        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        return task.options(scheduling_strategy=there).remote(*arguments)

    cloudpickle.register_pickle_by_value(probe)
    try:
        yield send
    finally:
        cloudpickle.unregister_pickle_by_value(probe)


class _Asked:
    """The tasks that were started on one node."""

    def __init__(self, node: dict[str, Any], name: str, meeting: _Meeting, study: Study, send: Send) -> None:
        self._id = str(node["NodeID"])
        self._meeting = meeting
        self._send = send
        self._node = Node(name, dict(node["Resources"]))
        session = str(Path(node["ObjectStoreSocketName"]).parents[1])
        gpu = study.resources.gpu > 0 or node["Resources"].get("GPU", 0) > 0
        self._look = send(self._id, probe.look, session, gpu)
        self._share = (
            send(
                self._id,
                probe.share,
                meeting.place,
                meeting.prefix + FROM_DRIVER,
                meeting.content,
                meeting.prefix + self._id,
            )
            if meeting.place
            else None
        )

    @property
    def references(self) -> list[Any]:
        """The references that are waited for."""
        return [self._look] if self._share is None else [self._look, self._share]

    def answer(self, ready: set[Any], patience: float) -> Node:
        """Return the node with the facts that arrived in time."""
        import ray

        if self._look not in ready:
            return replace(self._node, silence=f"gave no answer in {patience:g} s")
        try:
            machine = Machine(**ray.get(self._look))
            return replace(self._node, machine=machine, clock=self._clock(), shared=self._shared(ready))
        except Exception as error:  # noqa: BLE001  # Ray raises many kinds here
            return replace(self._node, silence=f"can't be asked: {one_line(error, 300)}")

    def _clock(self) -> Clock:
        """Compute the clock difference from the shortest round trip."""
        import ray

        clocks = []
        for _ in range(CLOCK_ROUNDS):
            before = time.time()
            there = ray.get(self._send(self._id, probe.now), timeout=CLOCK_SECONDS)
            after = time.time()
            clocks.append(Clock(there - (before + after) / 2, (after - before) / 2))
        return min(clocks, key=lambda clock: clock.give)

    def _shared(self, ready: set[Any]) -> Shared | None:
        import ray

        if self._share is None:
            return None
        if self._share not in ready:
            return Shared(unread="no answer: its file system hangs")
        said, meeting = ray.get(self._share), self._meeting
        unreturned = (
            "" if said["unwritten"] else probe.unread_of(meeting.place, meeting.prefix + self._id, meeting.content)
        )
        return Shared(said["unread"], said["unwritten"], unreturned)


def _names(nodes: list[dict[str, Any]]) -> list[str]:
    """Name nodes by their addresses; nodes that share an address also get the beginning of their ids."""
    often = Counter(node["NodeManagerAddress"] for node in nodes)
    return [
        node["NodeManagerAddress"] + (f" ({node['NodeID'][:6]})" if often[node["NodeManagerAddress"]] > 1 else "")
        for node in nodes
    ]


def _data(study: Study, data_dir: Path | None) -> Data:
    """Read the data as a search would, but without a download."""
    wanted = study.data.name
    settings = study.data.model_copy(update={"offline": STAND_IN})
    try:
        dataset = load_dataset(settings, data_dir, allow_download=False, say=lambda line: None)
    except DataError as error:
        return Data(wanted, fault=one_line(error))
    if dataset.stand_in_for:
        return Data(wanted, stand_in=study.data.offline)
    arrays = (dataset.x, dataset.y, dataset.x_test, dataset.y_test)
    return Data(wanted, dataset.name, len(dataset.x) + len(dataset.x_test), sum(array.nbytes for array in arrays))
