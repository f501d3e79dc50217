"""Why a trial ended as it did: each decision of the scheduler on it and its end, in words, from the journal alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from tune_mlp.errors import UsageError, no_such_trial
from tune_mlp.insight.compared import Moment, ahead_of, moments
from tune_mlp.records import EpochRecord, TrialState, better
from tune_mlp.results.answer import Answer, counted, listed, told_apart
from tune_mlp.results.changes import changes_table
from tune_mlp.results.journal import Event, Started, WorkerLost
from tune_mlp.results.state import RunState, TrialSoFar

NAMED = 3
"""So many of the trials that were ahead are named; the others are counted."""
RULES = {
    "asha": "asha compares a trial with those that came to the same epoch before it, and stops it below their cutoff.",
    "promotion_asha": "promotion_asha pauses each trial at each rung, and lets it go on once it is among the best that came there.",
    "pasha": "pasha pauses each trial at each rung, and lets the best go on; the largest rung grows while rankings differ.",
    "top_k": "top_k trains all trials to the same epoch, and only the best of them to the end.",
    "median": "median stops a trial whose best value is worse than the median of the other trials' means up to that epoch.",
    "hyperband": "hyperband waits for all trials of a bracket, lets the best of them go on, and stops the others.",
    "pbt": "pbt compares the last values of all trials; one of the worst takes over the weights and settings of one of the best.",
}
"""How each scheduler decides, in a sentence."""
BY_GOALS = (
    "asha compares a trial by all goals with those that came to the same epoch before it: their Pareto front comes first, and then "
    "always the front of those that are left."
)


def why(events: Sequence[Event], number: int) -> Answer:
    """Say why a trial was stopped, went on or ended, with each decision of the scheduler on it."""
    state = RunState.of(events)
    started = state.started
    assert started is not None  # the reader refuses any other first line
    if number not in state.trials:
        raise UsageError(no_such_trial(number, state.trials))
    trial = state.trials[number]
    changes = changes_table(events)
    rows = [_row(moment, started, changes[changes["trial"] == number]) for moment in moments(events, number)]
    stop = next((row for row in reversed(rows) if row["decision"] == "stop"), None)
    return Answer(
        sentence=_end(state, started, trial, stop),
        table=pd.DataFrame(rows, columns=COLUMNS).astype({"donor": "Int64"}),
        method=_method(state, started),
        notes=(*_without_decisions(state, started, trial, rows), *_losses(events, number), _parameters(trial)),
        facts={
            "trial": number,
            "metric": started.metric,
            "mode": started.mode,
            "state": None if trial.ended is None else trial.ended.state.value,
            "epochs": len(state.whole_epochs(number)),
            "params": trial.drawn.params,
        },
    )


COLUMNS = ["epoch", "decision", "rung", "value", "cutoff", "compared", "ahead", "donor", "why"]


def _row(moment: Moment, started: Started, changes: pd.DataFrame) -> dict[str, object]:
    decided = moment.decided
    return {
        "epoch": decided.epoch,
        "decision": decided.decision,
        "rung": decided.rung,
        "value": math.nan if decided.value is None else decided.value,
        "cutoff": math.nan if decided.cutoff is None else decided.cutoff,
        "compared": decided.competed,
        "ahead": _listed(ahead_of(moment, started.goals)),
        "donor": decided.donor,
        "why": WORDS[decided.decision](moment, started, changes[changes["epoch"] == decided.epoch]),
    }


def _stopped(moment: Moment, started: Started, changes: pd.DataFrame) -> str:
    decided = moment.decided
    return f"was stopped after {_epochs(decided.epoch)}: {_against(moment, started)}"


def _went_on(moment: Moment, started: Started, changes: pd.DataFrame) -> str:
    decided = moment.decided
    if decided.cutoff is None and decided.place is None:
        alone = (
            "too few other trials had come so far" if decided.scheduler == "median" else "it was the first one there"
        )
        return f"went on after {_epochs(decided.epoch)}: {alone}"
    return f"went on after {_epochs(decided.epoch)}: {_against(moment, started)}"


def _paused(moment: Moment, started: Started, changes: pd.DataFrame) -> str:
    return f"was paused after {_epochs(moment.decided.epoch)}: {_against(moment, started)}"


def _promoted(moment: Moment, started: Started, changes: pd.DataFrame) -> str:
    if moment.decided.cutoff is None:
        return f"was let go on after {_epochs(moment.decided.epoch)}: no draw was left, and it was the best that waited"
    return f"was let go on after {_epochs(moment.decided.epoch)}: {_against(moment, started)}"


def _took_over(moment: Moment, started: Started, changes: pd.DataFrame) -> str:
    decided = moment.decided
    what = [f"{row.parameter} from {_plain(row.before)} to {_plain(row.after)}" for row in changes.itertuples()]
    changed = f"; changed were {', '.join(what)}" if what else "; no parameter changed"
    value = moment.compared.get(-1 if decided.donor is None else decided.donor)
    donor = "another trial" if decided.donor is None else f"trial {decided.donor}"
    whose = "" if value is None else f", whose {started.metric} was {value:.4g}"
    return (
        f"took over the weights and settings of {donor}{whose}, after {_epochs(decided.epoch)}: "
        f"{_against(moment, started)}{changed}"
    )


WORDS = {"stop": _stopped, "continue": _went_on, "pause": _paused, "promote": _promoted, "exploit": _took_over}
"""The words for each decision; each makes the end of a sentence that begins with the trial."""


def _against(moment: Moment, started: Started) -> str:
    """Say how the trial's value stood to the cutoff, and what the cutoff was: `its val_accuracy of 0.9 was below 0.95, the ...`."""
    decided = moment.decided
    name = f"best {started.metric}" if decided.scheduler == "median" else started.metric
    if decided.value is None:
        return f"it had no finite {started.metric}"
    if decided.place is not None:
        return _by_goals(moment, started)
    if decided.cutoff is None and decided.scheduler in ALONE:
        return f"its {name} was {decided.value:.4g}, and {ALONE[decided.scheduler]} ({decided.rung})"
    if decided.cutoff is None:
        return f"its {name} was {decided.value:.4g}, and there was nothing to compare it with"
    value, cutoff = told_apart(decided.value, decided.cutoff)
    if decided.value == decided.cutoff:
        how = f"was {cutoff}, just"
    else:
        how = f"of {value} was {'above' if decided.value > decided.cutoff else 'below'} {cutoff},"
    return f"its {name} {how} {CUTOFFS[decided.scheduler](moment)}"


