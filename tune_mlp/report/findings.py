"""What was found: the answer, the best configurations, what matters, how the search went, how trials ended, the best net."""

from __future__ import annotations

from tune_mlp.insight.views.drawn_trials import SETTINGS
from tune_mlp.report.markup import Inner, Markup, listed, tag
from tune_mlp.report.material import Material, paragraph, placed, table
from tune_mlp.report.numbers import measure_of, varied, worked_out
from tune_mlp.results.answer import counted
from tune_mlp.results.tables import score_column

TOP = 10
"""The best trials that are shown."""
MOST_ROWS = 20
"""The rows of a list of trials that ended badly."""
COURSE = (
    "best_so_far",
    "learning_curves",
    "loss_by_step",
    "convergence",
    "overfitting",
    "time_against_score",
    "weights_against_score",
    "workers",
)
"""The figures of how a search went, in order; a figure without a place of its own stands after them."""
BEST, MATTERS, STOPPED = (
    ("contenders", "confirmed"),
    ("importance", "parameters", "strongest_pair", "parallel_coordinates"),
    ("rungs",),
)


def the_answer(material: Material) -> Inner:
    """Say in three sentences what is best, how many others may be as good, and what matters."""
    best = material.best
    if best is None:
        return [paragraph(_no_best(material)), _matters_in_a_sentence(material)]
    return [paragraph(_best(material, best)), paragraph(_alike(material)), _matters_in_a_sentence(material)]


def _no_best(material: Material) -> Inner:
    states = [s for s in ("diverged", "failed") if (material.results.trials["state"] == s).any()]
    if not len(material.results.trials):
        return "No trial has been drawn yet, so there is no best configuration."
    if not states:
        return [
            "None of the ",
            material.counted("trial", "count"),
            " has a score yet, so there is no best configuration.",
        ]
    ends = listed([[material.n("count", state), f" {state}"] for state in states])
    return ["No trial succeeded: of ", material.counted("trial", "count"), " ", ends, "."]


def _best(material: Material, best: int) -> Inner:
    metric = material.results.metric
    names = [name for name in material.results.parameters if material.results.params[best].get(name) is not None]
    settings = listed([[f"{name} ", material.n("cell", best, name)] for name in names[:SETTINGS]])
    more = f" and {counted(len(names) - SETTINGS, 'other setting')}" if len(names) > SETTINGS else ""
    said: list[Inner] = ["The best configuration is trial ", material.n("best"), ": ", settings, more]
    said += [f"; its {metric} was ", material.n("score", best), " as measured"]
    compared = material.evidence.answers.get("compare")
    if compared and compared["winner"]["trial"] == best and measure_of(compared) == metric:
        winner = compared["winner"]
        if winner["corrected"] is not None:
            said += [", and ", material.n("answer", "compare", "winner.corrected"), " is to be expected on new data"]
        low, high = (material.n("answer", "compare", f"winner.{end}") for end in ("low", "high"))
        said += [" (95 % interval ", low, " to ", high, ")"]
    return [*said, *_tested(material, best), "."]


def _tested(material: Material, best: int) -> list[Inner]:
    """Say what the best trial reached on the test part."""
    score = "test_" + material.results.metric.partition("_")[2]
    row = material.results.trials.set_index("trial").loc[best]
    if score not in row.index or row[score] != row[score]:
        return []
    looks = material.results.looks
    times: Inner = (
        ", which was used once,"
        if looks == 1
        else [", which was looked at ", material.n("looks"), " times,"]
        if looks
        else ""
    )
    return ["; on the test part", times, f" it reached a {score} of ", material.n("cell", best, score)]


def _alike(material: Material) -> Inner:
    compared = material.evidence.answers.get("compare")
    if compared is None:
        return f"How many others can't be told from it isn't known: {material.evidence.missing['compare']}."
    others, alike = compared["trials"] - 1, len(compared["indistinguishable"])
    if others == 0:
        return "No other trial is there to compare it with."
    count = material.n("answer", "compare", "indistinguishable")
    if others == 1:
        return [
            "The other trial ",
            "can't" if alike else "can",
            " be told from it at 95 % (",
            count,
            " of ",
            material.n("others"),
            " can't).",
        ]
    of = [count, " of the ", material.n("others"), " other trials"]
    if alike == 0:
        return ["All other trials can be told from it at 95 %: ", of, " can't."]
    which = "it" if alike == 1 else "any of them"
    return [
        of,
        f" can't be told from it at 95 %, so that another draw of the validation samples might have put {which} first.",
    ]


