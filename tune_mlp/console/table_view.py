"""`tune-mlp data`: what would be learnt from a table, and a study that learns it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_mlp.command_line import command_line
from tune_mlp.console.answers import show_answer
from tune_mlp.data.profile import TableProfile, profile_table
from tune_mlp.data.sources import table_name
from tune_mlp.data.table_files import READERS
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, UsageError, escaped
from tune_mlp.results.export import write_aside

SHOWN_CLASSES = 10
"""The largest number of classes that are listed with their counts."""


def show_table(console: Console, source: str, target: str | None, write: Path | None, to: str) -> None:
    """Show the columns of a table's file, or of the table that a study learns, and write a study if it is asked for."""
    settings = _settings(source)
    if target is not None:
        settings = settings.model_copy(update={"target": target})
    profile = profile_table(settings, Path())
    show_answer(console, profile.to_frame(), to, _below(profile), [_title(profile)])
    if write is None:
        return
    if write.exists():
        raise UsageError(f"--write {write}: is there already; name another file")
    if not write.absolute().parent.is_dir():
        raise UsageError(f"--write {write}: there is no folder {write.parent}")
    from tune_mlp.study.proposal import propose_study
    from tune_mlp.study.study import Study  # the study's settings take 0.5 s to import, and a look at a file needs none

    text = propose_study(profile, write)
    Study.from_text(text)  # it must load, or nothing is written
    write_aside(write, lambda aside: aside.write_text(text, encoding="utf-8"))
    if to == "text":
        console.print(
            f"wrote {write}; next: {command_line('search', '--space', write)}", soft_wrap=True, highlight=False
        )


def _settings(source: str) -> DataSettings:
    """Return the settings of the data: of a study, or of a table's file with all else at its default."""
    if source.endswith((".yaml", ".yml")) or not (os.path.exists(source) or ":" in source):
        from tune_mlp.study.study import Study

        data = Study.load(source).data
        if data.name.partition(":")[0] not in READERS:
            raise DataError(
                f"{source}: learns {data.name}, which is no table; `tune-mlp data` is for {', '.join(f'{kind}:' for kind in READERS)}"
            )
        return data
    return DataSettings(name=table_name(source))


def _title(profile: TableProfile) -> str:
    form = f" {profile.form}" if profile.form else ""
    return f"{profile.path.name}: {profile.rows} rows{form}, {len(profile.columns)} columns"


def _below(profile: TableProfile) -> list[str]:
    lines = [f"target    {escaped(profile.target)} ({profile.why_target})"]
    if profile.classes:
        shown = [f"{escaped(name)} {count}" for name, count in list(profile.classes.items())[:SHOWN_CLASSES]]
        more = len(profile.classes) - len(shown)
        lines.append(f"classes   {', '.join(shown)}{f' and {more} more' if more > 0 else ''}")
        share = max(profile.classes.values()) / sum(profile.classes.values())
        lines.append(
            f"          always answering {escaped(next(iter(profile.classes)))!r} is right in {share:.2%} of the rows"
        )
    proposed: dict[str, Any] = {
        name: value for name, value in profile.settings.items() if name not in ("name", "target")
    }
    if proposed:
        lines.append("proposed  data:")
        lines += [f"            {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in proposed.items()]
    return lines