def _by_goals(moment: Moment, started: Started) -> str:
    """Say where several goals put the trial: `by its val_accuracy of 0.9 and its weights of 650 it was the 3rd of ...`."""
    decided = moment.decided
    if decided.competed == 1:
        return f"it was the first one there ({decided.rung})"
    values = moment.goals.get(decided.trial, (decided.value,))
    said = listed([f"its {goal.name} of {value:.5g}" for goal, value in zip(started.goals, values, strict=False)])
    return (
        f"by {said} it was number {decided.place} of {_competed(moment)} at that rung, of which {decided.kept} may go on "
        f"({decided.rung})"
    )


def _competed(moment: Moment) -> str:
    return counted(moment.decided.competed, "trial")


def _the_best(moment: Moment) -> str:
    return f"the worst that may go on of {_competed(moment)} at that rung ({moment.decided.rung})"


ALONE = {
    "promotion_asha": "too few trials had come to that rung for one to go on",
    "pasha": "no trial might go on from that rung yet",
    "top_k": "fewer trials had come to that rung than are kept",
}
"""Why there is no cutoff, for each scheduler that pauses trials."""
CUTOFFS: dict[str, Callable[[Moment], str]] = {
    "promotion_asha": _the_best,
    "pasha": _the_best,
    "top_k": _the_best,
    "asha": lambda moment: f"the cutoff among {_competed(moment)} at that rung ({moment.decided.rung})",
    "median": lambda moment: (
        f"the median of the means of {counted(moment.decided.competed - 1, 'other trial')} ({moment.decided.rung})"
    ),
    "hyperband": lambda moment: (
        f"the worst of the {moment.kept} that went on of {_competed(moment)} ({moment.decided.rung})"
    ),
    "pbt": lambda moment: f"the worst of {_competed(moment)} that isn't to be replaced ({moment.decided.rung})",
}
"""What the cutoff of each scheduler is."""


def _end(state: RunState, started: Started, trial: TrialSoFar, stop: dict[str, object] | None) -> str:
    """Say how the trial ended, in one sentence."""
    number, trained, ended = trial.drawn.trial, len(state.whole_epochs(trial.drawn.trial)), trial.ended
    after = f"after {_epochs(trained)}"
    if ended is None:
        best = state.best_value(number)
        so_far = f"trained {trained} of {_epochs(started.epochs)}" if trained else "trained no epoch"
        value = "" if best is None else f", and its best {started.metric} is {best:.4g}"
        return f"Trial {number} hasn't ended, it is under way or waits for a resume: it has {so_far}{value}."
    if ended.state is TrialState.FAILED:
        return f"Trial {number} failed {after}: {ended.error.strip() or 'its error is not known'}"
    if ended.state is TrialState.DIVERGED:
        return f"Trial {number} diverged {_divergence(trial)}."
    if ended.state is TrialState.FINISHED:
        return f"Trial {number} {_finish(state, started, trial, trained)}."
    if ended.reason in OTHER_REASONS:
        return f"Trial {number} was stopped {after}: {OTHER_REASONS[ended.reason]}."
    if stop is not None:
        return f"Trial {number} {stop['why']}."
    who = "the scheduler" if ended.reason == "scheduler" else "the scheduler, the time budget or a person"
    return f"Trial {number} was stopped {after} by {who}; the journal doesn't say with whom it was compared."


