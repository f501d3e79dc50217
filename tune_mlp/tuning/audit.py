"""An audit of a run: every decision of its scheduler, and whatever else it claims, is derived anew from the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tune_mlp.errors import RunFolderError
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.journal import Decided, Event, Resumed, Started, Tested
from tune_mlp.results.results import Results
from tune_mlp.results.state import RunState
from tune_mlp.runs.manifest import Manifest, check_same_study
from tune_mlp.study.study import BoundStudy, Study
from tune_mlp.tuning.claims import (
    MODEL,
    files_of_the_end,
    wrong_cells,
    wrong_draws,
    wrong_ends,
    wrong_model,
    wrong_winners,
)
from tune_mlp.tuning.differences import Difference
from tune_mlp.tuning.driven_again import wrong_decision
from tune_mlp.tuning.plateau import wrong_estimates
from tune_mlp.tuning.ray_compat.patching import quiet_ray

NEEDED = {
    "study.yaml": "the study that the run is of",
    "run.json": "what it says of the run: whether its study was changed, and how it ended",
}
"""The files beside the journal that an audit needs, and what each is needed for."""
REBUILT_SINCE = ("hyperband", "pbt")
"""The schedulers that began anew in earlier versions when a run was resumed."""
METHOD = (
    "The study's own scheduler was told the journal's results again, in their order, and each decision was compared with the",
    "journal's; draws were made anew from the seed, and ends, winner, model and tables worked out from the journal.",
)


def audit(results: Results) -> Answer:
    """Derive anew what a run claims. The answer's table has a row for each check; `facts["differ"]` is the number of differences."""
    events = results.events
    study, manifest = _study(results.path, events)
    state = RunState.of(events)
    with quiet_ray():
        wrong = wrong_decision(study, events)
    rows = list(_checks(results, study, state, events, wrong))
    decisions, trials = len(state.decisions), len(state.trials)
    first = next((row for row in rows if row["differ"]), None)
    said = f"all that is said of {counted(trials, 'trial')} follows from the journal."
    if study.scheduler.fifo:
        follow = f"The scheduler (fifo) stops no trial; {said}"
    elif decisions == 0:
        follow = f"The scheduler decided nothing; {said}"
    elif decisions == 1:
        follow = f"The one decision on {counted(trials, 'trial')} follows from the journal."
    else:
        follow = f"All {decisions} decisions on {counted(trials, 'trial')} follow from the journal."
    return Answer(
        sentence=follow if first is None else str(first["first"]),
        table=pd.DataFrame(rows),
        method=METHOD,
        notes=tuple(_notes(study, manifest)),
        facts={
            "decisions": decisions,
            "trials": trials,
            "differ": sum(int(str(row["differ"])) for row in rows),
        },
    )


def _checks(
    results: Results, study: BoundStudy, state: RunState, events: list[Event], wrong: Difference | None
) -> Iterator[dict[str, object]]:
    yield _row("decisions", len(state.decisions), [wrong] if wrong else [], "the scheduler's code says")
    yield _row("draws", len(state.trials), list(wrong_draws(study, events)), "the study's seed gives")
    if state.estimates:
        yield _row("estimates", len(state.estimates), list(wrong_estimates(study, events)), "the trials give")
    ended = sum(trial.ended is not None for trial in state.trials.values())
    yield _row("ends", ended, list(wrong_ends(study, state)), "")
    tested = sum(isinstance(event, Tested) for event in events)
    yield _row("winner", tested, list(wrong_winners(study, events)), "")
    yield _row("model", int((results.path / MODEL).is_file()), list(wrong_model(results, state)), "")
    yield _row("tables", len(results.trials) + len(results.epochs), list(wrong_cells(results)), "")
    files = files_of_the_end(results, state)
    gone = [name for name in files if not (results.path / name).is_file()]
    first = _gone(gone, str(results.manifest.get("state"))) if gone else ""
    yield {"check": "files", "compared": len(files), "differ": len(gone), "first": first}


def _row(check: str, compared: int, wrong: list[Difference], who: str) -> dict[str, object]:
    return {
        "check": check,
        "compared": compared,
        "differ": len(wrong),
        "first": _said(wrong[0], who) if wrong else "",
    }


def _gone(files: list[str], state: str) -> str:
    which = f"a{'n' if state == 'interrupted' else ''} {state} run has"
    count = f"One file that {which} isn't there" if len(files) == 1 else f"{len(files)} files that {which} aren't there"
    return f"{count}: {', '.join(files)}."


def _said(wrong: Difference, who: str) -> str:
    where = f"Trial {wrong.trial}" + ("" if wrong.epoch is None else f", epoch {wrong.epoch}")
    derived = f"{who} {wrong.derived}" if who else wrong.derived
    return f"{where}: the journal says {wrong.journal}, and {derived}."


def _study(path: Path, events: list[Event]) -> tuple[BoundStudy, Manifest]:
    """Return a run's study and manifest; refuse a run whose decisions can't be derived."""
    started = events[0]
    assert isinstance(started, Started)  # the reader refuses any other first line
    for name, needed in NEEDED.items():
        if not (path / name).is_file():
            raise RunFolderError(f"{path / name} isn't there: an audit needs {needed}")
    manifest = Manifest.load(path)
    check_same_study(manifest)
    study = Study.load(path / "study.yaml").bound(started.task)
    if study.scheduler.fifo:
        return study, manifest
    if started.format == 1 and not any(isinstance(event, Decided) for event in events):
        raise RunFolderError(f"{path}: its journal is of format 1, which holds no decisions: there is nothing to audit")
    told = sum(isinstance(event, Resumed) for event in events)
    if told < len(manifest.facts.get("resumed", [])):
        raise RunFolderError(
            f"{path}: an earlier version resumed it, and its journal doesn't say where: what the scheduler knew then is lost"
        )
    if study.scheduler.name in REBUILT_SINCE and any(
        isinstance(event, Resumed) and not event.rebuilt for event in events
    ):
        raise RunFolderError(
            f"{path}: an earlier version resumed it, and began its {study.scheduler.name} anew; what that decided can't be derived"
        )
    return study, manifest


def _notes(study: BoundStudy, manifest: Manifest) -> Iterator[str]:
    if study.search.learns:
        yield f"The parameters that {study.search.name} drew depend on the order in which it learnt of ends, and weren't derived; the seeds were."
    if study.scheduler.pbt:
        yield "Which of the best trials another takes over is drawn: that the one taken was among them was checked."
    if versions := manifest.other_versions():
        yield f"The run was written with {versions}."
