"""The manifest: run.json says how a run was made, and is kept true while the run goes on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tune_mlp.data.dataset import Dataset
from tune_mlp.errors import RunFolderError
from tune_mlp.records import ENGINE_NAMES
from tune_mlp.results.plain_text import escaped
from tune_mlp.results.run_files import read_bytes, read_manifest
from tune_mlp.results.storage import without_secrets
from tune_mlp.runs.run_folder import write_text
from tune_mlp.study.study import BoundStudy
from tune_mlp.version import __version__

PACKAGES = ("ray", "torch", "torchvision", "numpy", "pandas", "optuna", "scikit-learn", "pyarrow")
NEEDED = ("state", "dataset.fingerprint", "engine.name", "study_sha256")
"""The members of run.json that a resume needs."""


def check_same_study(manifest: Manifest) -> None:
    """Refuse a study.yaml that was changed: other draws would come, and those that were trained would mean something else."""
    path = manifest.path.with_name("study.yaml")
    found = hashlib.sha256(read_bytes(path)).hexdigest()
    if found not in manifest.facts["study_sha256"]:
        raise RunFolderError(
            f"{path}: was changed or damaged since the run wrote it; put the old one back, or begin a new run with --space"
        )


def check_same_data(manifest: Manifest, dataset: Dataset) -> None:
    """Refuse to go on with other data than the run began with."""
    before, now = manifest.facts["dataset"].get("fingerprint"), dataset.fingerprint()
    if before != now:
        table = (
            "; or an earlier version of tune_mlp, which encoded tables otherwise, began it" if dataset.columns else ""
        )
        raise RunFolderError(
            f"{manifest.path.parent}: began with other data than {dataset.name} is now: expected fingerprint {before},"
            f" got {now}{table}"
        )


@dataclass(frozen=True)
class RunFacts:
    """What a new run writes to its manifest."""

    study: BoundStudy
    dataset: Dataset
    inputs: int
    """The number of inputs of a net."""
    engine: str
    why: str
    """Why this engine was chosen."""
    nodes: Sequence[Mapping[str, float]]
    """The resources of each node of the cluster."""
    slots: int
    """How many trials run at once."""


@dataclass
class Manifest:
    """The manifest of a run, run.json, which is updated while the run goes on."""

    path: Path
    facts: dict[str, Any]

    @classmethod
    def begin(cls, run: Path, facts: RunFacts, command: tuple[str, ...], began: float) -> Manifest:
        """Write the study and the manifest of a run that is about to start."""
        study, dataset = facts.study, facts.dataset
        text = study.dump()
        write_text(run / "study.yaml", text)
        manifest = cls(
            run / "run.json",
            {
                "state": "running",
                "name": run.name,
                "study": study.name,
                "study_sha256": [_digest(text)],
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)),
                "seconds": None,
                "command": [without_secrets(word) for word in command],
                "seed": study.seed,
                "repeatable": {"draws": not (why := study.not_repeatable(facts.slots)), "why": why},
                "dataset": {
                    "name": dataset.name,
                    "stand_in_for": dataset.stand_in_for,
                    "fingerprint": dataset.fingerprint(),
                    "samples": len(dataset.x),
                    "test_samples": len(dataset.x_test),
                    "features": facts.inputs,
                    "classes": list(dataset.classes),
                    "notes": list(dataset.notes),
                },
                "engine": {"name": facts.engine, "why": facts.why},
                "resources": {
                    **study.resources.model_dump(),
                    "concurrent": facts.slots,
                    "nodes": [{kind: node[kind] for kind in ("CPU", "GPU") if kind in node} for node in facts.nodes],
                },
                "machine": this_machine(),
                "versions": installed_versions(),
            },
        )
        manifest.note()
        return manifest

    @classmethod
    def load(cls, run: Path) -> Manifest:
        """Load the manifest of a run that is resumed."""
        path = run / "run.json"
        facts = read_manifest(path)
        for place in NEEDED:
            value: Any = facts
            for name in place.split("."):
                value = value.get(name) if value is not None else None
            if value is None:
                raise RunFolderError(f"{path}: isn't a run's manifest: {place} is missing")
        if facts["engine"]["name"] not in ENGINE_NAMES:
            raise RunFolderError(
                f"{path}: engine.name: must be {' or '.join(ENGINE_NAMES)}, got {facts['engine']['name']!r:.40}"
            )
        return cls(path, facts)

    def resumed(self, study: BoundStudy, command: tuple[str, ...], began: float) -> None:
        """Record that the run goes on: when, by which command, and with which versions. Its study may have been given more
        trials."""
        text = study.dump()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began))
        this = {"at": stamp, "command": [without_secrets(word) for word in command], "versions": installed_versions()}
        times = [*self.facts.get("resumed", []), this]
        # Both are right until the text is written, too.
        digests = list(dict.fromkeys([*self.facts["study_sha256"], _digest(text)]))
        self.note(state="running", resumed=times, study_sha256=digests)
        write_text(self.path.with_name("study.yaml"), text)

    def other_versions(self) -> str:
        """Return which packages have another version than when the run was last written, or an empty text."""
        before = next(
            (resumed["versions"] for resumed in reversed(self.facts.get("resumed", [])) if "versions" in resumed),
            self.facts.get("versions", {}),
        )
        now = installed_versions()
        return ", ".join(
            f"{escaped(name)} {escaped(version)} (now {now.get(name, 'none')})"
            for name, version in before.items()
            if version != now.get(name)
        )

    def note(self, **facts: Any) -> None:
        """Add to the facts, and write them."""
        self.facts.update(facts)
        write_text(self.path, json.dumps(self.facts, indent=2, ensure_ascii=False) + "\n")


def this_machine() -> dict[str, Any]:
    """Return what is known of the machine of this process."""
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of those that it trains with."""
    packages = {package: metadata.version(package) for package in PACKAGES}
    return {"tune_mlp": __version__, "python": sys.version.split()[0], **packages}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _processor() -> str:
    """Return the name of the CPU, if the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