OTHER_REASONS = {
    "time budget": "the time budget of the study was used up",
    "interruption": "the search was interrupted",
}


def _finish(state: RunState, started: Started, trial: TrialSoFar, trained: int) -> str:
    number = trial.drawn.trial
    best_epoch, best = state.best_epoch(number), state.best_value(number)
    value = "" if best is None else f"; its best {started.metric}, {best:.4g}, was that of epoch {best_epoch}"
    if trained >= started.epochs:
        return f"trained all its {_epochs(started.epochs)}{value}"
    last = _last_better(state, started, trial)
    return (
        f"finished after {trained} of {_epochs(started.epochs)}, since its patience was over: "
        f"its {started.metric} was no better for {_epochs(trained - last)}{value}"
    )


def _last_better(state: RunState, started: Started, trial: TrialSoFar) -> int:
    """Return the last epoch in which the metric became better, as patience counts it."""
    last, best = trial.taken_over, None
    for epoch, metrics in state.whole_epochs(trial.drawn.trial).items():
        if epoch > trial.taken_over and better(metrics[started.metric], best, started.mode):
            last, best = epoch, metrics[started.metric]
    return last


def _divergence(trial: TrialSoFar) -> str:
    """Say in which epoch which metric became non-finite. What was measured first is the cause: training, then validation."""
    for epoch, so_far in trial.epochs.items():
        for record in so_far.records:
            if not record.finite:
                name = next(name for name, value in record.metrics.items() if not math.isfinite(value))
                return f"in epoch {epoch}: its {name} became {record.metrics[name]}{_place(so_far.records, record)}"
    return f"after {_epochs(len(trial.epochs))}: the journal has no figure that isn't finite"


def _place(records: Sequence[EpochRecord], record: EpochRecord) -> str:
    repeats, folds = ({getattr(one, name) for one in records} for name in ("repeat", "fold"))
    parts = [f"repeat {record.repeat}"] * (len(repeats) > 1) + [f"fold {record.fold}"] * (len(folds) > 1)
    return f" in {', '.join(parts)}" if parts else ""


def _without_decisions(state: RunState, started: Started, trial: TrialSoFar, rows: Sequence[object]) -> tuple[str, ...]:
    """Say why there is no decision to show, where there is none."""
    if rows:
        return ()
    if not trial.epochs:
        return ("The scheduler decided nothing on this trial, which trained no epoch and so came to no rung.",)
    if state.decisions:
        return ("The scheduler decided nothing on this trial, which came to no epoch at which it compares.",)
    if started.format == 1:
        return ("The journal is of format 1, which holds no decisions: with whom the trial was compared isn't known.",)
    return (
        "The journal holds no decisions: the study's scheduler stops no trial (fifo), or no trial came to a rung yet.",
    )


def _losses(events: Sequence[Event], number: int) -> tuple[str, ...]:
    lost = sum(isinstance(event, WorkerLost) and event.trial == number for event in events)
    times = "once" if lost == 1 else f"{lost} times"
    return (f"Its worker was lost {times}, and it went on with another.",) if lost else ()


def _parameters(trial: TrialSoFar) -> str:
    return f"Its parameters: {', '.join(f'{name} {_plain(value)}' for name, value in trial.drawn.params.items())}."


def _method(state: RunState, started: Started) -> tuple[str, ...]:
    if not state.decisions and started.format == 1:
        return ("Read from the journal.",)
    schedulers = dict.fromkeys(decided.scheduler for decided in state.decisions)
    rules = tuple(RULES[name] for name in schedulers if name in RULES)
    if any(decided.place is not None for decided in state.decisions):
        rules = (BY_GOALS,)
    return (*rules, "Read from the journal, which holds each decision; `tune-mlp audit` derives them anew.")


def _listed(trials: Sequence[int]) -> str:
    """Name a few trials, and count the others."""
    named, more = ", ".join(map(str, trials[:NAMED])), len(trials) - NAMED
    return f"{named} and {more} more" if more > 0 else named


def _epochs(count: int) -> str:
    return counted(count, "epoch")


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
