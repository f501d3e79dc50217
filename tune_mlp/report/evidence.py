"""The evidence of a report: the table of trials, the study, and the answers, from which every number of its prose is worked out.

The page holds it, so that a reader can work the numbers out again from the page alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pandas as pd

from tune_mlp.errors import TuneMlpError, one_line
from tune_mlp.insight.advice import advice
from tune_mlp.insight.compare import compare
from tune_mlp.insight.confirmation import confirmed
from tune_mlp.insight.importance import importance
from tune_mlp.records import Goal, Mode
from tune_mlp.report.packed import pack_table, unpack_table
from tune_mlp.results.answer import Answer, plain
from tune_mlp.results.changes import changes_table
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import JOURNAL

FORMAT = 1
"""The form in which a page holds its evidence."""
MOST_ROWS = 50
"""The rows of an answer that a page holds."""
FACTS = ("task", "epochs", "engine", "classes", "study_name", "seed", "further")
"""What the first line of a journal says beside the metric."""

ANSWERS: dict[str, Callable[[Results], Answer]] = {
    "compare": compare,
    "importance": importance,
    "advise": lambda results: advice(results)[0],
    "confirm": confirmed,
}
"""The answers that a report rests on, by the word that gives each."""


@dataclass(frozen=True)
class ReportEvidence:
    """What a report's numbers come from."""

    results: Results
    """The table of trials, with the study and the manifest; a page holds no epochs."""
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each answer in its JSON form, with its first rows."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why an answer can't be given, by its word."""
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The sentence of each figure and its notes, by its name."""
    endings: Mapping[int, str] = field(default_factory=dict)
    """In words in which epoch a trial diverged."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the journal says of the study; empty for a table."""
    journal: Mapping[str, Any] = field(default_factory=dict)
    """The size and the fingerprint of the journal that was read; empty for a table."""

    @classmethod
    def of(cls, results: Results) -> ReportEvidence:
        """Ask all that a report says of some results. A question that can't be answered is noted with its reason."""
        answers: dict[str, Mapping[str, Any]] = {}
        missing: dict[str, str] = {}
        for word, ask in ANSWERS.items():
            try:
                found = ask(results)
            except TuneMlpError as error:
                missing[word] = one_line(error, 300)
            else:
                answers[word] = replace(found, table=found.table.head(MOST_ROWS)).to_dict()
        return cls(results, answers, missing, {}, _divergences(results), *_journal(results))

    def packed(self) -> dict[str, Any]:
        """Return the evidence as plain values."""
        results = self.results
        return {
            "format": FORMAT,
            "source": results.source,
            "metric": results.metric,
            "mode": results.mode,
            "goals": [list(goal) for goal in results.goals],
            "data": {name: str(results.trials.attrs.get(name, "")) for name in ("dataset", "stand_in_for")},
            "looks": results.looks,
            "parameters": results.parameters,
            "trials": pack_table(results.trials),
            "study": plain(results.study),
            "manifest": plain(results.manifest),
            "answers": dict(self.answers),
            "missing": dict(self.missing),
            "findings": {name: list(said) for name, said in self.findings.items()},
            "endings": {str(trial): text for trial, text in self.endings.items()},
            "facts": plain(self.facts),
            "journal": dict(self.journal),
        }

    @classmethod
    def unpacked(cls, held: Mapping[str, Any]) -> ReportEvidence:
        """Return the evidence that a page holds; a ValueError or a KeyError says that it is none."""
        if held["format"] != FORMAT:
            raise ValueError(f"its evidence is of format {held['format']!r:.20}, and this version reads {FORMAT}")
        trials = unpack_table(held["trials"])
        trials.attrs = dict(held["data"])
        names = [name for name in held["parameters"] if name in trials.columns]
        rows = trials[names].to_dict("records")
        params = {
            int(trial): {str(name): value for name, value in row.items() if not _absent(value)}
            for trial, row in zip(trials["trial"], rows, strict=True)
        }
        results = Results(
            source=held["source"],
            trials=trials,
            epochs=pd.DataFrame(),
            metric=held["metric"],
            mode=cast("Mode", held["mode"]),
            params=params,
            changes=changes_table(()),
            study=held["study"],
            manifest=held["manifest"],
            looks=held["looks"],
            goals=tuple(Goal(*goal) for goal in held.get("goals", ())),
        )
        endings = {int(trial): text for trial, text in held["endings"].items()}
        said = (held["answers"], held["missing"], held["findings"], endings, held["facts"], held["journal"])
        return cls(results, *said)

    @property
    def running(self) -> bool:
        """True if the run was still going on when it was read."""
        return self.results.manifest.get("state") == "running"


def _absent(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _divergences(results: Results) -> dict[int, str]:
    """Say of each trial that diverged in which epoch which of its metrics was no number any more, where the epochs are known."""
    diverged = results.trials.loc[results.trials["state"] == "diverged", "trial"]
    if diverged.empty or results.epochs.empty:
        return {}
    metrics = [name for name in results.epochs.columns if name.startswith(("train_", "val_"))]
    rows = results.epochs[results.epochs["trial"].isin(diverged)]
    bad = ~(rows[metrics].abs() < float("inf"))
    first = rows[bad.any(axis="columns")].drop_duplicates("trial")
    names = bad.loc[first.index].idxmax(axis="columns")
    return {
        int(row["trial"]): f"in epoch {row['epoch']} its {name} became {row[name]}"
        for (_, row), name in zip(first.iterrows(), names, strict=True)
    }


def _journal(results: Results) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the journal's first line says, and its fingerprint."""
    if results.files is None:
        return {}, {}
    content = (results.path / JOURNAL).read_bytes()
    content = content[: content.rfind(b"\n") + 1]
    started = results.events[0]
    facts = {name: getattr(started, name) for name in FACTS}
    return facts, {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
