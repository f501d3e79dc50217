"""The method of a search as prose, as it could stand in a paper: data, space, search, judgement, seeds, machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_mlp.report.domain_words import domains
from tune_mlp.report.markup import Inner, Markup
from tune_mlp.report.material import Material, paragraph, table
from tune_mlp.report.numbers import split_sizes
from tune_mlp.results.answer import listed
from tune_mlp.results.results import DATA_FRAME, Results

SCALED = {
    "unit": "scaled to lie between 0 and 1",
    "symmetric": "scaled to lie between -1 and 1",
    "standard": "scaled to mean 0 and standard deviation 1 over the training part",
    "per_sample": "scaled to mean 0 and standard deviation 1 within each sample",
}
MISSING = {
    "fill": "Missing values were filled in with the training part's median, and missing text is a category of its own. ",
    "indicate": "Missing values were filled in, and an input of its own says where. ",
    "drop": "Rows with a missing value were left out. ",
}
MOST_PARAMETERS = 40
"""The rows of the table of parameters."""


def the_method(material: Material) -> Inner:
    """Describe how the results came about; of a table alone little is known."""
    if not material.is_run:
        return _of_a_table(material)
    parts = [_data, _preparation, _space, _search, _scheduler, _budget, _judged, _test, _seeds, _machine]
    return [part(material) for part in parts]


def _of_a_table(material: Material) -> Inner:
    for what in ("data", "preprocessing", "search", "scheduler", "seeds", "machine and versions"):
        material.left_out.append((f"The {what}", "a table of trials doesn't say it"))
    source, metric, mode = material.results.source, material.results.metric, material.results.mode
    said = paragraph(
        f"This report was made from {source if source == DATA_FRAME else f'the table {source}'} alone. It holds ",
        material.counted("trial", "count"),
        " with ",
        material.counted("parameter", "parameters"),
        f" that vary. A trial's score is its {metric}; the {LARGEST[mode]} is best.",
    )
    return [said, _parameters(material)]


LARGEST = {"max": "largest", "min": "smallest"}


def _data(material: Material) -> Markup:
    dataset, data = material.results.manifest.get("dataset", {}), material.setting("data", {})
    name = str(material.results.trials.attrs["dataset"])
    if not dataset:
        return paragraph(
            f"The samples are those of {name}. The run's folder has no run.json, which would say more.",
            _stand_in(material),
        )
    said: list[Inner] = [
        f"The samples are those of {name}: ",
        material.n("fact", "manifest", "dataset.samples"),
        " to learn from",
    ]
    sizes = split_sizes(material.evidence)
    if sizes["all"] < dataset["samples"]:
        said += [", of which ", material.n("split", "all"), " were chosen at random"]
    said += [", with ", material.counted("input", "fact", "manifest", "dataset.features")]
    task = material.evidence.facts["task"]
    if task == "classification":
        said += [" and ", material.n("fact", "journal", "classes"), " classes"]
    if dataset.get("test_samples"):
        said += [", and ", material.n("split", "test"), " in the test part"]
    else:
        said += ["; there is no test part"]
    if target := data.get("target"):
        said += [f". The target is {target}"]
    how = ", with each class in its share," if data.get("stratify") else ""
    if data.get("group"):
        how = f", with all rows of one {data['group']} in the same part,"
    if data.get("order"):
        how = f", the last ones by {data['order']},"
    said += [f", and the task is {task}. " if target else f". The task is {task}. "]
    if "folds" in sizes:
        said += [
            "Trials were judged by cross-validation",
            how,
            " with ",
            material.n("split", "folds"),
            " folds: a trial trains a net for each, and its figures are their means.",
        ]
    elif "validation" in sizes:
        where = "from the end" if isinstance(data.get("validation"), dict) else "at random"
        said += [
            "A validation part of ",
            material.n("split", "validation"),
            f" samples was held out {where if not data.get('order') else ''}".rstrip(),
            how.rstrip(","),
            ", and each net was trained on the other ",
            material.n("split", "train"),
            ".",
        ]
    elif data.get("validation") is not None:
        said += [
            "A validation part of ",
            material.n("fact", "study", "data.validation"),
            " of the samples was held out",
            how.rstrip(","),
            ".",
        ]
    return paragraph(*said, _stand_in(material))


def _stand_in(material: Material) -> str:
    """Say that the data aren't those that were asked for, where they aren't."""
    name = material.results.stand_in_for
    return (
        f" These data stand in for {name}, which couldn't be had: nothing here is a result about {name}."
        if name
        else ""
    )


def _preparation(material: Material) -> Markup | None:
    data = material.setting("data", {})
    if not data:
        return None
    scale = {"robust": "by median and quartiles", "quantile": "by rank to a normal distribution"}.get(
        data.get("scale") or ""
    )
    said: list[Inner] = [
        f"Numbers were scaled {scale} over the training part. "
        if scale
        else f"Inputs were {SCALED.get(data.get('normalize', ''), 'not scaled')}. "
    ]
    said.append(MISSING.get(data.get("missing", ""), ""))
    if material.evidence.facts["task"] == "regression" and data.get("scale_target"):
        said.append(
            "Targets were scaled to mean 0 and standard deviation 1 for training, and errors are given in the target's own unit. "
        )
    notes = material.results.manifest.get("dataset", {}).get("notes", [])
    return paragraph(*said, *(f"{note[:1].upper()}{note[1:]}. ".replace(".. ", ". ") for note in notes))


def _space(material: Material) -> Inner:
    fixed = [name for name, words in domains(material.results.study).items() if words.startswith("fixed")]
    said: list[Inner] = [
        "Each trial trains a multilayer perceptron" if "model" not in fixed else "Each trial trains a net"
    ]
    said += [
        " whose settings are drawn anew. ",
        material.counted("parameter", "parameters"),
        " varied; what isn't in the table kept its default.",
    ]
    return [paragraph(*said), _parameters(material)]


def _parameters(material: Material) -> Markup:
    """Show each parameter with its domain and with what was tried."""
    words = domains(material.results.study)
    names = list(dict.fromkeys([*words, *material.results.parameters]))
    tried = set(material.results.parameters) & set(material.results.trials.columns)
    rows: list[list[Inner]] = []
    for name in names[:MOST_PARAMETERS]:
        row: list[Inner] = [name, *([material.n("domain", name) if name in words else ""] if words else [])]
        rows.append([*row, material.n("tried", name) if name in tried else ""])
    headings: list[Inner] = ["parameter", *(["drawn from"] if words else []), "values that were tried"]
    more = f", the first {MOST_PARAMETERS} of {len(names):,}" if len(names) > MOST_PARAMETERS else ""
    return table(headings, rows, f"The parameters{more}")


def _search(material: Material) -> Markup:
    name, settings = _choice(material.setting("search"))
    ways: dict[str, Inner] = {
        "random": "Parameters were drawn at random, independently of each other.",
        "grid": "The search went through a grid of all combinations, in order.",
        "tpe": [
            "Parameters were drawn by Optuna's tree-structured Parzen estimator, which learns from earlier trials, after ",
            material.n("fact", "study", "search.tpe.startup") if settings else "some",
            " random draws.",
        ],
        "gp": [
            "Parameters were drawn by Optuna's Gaussian process, where it expects the largest improvement, after ",
            material.n("fact", "study", "search.gp.startup") if settings else "some",
            " random draws.",
        ],
        "cmaes": "Parameters were drawn by CMA-ES, an evolution strategy, in Optuna.",
        "nsga2": "Parameters were drawn by NSGA-II in Optuna, an evolution of the trials on the Pareto front.",
        "qmc": "Parameters were drawn quasi-randomly, from a scrambled Sobol sequence.",
    }
    return paragraph(ways.get(name, "How parameters were drawn isn't recorded."))


def _scheduler(material: Material) -> Markup:
    name, _ = _choice(material.setting("scheduler"))

    def of(member: str) -> Markup:
        return material.n("fact", "study", f"scheduler.{name}.{member}")

    ways: dict[str, Any] = {
        "asha": lambda: ["Asynchronous successive halving (ASHA) stopped trials early: from epoch ", of("grace_period"), " on, at each milestone one trial in ", of("reduction_factor"), " went on, and each milestone is ", of("reduction_factor"), " times the one before."],
        "promotion_asha": lambda: ["Asynchronous successive halving in its first form (promotion ASHA) paused trials: at epoch ", of("grace_period"), " for the first time, and at each milestone, which is ", of("reduction_factor"), " times the one before; one trial in ", of("reduction_factor"), " went on from where it was."],
        "pasha": lambda: ["Progressive ASHA (PASHA) paused trials: at epoch ", of("grace_period"), " for the first time, and at each milestone, which is ", of("reduction_factor"), " times the one before; one trial in ", of("reduction_factor"), " went on, and the largest milestone grew only while the two largest ranked their trials differently, by more than the noise of the curves."],
        "top_k": lambda: ["All trials were compared after ", material.counted("epoch", "fact", "study", "scheduler.top_k.after"), ", and the best ", of("keep"), " of them were trained to the end."],
        "hyperband": lambda: ["HyperBand stopped trials early, in several brackets; each halving let one trial in ", of("reduction_factor"), " go on."],
        "median": lambda: ["The median rule stopped a trial whose best score was worse than the median of the other trials' running means, from epoch ", of("grace_period"), " on and with at least ", of("min_samples"), " others to compare with."],
        "pbt": lambda: ["Population-based training compared the trials every ", of("interval"), " epochs; the worst ", of("quantile"), " took over the weights of the best, and their settings with small changes. A trial's parameters are those that it had last."],
        "fifo": lambda: ["No scheduler stopped trials early."],
    }  # fmt: skip
    said: list[Inner] = ways[name]() if name in ways else ["How trials were stopped isn't recorded."]
    if material.setting("patience"):
        said += [
            " A trial ended after ",
            material.counted("epoch", "fact", "study", "patience"),
            " without improvement.",
        ]
    return paragraph(*said)


def _budget(material: Material) -> Markup:
    said: list[Inner] = ["The budget was "]
    if material.setting("trials"):
        said += [material.counted("trial", "fact", "study", "trials"), " of at most "]
    said += [material.counted("epoch", "fact", "journal", "epochs"), " each"]
    if material.setting("time_budget"):
        said += [", and ", material.n("fact", "study", "time_budget"), " of time for all trials"]
    said += [". ", material.counted("trial", "count"), " were drawn" if material.value("count") != 1 else " was drawn"]
    if material.evidence.running:
        said += [" so far: the search was still going on when this page was written"]
    elif material.results.manifest.get("state") == "interrupted":
        said += [" until the search was interrupted"]
    return paragraph(*said, ".", *_plateau(material))


def _plateau(material: Material) -> list[Inner]:
    """Say what the search foresaw of more trials, and whether that ended the draws."""
    estimated = material.results.manifest.get("plateau")
    if not isinstance(estimated, dict):
        return []

    def of(member: str) -> Markup:
        return material.n("fact", "manifest", f"plateau.{member}")

    upper = "high" if estimated["high"] >= estimated["latest"] else "latest"
    ended = estimated["ends"]
    said: list[Inner] = [" After ", of("trials"), " trials, as many again were expected to bring about ", of("gain")]
    said += [f" in {material.results.metric} (", of("low"), " to ", of(upper), ")"]
    said += [", less than the " if ended else "; no plateau was reached, where ", of("small")]
    return [*said, " called small, and so no further trial was begun." if ended else " is called small."]


def _judged(material: Material) -> Markup:
    results = material.results
    return paragraph(
        f"A trial's score is its {results.metric} in its best epoch; the {LARGEST[results.mode]} is best. ",
        "Of equal scores the lower validation loss is better, then the smaller net.",
        _goals(results),
    )


def _goals(results: Results) -> str:
    """Say which goals a study has beside its metric, if it has several."""
    if not results.goals:
        return ""
    further = listed([f"{goal.name}, of which the {LARGEST[goal.mode]} is best" for goal in results.goals[1:]])
    return f" Further goals were {further}; they count for the Pareto front, and for a scheduler and a search that know of it."


def _test(material: Material) -> Markup:
    looks = material.results.looks
    if not looks:
        return paragraph("Nothing was measured on the test part.")
    who = "All trials were" if material.setting("tested") == "all" else "The best trial alone was"
    said: list[Inner] = [f"{who} measured on the test part, with the weights of the best epoch. "]
    retrain = material.setting("retrain")
    if retrain:
        nets = "a net was" if retrain is True else f"{retrain} nets were"
        said += [f"For it {nets} trained anew on the training and validation parts together. "]
    return paragraph(*said, "In all the test part was looked at ", material.counted("time", "looks"), ".")


def _seeds(material: Material) -> Markup:
    said: list[Inner] = [
        "All random numbers derive from the seed ",
        material.n("fact", "journal", "seed"),
        ": the split, the draws, the weights and the order of samples. ",
    ]
    seeds = material.setting("seeds", 1)
    if seeds == 1:
        said += ["Each configuration was trained from one seed."]
    else:
        said += [
            "Each configuration was trained from ",
            material.n("fact", "study", "seeds"),
            " seeds, and its figures are their means.",
        ]
    repeatable = material.results.manifest.get("repeatable", {})
    if repeatable.get("draws"):
        said += [" The same study draws the same configurations again."]
    elif repeatable:
        said += [f" The draws aren't repeatable: {repeatable['why']}."]
    return paragraph(*said)


def _machine(material: Material) -> Inner:
    manifest = material.results.manifest
    if not manifest:
        return None
    machine, engine, resources = manifest.get("machine", {}), manifest.get("engine", {}), manifest.get("resources", {})
    said: list[Inner] = []
    if engine:
        said += [f"Nets were trained by the {engine['name']} engine ({engine.get('why', '')})"]
    if machine:
        said += [
            f" on {machine.get('processor') or 'an unknown processor'} with ",
            material.counted("core", "fact", "manifest", "machine.cores"),
            f" under {machine.get('system', '')}",
        ]
    if resources.get("concurrent"):
        said += [
            ", at most ",
            material.counted("trial", "fact", "manifest", "resources.concurrent"),
            " at once, each with ",
            material.counted("CPU core", "fact", "manifest", "resources.cpu"),
        ]
        if resources.get("gpu"):
            said += [" and ", material.counted("GPU", "fact", "manifest", "resources.gpu")]
    nodes = resources.get("nodes", [])
    if len(nodes) > 1:
        said += [f", on a cluster of {len(nodes)} nodes"]
    said += [f". The search began at {manifest['started']}" if "started" in manifest else ""]
    if manifest.get("seconds"):
        said += [" and took ", material.n("fact", "manifest", "seconds")]
    versions = manifest.get("versions")
    return [paragraph(*said, "."), paragraph("Versions: ", material.n("versions"), ".") if versions else None]


def _choice(raw: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a choice such as the scheduler, and its settings."""
    if isinstance(raw, str):
        return raw, {}
    if isinstance(raw, Mapping) and raw:
        name = next(iter(raw))
        return str(name), raw[name] or {}
    return "", {}
