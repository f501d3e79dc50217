"""Files of a study that are sent as they are: only regular files inside the study's own folder."""

from __future__ import annotations

from pathlib import Path

from tune_mlp.service.faults import UnknownStudy


def file_inside(folder: Path, *parts: str) -> Path:
    """Return a file's path; one that isn't there, isn't a regular file, or is reached by a link out of the folder counts as missing."""
    path = folder.joinpath(*parts)
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()) or not real.is_file():
        raise UnknownStudy(f"{folder.name} has no {'/'.join(parts)}")
    return real
