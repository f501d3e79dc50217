"""The command line of a job's driver: a search, or what goes on from what is there."""

from __future__ import annotations

from pathlib import Path

from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.root_folder import RootFolder
from tune_mlp.service.rows import JobRow, StudyRow
from tune_mlp.service.run_summaries import writer_lives


def words_of(study: StudyRow, job: JobRow, text: str, root: RootFolder, options: ServiceOptions) -> tuple[str, ...]:
    """Return the words of a job. The same job asked for again after its driver was lost goes on from what that driver left."""
    place = _place(options)
    folder = root.run(study.name)
    if job.kind == "confirm":
        top, seeds = job.arguments["top"], job.arguments["seeds"]
        front = ("--front",) if job.arguments.get("front") else ()
        return ("confirm", str(folder), "--top", str(top), "--seeds", str(seeds), *front, "--to", "json", *place)
    if job.kind == "replay":
        return ("replay", str(folder), *map(str, job.arguments["trials"]), "--to", "json", *place)
    begun_before = job.kind == "resume" or job.restarts > 0
    if not text or (begun_before and root.can_go_on(study.name)):
        more = [word for name in ("trials", "time_budget") for word in _option(name, job)]
        return ("resume", str(folder), *more, *place)
    if begun_before and not writer_lives(folder):
        root.set_aside(study.name)
    file = root.write_study(study.name, text)
    return ("search", "--space", str(file), "--out", str(root.path), "--name", study.name, *place)


def _option(name: str, job: JobRow) -> tuple[str, ...]:
    value = job.arguments.get(name)
    return () if value is None else (f"--{name.replace('_', '-')}", str(value))


def _place(options: ServiceOptions) -> tuple[str, ...]:
    """Return the options that say where Ray and the data are."""
    data: Path | None = options.data_dir
    return (
        *(("--address", options.address) if options.address else ()),
        *(("--data-dir", str(data.absolute())) if data else ()),
    )