def _matters_in_a_sentence(material: Material) -> Markup:
    if "importance" in material.evidence.answers:
        return paragraph(material.n("said", "importance"))
    return paragraph(f"Which parameters matter isn't known: {material.evidence.missing['importance']}.")


def best_configurations(material: Material) -> Inner:
    """Show the best trials with what tells them apart."""
    results = material.results
    ranked = [int(trial) for trial in results.ranked["trial"].head(TOP)]
    if not ranked:
        return paragraph("There is no trial with a score.")
    names = varied(material.evidence)[:SETTINGS] or results.parameters[:SETTINGS]
    compared = material.evidence.answers.get("compare", {"rows": []})
    place_of = {row["trial"]: place for place, row in enumerate(compared["rows"])}
    columns = [name for name in ("epochs", "weights", "seconds") if name in results.trials.columns]
    headings: list[Inner] = [
        "trial",
        f"best {results.metric}" if score_column(results.trials, results.metric) != results.metric else results.metric,
    ]
    headings += ["95 % interval", "beside the best"] if place_of else []
    rows: list[list[Inner]] = []
    for trial in ranked:
        row: list[Inner] = [str(trial), material.n("score", trial)]
        if place_of and (place := place_of.get(trial)) is not None:
            interval = [material.n("row", "compare", place, "low"), " to ", material.n("row", "compare", place, "high")]
            row += [interval, str(compared["rows"][place]["verdict"])]
        elif place_of:
            row += ["", ""]
        row += [material.n("cell", trial, name) for name in (*columns, *names)]
        rows.append(row)
    headings += [*columns, *names]
    many = len(results.ranked)
    said: list[Inner] = [f"The best {len(rows)} of ", material.counted("trial", "ranked"), " with a score"]
    if many <= len(rows):
        said = ["All trials with a score, the best first"]
    more = (
        f" The {len(varied(material.evidence)) - len(names):,} other parameters are in the appendix."
        if len(varied(material.evidence)) > len(names)
        else ""
    )
    return [
        paragraph(
            *said,
            "; “not told apart” means that the difference from the best may well be chance." if place_of else ".",
            more,
        ),
        table(headings, rows, "The best configurations", range(1, len(headings) - len(names))),
        _front(material),
        *(material.figure(name) for name in BEST),
        _confirmed(material),
    ]


def _front(material: Material) -> Inner:
    """Show the trials of the Pareto front with their goals, of a study that has several goals."""
    results = material.results
    if not results.goals:
        return None
    names = varied(material.evidence)[:SETTINGS] or results.parameters[:SETTINGS]
    goals = [goal.name for goal in results.goals]
    columns = [score_column(results.trials, goal) for goal in goals]
    trials = [int(trial) for trial in results.front["trial"]]
    rows: list[list[Inner]] = [
        [str(trial), *(material.n("cell", trial, name) for name in (*columns, *names))] for trial in trials[:MOST_ROWS]
    ]
    more = ", the first of them" if len(trials) > MOST_ROWS else ""
    return [
        paragraph(
            "The study has several goals: ",
            listed(list(goals)),
            ". These trials are on their Pareto front: no other trial is as good in every goal and better in one. ",
            "Trials are ranked by the first goal alone.",
        ),
        table(["trial", *goals, *names], rows, f"The Pareto front{more}", range(1, 1 + len(goals))),
    ]


def _confirmed(material: Material) -> Inner:
    if not material.is_run:
        return None
    if "confirm" in material.evidence.answers:
        return paragraph(material.n("said", "confirm"))
    return paragraph(
        "No configuration has been trained again from fresh seeds yet; ",
        "until then the order of near ones rests on one training of each (see the threats to validity).",
    )


def what_matters(material: Material) -> Inner:
    """Show which parameters matter and how."""
    answer = material.evidence.answers.get("importance")
    if answer is None:
        return paragraph(material.evidence.missing["importance"])
    method = " ".join(f"{line[0].upper()}{line[1:]}" for line in answer["method"])
    return [*(material.figure(name) for name in MATTERS), paragraph(method) if method else None]


def how_it_went(material: Material) -> Inner:
    """Show the course of the search."""
    return [_sums(material), *(material.figure(name) for name in (*COURSE, *_without_a_place(material)))]


