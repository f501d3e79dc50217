"""One trial in detail: its row, its curve, the settings in which it differs from the best, and why it ended."""

from __future__ import annotations

from tune_mlp.errors import no_such_trial
from tune_mlp.insight.why import why
from tune_mlp.results.answer import Answer, plain
from tune_mlp.results.results import Results
from tune_mlp.service.faults import UnknownStudy
from tune_mlp.service.result_messages import AnswerMessage, OtherSetting, TrialDetail
from tune_mlp.service.table_cells import records_of


def trial_detail(results: Results, number: int) -> TrialDetail:
    """Return a trial of a study."""
    rows = results.trials[results.trials["trial"] == number]
    if number not in results.params or rows.empty:
        raise UnknownStudy(no_such_trial(number, results.params))
    best = results.best
    best_trial = None if best is None else int(best["trial"])
    params = results.params[number]
    best_params = params if best_trial is None else results.params[best_trial]
    return TrialDetail(
        row=records_of(rows)[0],
        epochs=records_of(results.epochs[results.epochs["trial"] == number]),
        best_trial=best_trial,
        differs=tuple(
            OtherSetting(name=name, value=params.get(name), best=best_params.get(name))
            for name in dict.fromkeys((*best_params, *params))
            if params.get(name) != best_params.get(name)
        ),
        why=answer_message(why(results.events, number)),
    )


def answer_message(answer: Answer) -> AnswerMessage:
    """Return an answer as a message."""
    said = answer.to_dict()
    return AnswerMessage(
        sentence=answer.sentence,
        rows=tuple(said["rows"]),
        notes=answer.notes,
        method=answer.method,
        facts={name: plain(value) for name, value in answer.facts.items()},
    )
