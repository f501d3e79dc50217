"""A run's folder: its name, its manifest, and the tables written at the end."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tune_mlp.data.dataset import Dataset
from tune_mlp.errors import RunFolderError, StorageError, UsageError, one_line
from tune_mlp.results.copies import RUN_NAME
from tune_mlp.results.place import without_secrets
from tune_mlp.results.results import Results
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.study import Study
from tune_mlp.version import __version__

CHECKPOINTS = "checkpoints"
RAY = "ray"
"""In checkpoints/: what Ray Tune writes for itself. Nothing of it is ever read again."""
PACKAGES = ("ray", "torch", "torchvision", "numpy", "pandas", "optuna", "scikit-learn", "pyarrow")


def check_place(out: Path, name: str | None) -> None:
    """Refuse a folder that can't be made before any work is done; `create` refuses it again, for sure."""
    above = next(folder for folder in (out, *out.parents) if folder.exists() or folder in (Path(), Path("/")))
    if not above.is_dir():
        said = "is a file, give a folder" if above == out else f"{above} is a file, not a folder"
        raise UsageError(f"--out {out}: {said}")
    check_name(name)
    if name is not None and (out / name).exists():
        raise RunFolderError(f"{out / name} exists already; choose another --name")


def check_writable(csv: Path) -> None:
    """Refuse a --csv that can't be written, before any work is done."""
    if csv.is_dir():
        raise UsageError(f"--csv {csv}: is a folder, give a file")
    if not csv.absolute().parent.is_dir():
        raise UsageError(f"--csv {csv}: there is no folder {csv.parent}")
    if not os.access(csv if csv.exists() else csv.absolute().parent, os.W_OK):
        raise UsageError(f"--csv {csv}: can't be written")


def check_name(name: str | None) -> None:
    """A run's name is part of its path, and no other path."""
    if name is not None and not RUN_NAME.fullmatch(name):
        raise RunFolderError(
            f"--name {name!r}: a run's name is 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
        )


def names(name: str | None, study: str) -> Iterator[str]:
    """The user's, or one of ours, which gets a number where it is taken."""
    stamp = f"{study}-{time.strftime('%Y%m%d-%H%M%S')}"
    yield name or stamp
    if name is None:
        yield from (f"{stamp}-{attempt}" for attempt in range(2, 1001))


def create(out: Path, name: str | None, study: str) -> Path:
    """Make the run's folder. A taken name of the user's is refused."""
    for stamp in names(name, study):
        run = out / stamp
        try:
            out.mkdir(parents=True, exist_ok=True)
            run.mkdir()
        except FileExistsError:
            if out.is_dir() and name is None:
                continue
            what = run if out.is_dir() else out
            raise RunFolderError(f"{what} exists already; choose another --name or --out") from None
        except OSError as error:
            raise RunFolderError(f"can't make the run's folder {run}: {error.strerror or error}") from None
        (run / CHECKPOINTS).mkdir()
        return run
    raise RunFolderError(f"{out} is full of runs of this second")


def check_own(run: Path) -> None:
    """A folder that is to be written to again holds files and folders, and no link that leads out of it."""
    for folder, folders, names in os.walk(run):
        for name in (*folders, *names):
            path = Path(folder) / name
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue  # it has just gone
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
                raise RunFolderError(f"{path}: is {kind}; a run goes on in a folder of files of its own alone")


def tidy(run: Path) -> None:
    """Remove what a killed driver and its workers have left half-written, and Ray's own files: a later Ray would read
    and run them."""
    try:
        checkpoints = run / CHECKPOINTS
        checkpoints.mkdir(exist_ok=True)
        for path in (*run.iterdir(), *checkpoints.iterdir()):
            if LEFT.fullmatch(path.name):
                path.unlink()
        if (checkpoints / RAY).exists():
            shutil.rmtree(checkpoints / RAY)
    except OSError as error:
        raise StorageError(f"{error.filename or run}: can't be tidied: {error.strerror or error}") from None


LEFT = re.compile(r"\..+\.tmp|\.[0-9a-f]{16}\..+|\.journal\.jsonl\.lease\..+")
"""The names that files have while they are written aside."""
NEEDED = {"state": str, "dataset": dict, "engine": dict, "study_sha256": list}
"""What of run.json a resume goes by."""


