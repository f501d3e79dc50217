"""The options that choose a study and change it; `search` and `plan` take the same ones."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tune_mlp.data_settings import DataSettings
from tune_mlp.study.settings import Resources, Scheduler, Search, Until
from tune_mlp.study.study import Override, Study

OPTIONS = {
    "--trials": "trials",
    "--epochs": "epochs",
    "--scheduler": "scheduler",
    "--searcher": "search",
    "--metric": "metric",
    "--mode": "mode",
    "--cpus": "resources.cpu",
    "--gpus": "resources.gpu",
    "--concurrent": "concurrent",
    "--dataset": "data.name",
    "--engine": "engine",
    "--seed": "seed",
    "--time-budget": "time_budget",
    "--until": "until",
    "--warm-start": "warm_start",
}
"""The setting that each option changes."""


def add_study_options(parser: argparse.ArgumentParser, *, here: bool = True) -> None:
    """Add the options. Each help text is the docstring of its setting. A study that doesn't run `here` has no options that say
    where this machine finds Ray and data."""
    add = parser.add_argument
    add(
        "--space",
        required=True,
        metavar="NAME|FILE.yaml",
        help="The name of a shipped space, or a study file of your own.",
    )
    add("--trials", type=int, metavar="N", help=_sentence("trials"))
    add("--epochs", type=int, metavar="N", help=_sentence("epochs"))
    add("--scheduler", metavar="|".join(Scheduler.model_fields), help=_sentence("scheduler"))
    add("--searcher", metavar="|".join(Search.model_fields), help=_sentence("search"))
    add("--metric", metavar="NAME", help=_sentence("metric"))
    add("--mode", metavar="min|max", help=_sentence("mode"))
    add("--cpus", type=float, metavar="F", help=f"A trial's {Resources.model_fields['cpu'].description}")
    add("--gpus", type=float, metavar="F", help=f"A trial's {Resources.model_fields['gpu'].description}")
    add("--concurrent", type=int, metavar="N", help=_sentence("concurrent"))
    if here:
        add(
            "--address",
            metavar="auto|ADDR",
            help="The address of a running Ray cluster; without it, Ray is started on this machine.",
        )
    add(
        "--dataset",
        metavar="NAME",
        help=f"Train on this dataset, and on no stand-in for it: {DataSettings.model_fields['name'].description}",
    )
    if here:
        add("--data-dir", type=Path, metavar="DIR", help="The folder in which datasets are looked for first.")
    add("--engine", metavar="auto|eager|compiled", help=_sentence("engine"))
    add("--seed", type=int, metavar="N", help=_sentence("seed"))
    add("--time-budget", metavar="10m", help=_sentence("time_budget"))
    add("--until", metavar="|".join(Until.model_fields), help=_sentence("until"))
    add("--warm-start", metavar="RUN|TABLE", help=_sentence("warm_start"))
    add(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="Change any setting, after the other options: lr=0.01 fixes a parameter, data.normalize=unit changes a setting. Can be given several times.",
    )


def _sentence(setting: str) -> str:
    text = Study.model_fields[setting].description or ""
    return text.replace("%", "%%")


def named_study(args: argparse.Namespace) -> Study:
    """Load the study that a command line names, with the changes that it asks for."""
    return Study.load(args.space, args.set, overrides(args))


def overrides(args: argparse.Namespace) -> list[Override]:
    """Return the options that were given as overrides of settings; a command may lack some of the options."""
    found: list[Override] = []
    for option, path in OPTIONS.items():
        value = getattr(args, option.removeprefix("--").replace("-", "_"), None)
        if value is not None:
            found.append((path.split("."), value, " ".join(f"{option} {value}".split())))
    if getattr(args, "no_report", False):
        found.append((["report"], False, "--no-report"))
    if args.dataset is not None:
        found.append((["data", "offline"], None, f"--dataset {args.dataset}"))
    if getattr(args, "metric", None) is not None and args.mode is None:
        found.append((["mode"], None, f"--metric {args.metric}"))
    return found


def changes(args: argparse.Namespace) -> list[str]:
    """Return all changes that a command line asks for as texts PATH=VALUE, in the order in which they are applied."""
    return [*(f"{'.'.join(path)}={json.dumps(value)}" for path, value, _ in overrides(args)), *args.set]
