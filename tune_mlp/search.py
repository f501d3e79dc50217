"""The main job: `python -m tune_mlp.search --space mnist_asha`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tune_mlp.config import DataSettings
from tune_mlp.terminal import OneLineParser, guarded
from tune_mlp.tuning.settings import Resources, Scheduler, Search
from tune_mlp.tuning.study import Override, Study

EXAMPLE = """\
examples:
  python -m tune_mlp.search --space mnist_asha
  python -m tune_mlp.search --space digits_quick --set lr=0.01 --set optimizer=adam --trials 10
  python -m tune_mlp.search --space my_study.yaml --time-budget 10m --csv trials.csv

`tune-mlp spaces` lists the shipped spaces. Exit status: 0 at least one trial succeeded, 1 none did or a run-time
fault, 2 bad usage, space file or data, 130 or 143 interrupted.
"""


PIPE_WIDTH = 160
"""Where there is no terminal to ask, lines are not broken at 80."""
PROG = "python -m tune_mlp.search"


def make_parser() -> argparse.ArgumentParser:
    """The options of DESIGN's contract; what a setting means is said once, beside the setting."""
    parser = OneLineParser(
        prog=PROG,
        description="Search a space of PyTorch MLPs on Ray Tune and leave a table of trials.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--space", required=True, metavar="NAME|FILE.yaml", help="A shipped space by name, or a study file of your own."
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
    add("--address", metavar="auto|ADDR", help="A running Ray to use; left out, one is started on this machine.")
    add(
        "--dataset",
        metavar="NAME",
        help=f"Learn this one, and no stand-in for it: {DataSettings.model_fields['name'].description}",
    )
    add("--data-dir", type=Path, metavar="DIR", help="Where datasets are looked for first.")
    add("--engine", metavar="auto|eager|compiled", help=_sentence("engine"))
    add("--seed", type=int, metavar="N", help=_sentence("seed"))
    add("--time-budget", metavar="10m", help=_sentence("time_budget"))
    add(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="Set anything, as often as you like: lr=0.01 pins a parameter, data.normalize=unit changes a setting.",
    )
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="Where runs are kept (default: runs/).")
    add("--name", metavar="NAME", help="The run's folder in --out; left out, SPACE-YYYYmmdd-HHMMSS.")
    add("--csv", type=Path, metavar="FILE", help="Write the table of trials there, too.")
    add("--quiet", action="store_true", help="Print the best row only.")
    return parser


def _sentence(setting: str) -> str:
    text = Study.model_fields[setting].description or ""
    return text.replace("%", "%%")


def overrides(args: argparse.Namespace) -> list[Override]:
    """The options that stand for settings, as such."""
    found: list[Override] = []
    for option, path in OPTIONS.items():
        value = getattr(args, option.removeprefix("--").replace("-", "_"))
        if value is not None:
            found.append((path.split("."), value, " ".join(f"{option} {value}".split())))
    if args.dataset is not None:
        found.append((["data", "offline"], None, f"--dataset {args.dataset}"))
    if args.metric is not None and args.mode is None:
        found.append((["mode"], None, f"--metric {args.metric}"))
    return found


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
}
"""The setting that each option stands for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = make_parser().parse_args(arguments)
    return guarded(lambda: _search(args, (*PROG.split(), *arguments)))


def _search(args: argparse.Namespace, command: tuple[str, ...]) -> None:
    study = Study.load(args.space, args.set, overrides(args))
    # Late: these import ray and pandas, which a mistake above needn't wait for.
    from rich.console import Console

    from tune_mlp.tuning.progress import make_display
    from tune_mlp.tuning.run import Request, run_study
    from tune_mlp.tuning.summary import best_line, show_summary

    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    request = Request(args.out, args.name, args.address, args.data_dir, args.csv, command)
    results = run_study(study, request, make_display(console, args.quiet))
    if args.quiet:
        console.print(best_line(results), soft_wrap=True, highlight=False)
    else:
        show_summary(console, results, args.csv)


if __name__ == "__main__":
    sys.exit(main())