def _without_a_place(material: Material) -> list[str]:
    return [name for name in material.figures if name not in (*COURSE, *BEST, *MATTERS, *STOPPED)]


def _sums(material: Material) -> Markup:
    trials = material.results.trials
    said: list[Inner] = ["The search drew ", material.counted("trial", "count")]
    if "epochs" in trials and "steps" in trials:
        said += [", which trained ", material.counted("epoch", "total", "epochs")]
        said += [" with ", material.n("total", "steps"), " updates of weights"]
    if "train_seconds" in trials:
        said += [" in ", material.n("total", "train_seconds"), " of training"]
    return paragraph(*said, ".")


def how_trials_ended(material: Material) -> Inner:
    """Say how many trials were stopped, diverged and failed, and why."""
    states = set(material.results.trials["state"])
    said: list[Inner] = ["Of ", material.counted("trial", "count"), " "]
    kinds = [s for s in ("finished", "stopped", "diverged", "failed") if s in states and material.value("count", s)]
    ends: list[Inner] = [[material.n("count", state), f" {state}"] for state in kinds]
    if under_way := material.value("count", "open"):
        ends.append([material.n("count", "open"), " are under way" if under_way > 1 else " is under way"])
    words = paragraph(*said, listed(ends), ".") if ends else paragraph("No trial has been drawn.")
    return [
        words,
        _stopped(material),
        *(material.figure(name) for name in STOPPED),
        _diverged(material),
        _failed(material),
    ]


def _stopped(material: Material) -> Inner:
    trials = material.results.trials
    if "reason" not in trials or not material.value("count", "stopped"):
        return None
    reasons = {
        "scheduler": "by the scheduler",
        "time budget": "since the time budget was used up",
        "interruption": "by an interruption",
    }
    found = [(reason, words) for reason, words in reasons.items() if material.value("stopped", reason)]
    said: list[Inner] = []
    if found:
        said = [
            "Trials were stopped for these reasons: ",
            listed([[material.n("stopped", r), f" {words}"] for r, words in found]),
            ". ",
        ]
    ends = sorted({int(epochs) for epochs in trials.loc[trials["state"] == "stopped", "epochs"]})
    ends = [
        epochs for epochs in ends if not worked_out(material.evidence, f"stopped_after:{epochs}").text.startswith("0 ")
    ]
    if 0 < len(ends) <= 12:
        after = listed([material.n("stopped_after", e) for e in ends])
        said += ["They had trained for different times: ", after, ". "]
    return (
        paragraph(*said, "`tune-mlp why RUN TRIAL` tells of each decision with whom a trial was compared.")
        if said
        else None
    )


def _diverged(material: Material) -> Inner:
    endings = material.evidence.endings
    if not material.value("count", "diverged"):
        return None
    if not endings:
        return paragraph(
            material.counted("trial", "count", "diverged"),
            " diverged: a loss, a metric or a weight was no number any more.",
        )
    rows: list[list[Inner]] = [[str(trial), material.n("ending", trial)] for trial in list(endings)[:MOST_ROWS]]
    more = f", the first {MOST_ROWS} of {len(endings):,}" if len(endings) > MOST_ROWS else ""
    return table(["trial", "it diverged:"], rows, f"Trials that diverged{more}")


def _failed(material: Material) -> Inner:
    failed = material.results.trials.query("state == 'failed'")
    if failed.empty:
        return None
    if "error" not in failed:
        return paragraph(material.counted("trial", "count", "failed"), " failed; the table doesn't say why.")
    errors = failed["error"].value_counts(sort=True)
    first = failed.drop_duplicates("error").set_index("error")["trial"]
    rows: list[list[Inner]] = [
        [material.n("failures", place), str(first[error]), str(error).strip()[:500] or "its error is not known"]
        for place, error in enumerate(errors.index[:MOST_ROWS])
    ]
    return table(["trials", "the first", "error"], rows, "Trials that failed, by their error", [0, 1])


def the_net_inside(material: Material) -> Inner:
    """Show pictures of the best net."""
    if not material.inside.figures:
        material.left_out.append(("The best net inside", material.inside.why_none))
        return None
    return [
        paragraph(
            "All is measured on the validation part; the command ",
            tag("code", "tune-mlp explain"),
            " draws more of this net.",
        ),
        *(placed(material, figure) for figure in material.inside.figures),
    ]
