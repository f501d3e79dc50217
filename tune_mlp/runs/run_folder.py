"""A run's folder: its name, how it is made and tidied, and the tables written at the end."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tune_mlp.errors import RunFolderError, StorageError, UsageError
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import RUN_NAME

CHECKPOINTS = "checkpoints"
RAY = "ray"
"""In checkpoints/: what Ray Tune writes for itself. Nothing of it is ever read again."""


def check_place(out: Path, name: str | None) -> None:
    """Refuse a folder that can't be made, before any work is done; `create` checks it again."""
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
    if csv.exists() and not csv.is_file():
        raise UsageError(f"--csv {csv}: isn't a regular file, which a table could replace")
    if csv.exists() and not os.access(csv, os.W_OK):
        raise UsageError(f"--csv {csv}: can't be written")
    try:  # some folders, such as /proc, take no files whatever their permissions say
        with tempfile.TemporaryFile(dir=csv.absolute().parent):
            pass
    except OSError as error:
        raise UsageError(f"--csv {csv}: can't be written: {error.strerror or error}") from None


def check_name(name: str | None) -> None:
    """Refuse a run's name that isn't a plain file name."""
    if name is not None and not RUN_NAME.fullmatch(name):
        raise RunFolderError(
            f"--name {name!r}: a run's name is 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
        )


def names(name: str | None, study: str) -> Iterator[str]:
    """Yield the user's name, or names of ours, with a number where one is taken."""
    stamp = f"{study}-{time.strftime('%Y%m%d-%H%M%S')}"
    yield name or stamp
    if name is None:
        yield from (f"{stamp}-{attempt}" for attempt in range(2, 1001))


def create(out: Path, name: str | None, study: str) -> Path:
    """Make the run's folder. A name from the user that is taken is refused."""
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
    """Refuse a folder to be written again that holds anything but files and folders, such as a link that leads out of it."""
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
    """Remove what a killed driver and its workers left half-written, and Ray's own files, which a later Ray would read and run."""
    try:
        checkpoints = run / CHECKPOINTS
        checkpoints.mkdir(exist_ok=True)
        best = run / "best"
        for path in (*run.iterdir(), *checkpoints.iterdir(), *(best.iterdir() if best.is_dir() else ())):
            if LEFT.fullmatch(path.name):
                path.unlink()
        if (checkpoints / RAY).exists():
            shutil.rmtree(checkpoints / RAY)
    except OSError as error:
        raise StorageError(f"{error.filename or run}: can't be tidied: {error.strerror or error}") from None


LEFT = re.compile(r"\..+\.tmp|\.[0-9a-f]{16}\..+|\.journal\.jsonl\.lease\..+")
"""The names that files have while they are written aside."""


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
    """Write a text under another name and rename it, so that a reader finds the old text or the new one."""
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
