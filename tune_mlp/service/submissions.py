"""The checks of a submission: what a study may name that comes over a network, and where an error stands in its text.

A study that somebody sends may learn the data that ship with the package, tables below the service's data folder, and tables of the
object stores that the service was started with. All else is refused, above all functions, which would be code that runs here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_mlp.data.sources import SOURCES
from tune_mlp.data_settings import TABLE_KINDS
from tune_mlp.errors import StudyError, clipped, did_you_mean
from tune_mlp.results.storage import without_secrets
from tune_mlp.service.messages import Submission
from tune_mlp.space.files import Located, read_file, read_yaml, shipped, shipped_folder
from tune_mlp.space.overrides import override, parse_assignment
from tune_mlp.study.study import Study

SOURCE = "study"
"""What errors call the text that was sent: `study:3 space.lr: ...`."""
A_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
"""A text of this form is the name of a shipped space; any other is YAML."""
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
MOST_PARTS = 10_000
"""The most files in a folder of parts that a submission may name."""


@dataclass(frozen=True)
class DataRules:
    """Which data a study may name."""

    data_dir: Path | None
    stores: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckedStudy:
    """A study that was sent and may be run."""

    study: Study
    text: str
    """Its YAML with all defaults and with whole paths, as its driver reads it."""
    cpus: float
    gpus: float


def check(submission: Submission, rules: DataRules) -> CheckedStudy:
    """Parse a submission and check what it names. A StudyError names the line and the path."""
    located, base = _parsed(submission.study, rules)
    for text in submission.changes:
        parts, value, said = parse_assignment(text, Study.model_fields)
        located = override(located, parts, value, said)
    study = Study.from_located(located, base)
    if study.warm_start is not None:
        rule = "a study that is sent to a service can't start from a run or a table of its machine"
        raise study.located(StudyError(f"{rule}; name settings under first instead", ("warm_start",)))
    names = {"name": study.data.name, "offline": study.data.offline}
    try:
        allowed = {field: name and _allowed(name, ("data", field), rules) for field, name in names.items()}
    except StudyError as error:
        raise study.located(error) from None
    study = study.model_copy(update={"data": study.data.model_copy(update=allowed)})
    slots = study.number_of_trials
    at_once = min(study.concurrent or os.cpu_count() or 1, slots)
    return CheckedStudy(study, study.dump(), study.resources.cpu * at_once, study.resources.gpu * at_once)


def line_of(error: StudyError) -> int | None:
    """Return the line of the study's text that an error names."""
    found = re.fullmatch(rf"{SOURCE}:(\d+)", error.source)
    return int(found[1]) if found else None


def path_of(error: StudyError) -> str | None:
    """Return the setting that an error names, such as `space.lr`."""
    return ".".join(clipped(str(part)) for part in error.path) or None


def _parsed(given: str | Mapping[str, object], rules: DataRules) -> tuple[Located, Path]:
    """Return the tree of what was sent, and the folder to which its table's path is relative."""
    base = rules.data_dir or Path(os.devnull)
    if not isinstance(given, str):
        return Located(dict(given), SOURCE), base  # a Submission holds plain values alone
    if not A_NAME.fullmatch(given):
        return read_yaml(given, SOURCE), base
    known = shipped()
    if given not in known:
        raise StudyError(f"no shipped space is named {clipped(given)!r}{did_you_mean(given, known)}", (), SOURCE)
    located = read_file(known[given])
    located.tree.setdefault("name", given[:48])
    return located, known[given].parent


def _allowed(name: str, path: tuple[str, str], rules: DataRules) -> str:
    """Return the name of the data, a table's with its whole path; refuse what isn't on the list of what may be named."""
    if name in SOURCES:
        return name
    kind, colon, file = name.partition(":")
    if not colon:
        raise StudyError(f"unknown dataset {clipped(name)!r}{did_you_mean(name, SOURCES)}", path)
    if kind not in TABLE_KINDS:
        raise StudyError(
            f"a study that is sent to a service can't name code; it may learn {', '.join(SOURCES)}, or csv:, parquet: or xlsx: "
            f"and a file, got {clipped(name)!r}",
            path,
        )
    if ADDRESS.match(file):
        return _stored(name, file, path, rules.stores)
    return f"{kind}:{_table(file, path, rules.data_dir)}"


def _stored(name: str, address: str, path: tuple[str, str], stores: Sequence[str]) -> str:
    plain = without_secrets(address) == address and ".." not in address and "%" not in address and "?" not in address
    if plain and any(address.startswith(store) for store in stores):
        return name
    known = f"it may name what is below {', '.join(stores)}" if stores else "this service reads from no object store"
    raise StudyError(f"{known}, got {clipped(without_secrets(address))!r}", path)


def _table(file: str, path: tuple[str, str], data_dir: Path | None) -> Path:
    """Return the whole path of a table below the data folder, or of one that ships with the package."""
    rule = "a table must be below the service's data folder"
    if "\0" in file or not file or file.startswith("~"):
        raise StudyError(f"{rule}, got {clipped(file)!r}", path)
    folders = [folder.resolve() for folder in (data_dir, shipped_folder()) if folder is not None]
    try:
        found = next((whole for folder in folders if (whole := (folder / file).resolve()).is_relative_to(folder)), None)
        if found is None or found in folders:
            said = (
                rule
                if data_dir is not None
                else "this service was started without a data folder, so it reads no tables"
            )
            raise StudyError(f"{said}, got {clipped(file)!r}", path)
        if not found.exists():
            raise StudyError(f"there is no {clipped(file)!r} below the service's data folder", path)
        if found.is_dir():
            _check_parts(found, path)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, StudyError):
            raise
        raise StudyError(f"{rule}, got {clipped(file)!r}", path) from None
    return found


def _check_parts(folder: Path, path: tuple[str, str]) -> None:
    """Refuse a folder of parts that holds links, which could lead anywhere."""
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count >= MOST_PARTS:
                raise StudyError(f"a folder of parts holds at most {MOST_PARTS} files", path)
            if entry.is_symlink():
                raise StudyError(f"the parts of a table must be files, and {clipped(entry.name)!r} is a link", path)