def check_same_study(manifest: Manifest) -> None:
    """A changed study.yaml would change the draws to come, and the meaning of those that were trained."""
    path = manifest.path.with_name("study.yaml")
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunFolderError(f"{path}: can't be read: {error.strerror or error}") from None
    if found not in manifest.facts["study_sha256"]:
        raise RunFolderError(
            f"{path}: was changed or damaged since the run wrote it; put the old one back, or begin a new run with --space"
        )


def check_same_data(manifest: Manifest, dataset: Dataset) -> None:
    """A run goes on with the data that it began with, or not at all."""
    before, now = manifest.facts["dataset"].get("fingerprint"), dataset.fingerprint()
    if before != now:
        raise RunFolderError(
            f"{manifest.path.parent}: began with other data than {dataset.name} is now: expected fingerprint {before}, got {now}"
        )


@dataclass
class Manifest:
    """run.json: how the run was made, kept true while it goes on."""

    path: Path
    facts: dict[str, Any]

    @classmethod
    def begin(
        cls,
        run: Path,
        study: Study,
        dataset: Dataset,
        cluster: Cluster,
        slots: int,
        engine: str,
        why: str,
        command: tuple[str, ...],
        began: float,
    ) -> Manifest:
        """Write the study and the manifest of a run that is about to start."""
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
                "dataset": {
                    "name": dataset.name,
                    "stand_in_for": dataset.stand_in_for,
                    "fingerprint": dataset.fingerprint(),
                    "samples": len(dataset.x),
                    "test_samples": len(dataset.x_test),
                    "features": int(dataset.x.shape[1]),
                    "classes": list(dataset.classes),
                    "notes": list(dataset.notes),
                },
                "engine": {"name": engine, "why": why},
                "resources": {
                    **study.resources.model_dump(),
                    "concurrent": slots,
                    "nodes": [{kind: node[kind] for kind in ("CPU", "GPU") if kind in node} for node in cluster.nodes],
                },
                "machine": {
                    "host": socket.gethostname(),
                    "system": platform.platform(),
                    "processor": _processor(),
                    "cores": os.cpu_count(),
                },
                "versions": {
                    "tune_mlp": __version__,
                    "python": sys.version.split()[0],
                    **{package: metadata.version(package) for package in PACKAGES},
                },
            },
        )
        manifest.note()
        return manifest

    @classmethod
    def load(cls, run: Path) -> Manifest:
        """Of a run that goes on."""
        path = run / "run.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunFolderError(f"{path}: can't be read: {one_line(error, limit=200)}") from None
        known = isinstance(facts, dict) and all(isinstance(facts.get(name), kind) for name, kind in NEEDED.items())
        if not known:
            raise RunFolderError(f"{path}: isn't a run's manifest")
        return cls(path, facts)

    def resumed(self, study: Study, command: tuple[str, ...], began: float) -> None:
        """The run goes on, and says when and by which command; its study may have been given more trials."""
        text = study.dump()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began))
        times = [*self.facts.get("resumed", []), {"at": stamp, "command": [without_secrets(word) for word in command]}]
        # Both are right until the text is written, too.
        digests = list(dict.fromkeys([*self.facts["study_sha256"], _digest(text)]))
        self.note(state="running", resumed=times, study_sha256=digests)
        write_text(self.path.with_name("study.yaml"), text)

    def note(self, **facts: Any) -> None:
        """Add to the facts, and write them."""
        self.facts.update(facts)
        write_text(self.path, json.dumps(self.facts, indent=2, ensure_ascii=False) + "\n")


def finish(run: Path, csv: Path | None) -> Results:
    """Write the tables from the journal, and the copy that was asked for."""
    from tune_mlp.results.export import export  # pandas writers take 0.3 s to import, and are needed at the end only

    results = Results.load(run)
    export(results.trials, run / "trials.csv", "csv")
    export(results.trials, run / "trials.parquet", "parquet")
    export(results.epochs, run / "epochs.parquet", "parquet")
    if csv:
        export(results.trials, csv, "csv")
    return results


def write_text(path: Path, text: str) -> None:
    """Written aside and renamed: a reader finds the old text or the new."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StorageError(f"can't write {path}: {error.strerror or error}") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _processor() -> str:
    """The CPU's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
