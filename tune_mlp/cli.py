"""The command `tune-mlp WORD`: the search, and all that can be asked of a run and of the package."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from tune_mlp.command_line import command_line
from tune_mlp.commands.arguments import add_address, add_answer_format, add_run, request_of
from tune_mlp.commands.server_arguments import add_token_file, client_of
from tune_mlp.console.terminal import HelpFormatter, OneLineParser, guarded, leave, make_console
from tune_mlp.errors import Interrupted, RunError, StudyError, UsageError
from tune_mlp.search import DESCRIPTION, add_search_options, search
from tune_mlp.search import EXAMPLE as SEARCH_EXAMPLE
from tune_mlp.space.files import copy_shipped, read_file, shipped, shipped_text
from tune_mlp.version import __version__

FORMATS = ("csv", "parquet", "json", "xlsx", "markdown", "onnx", "optuna", "tensorboard", "mlflow")
"""The formats of `tune-mlp export`."""
TABLES = ("trials", "epochs", "steps", "changes")
"""The tables of a run that can be exported."""

ANSWERS = (
    "importance",
    "compare",
    "confirm",
    "why",
    "audit",
    "replay",
    "regret",
    "advise",
    "explain",
    "report",
)
"""The words that answer questions about a run, each a module of `tune_mlp.commands`."""

SERVICE = ("serve", "submit", "list", "watch", "stop")
"""The words that run a service or talk to one, each a module of `tune_mlp.commands`."""

EXAMPLE = """\
examples:
  tune-mlp spaces
  tune-mlp data measurements.csv --write my_study.yaml
  tune-mlp search --space mnist_asha
  tune-mlp plan --space mnist_asha --trials 100
  tune-mlp export runs/digits_quick-20260101-120000 --to xlsx
  tune-mlp predict runs/my_study-20260101-120000 new.csv --proba
  tune-mlp resume runs/digits_quick-20260101-120000
  tune-mlp why runs/digits_quick-20260101-120000 7
  tune-mlp audit runs/digits_quick-20260101-120000
  tune-mlp doctor --address auto --out /shared/runs
  tune-mlp schema > study.schema.json
  tune-mlp reproduce cs587_digits --quick

`tune-mlp WORD --help` explains a word. `python -m tune_mlp.search` is `tune-mlp search`.
"""

EXPORT_EXAMPLE = """\
examples:
  tune-mlp export runs/my_study-20260101-120000 --to xlsx
  tune-mlp export runs/my_study-20260101-120000 --to optuna --output sqlite:///study.db && optuna-dashboard sqlite:///study.db
  tune-mlp export runs/my_study-20260101-120000 --to tensorboard --output curves && tensorboard --logdir curves
  tune-mlp export runs/my_study-20260101-120000 --to mlflow --output sqlite:///mlflow.db
  mlflow ui --backend-store-uri sqlite:///mlflow.db
"""


def _spaces(args: argparse.Namespace) -> None:
    """List the shipped spaces, print one, or copy it with its table."""
    if args.copy is not None:
        if args.name is None:
            raise UsageError("--copy: name the space to copy")
        copies = copy_shipped(args.name, args.copy)
        print(f"copied to {' and '.join(map(str, copies))}; next: {command_line('search', '--space', copies[0])}")
        return
    if args.name is not None:
        print(shipped_text(args.name), end="")
        return
    known = shipped()
    width = max(map(len, known), default=0)
    for name, path in known.items():
        try:
            description = read_file(path).tree.get("description", "")
        except StudyError as error:
            description = f"can't be read: {error}"
        print(f"{name:{width}}  {' '.join(str(description).split())}")


def _data(args: argparse.Namespace) -> None:
    """Show what would be learnt from a table."""
    from tune_mlp.console.table_view import show_table  # pandas takes 0.4 s to import

    show_table(make_console(), args.source, args.target, args.write, args.to)


def _export(args: argparse.Namespace) -> None:
    """Write one of a run's tables, or its winner, in the format that was asked for."""
    from tune_mlp.console.run_export import Asked, export_run  # pandas takes 0.4 s to import

    export_run(args.run, args.to, Asked(args.what, args.output, args.name))


def _predict(args: argparse.Namespace) -> None:
    """Answer for new samples with a run's winner."""
    from tune_mlp.console.prediction_view import predict  # late: torch, pandas

    predict(make_console(), args.run, args.data, args.output, args.proba, args.to)


def _resume(args: argparse.Namespace) -> None:
    """Continue a run."""
    from tune_mlp.console.live_view import make_display
    from tune_mlp.console.summary import show_best_so_far, show_summary
    from tune_mlp.report.after_search import ReportAtTheEnd
    from tune_mlp.results.results import find_run
    from tune_mlp.tuning.run import More, resume_study  # late: ray, pandas

    console, report = make_console(), ReportAtTheEnd()
    run = find_run(args.run)
    request = replace(request_of(args), csv=args.csv, report=report)
    display = make_display(console, quiet=False)
    try:
        results = resume_study(run, More(args.trials, args.time_budget, args.until), request, display)
    except Interrupted:
        show_best_so_far(console, display)
        raise
    from tune_mlp.insight.closing_lines import closing_lines  # scipy takes 0.1 s to import

    show_summary(console, results, args.csv, closing_lines(report.results or results))


def _plan(args: argparse.Namespace) -> None:
    """Estimate what a study will take."""
    from tune_mlp.console.study_options import named_study

    study = named_study(args)
    from tune_mlp.console.live_view import make_display
    from tune_mlp.planning.plan import plan_study  # late: ray
    from tune_mlp.planning.plan_view import show_plan

    console = make_console()
    plan = plan_study(study, args.address, args.data_dir, make_display(console, quiet=False))
    show_plan(console, plan)


def _study_options(parser: OneLineParser) -> None:
    from tune_mlp.console.study_options import add_study_options  # numpy and pydantic take 0.3 s to import

    add_study_options(parser)


def _schema(args: argparse.Namespace) -> None:
    """Print the JSON schema of study files, for editors."""
    from tune_mlp.study.schema import study_schema

    print(json.dumps(study_schema(), indent=1, ensure_ascii=False))


def _doctor(args: argparse.Namespace) -> None:
    """Check this machine, all nodes of a Ray cluster, or a running service."""
    if args.server is not None:
        from tune_mlp.service.server_checks import check_server  # late: ray, pandas, httpx

        with client_of(args) as client:
            check_server(client, make_console())
        return
    from tune_mlp.console.study_options import overrides
    from tune_mlp.doctor.doctor_view import doctor  # late: ray, pandas
    from tune_mlp.results.storage import location
    from tune_mlp.study.study import Study

    study = Study.load("mnist_asha", (), overrides(args))
    doctor(study, args.address, location(args.out), args.data_dir, make_console())


def _reproduce(args: argparse.Namespace) -> None:
    """List the published studies, or run some again."""
    if not args.names:
        from tune_mlp.published.studies import listing  # pydantic takes 0.2 s to import

        print(listing())
        return
    from tune_mlp.published.reproduce import Options, reproduce
    from tune_mlp.results.storage import ObjectStore, location

    out = location(args.out)
    if isinstance(out, ObjectStore):
        raise UsageError("--out: what is reproduced goes to a folder of this machine, not to an object store")
    options = Options(args.quick, tuple(args.only), out, args.data_dir, args.engine)
    result = reproduce(args.names, options, make_console())
    if result.failed:
        raise RunError(
            f"without a figure: {result.failed} of {len(result.table)} rows; the first, {result.first_failure}"
        )


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of `tune-mlp` and of all its words."""
    parser = OneLineParser(
        prog="tune-mlp",
        description="Hyperparameter tuning for PyTorch MLPs on Ray Tune.",
        epilog=EXAMPLE,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tune-mlp {__version__}")
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)

    def word(name: str, job: Callable[[argparse.Namespace], None], text: str, example: str = "") -> OneLineParser:
        added: OneLineParser = words.add_parser(
            name,
            help=text,
            description=text,
            epilog=example,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(job=job)
        return added

    searching = word("search", search, DESCRIPTION, SEARCH_EXAMPLE.format(prog="tune-mlp search"))
    searching.late = add_search_options
    spaces = word("spaces", _spaces, "List the shipped spaces, one on each line, or print or copy the file of one.")
    spaces.add_argument("name", nargs="?", help="The space to print.")
    spaces.add_argument(
        "--copy", type=Path, metavar="DIR", help="Copy it there in place of printing it, with its table."
    )
    data = word(
        "data",
        _data,
        "Show what would be learnt from a table: a line for each column, its warnings, the target, and proposed settings.",
    )
    data.add_argument(
        "source",
        metavar="FILE|STUDY",
        help="A CSV, Parquet or Excel file, a folder of parts, or a study that learns a table.",
    )
    data.add_argument(
        "--target", metavar="COLUMN", help="The column to predict (default: found by its name, else the last)."
    )
    data.add_argument("--write", type=Path, metavar="STUDY.yaml", help="Write a study that learns the table.")
    add_answer_format(data)
    plan = word(
        "plan", _plan, "Estimate what a search would take: time, memory, disk, and how many trials to run at once."
    )
    plan.late = _study_options
    export = word(
        "export",
        _export,
        "Write a run's table of trials, epochs or steps as CSV, Parquet, JSON, Excel or Markdown, its winner's model as ONNX, or "
        "the whole run as a study of Optuna, as runs for TensorBoard or as an experiment of MLflow.",
        EXPORT_EXAMPLE,
    )
    add_run(export)
    export.add_argument("--to", required=True, choices=FORMATS, help="The file format, or the tool that opens it.")
    export.add_argument(
        "--what",
        choices=TABLES,
        help="Which table (default: trials).",
    )
    export.add_argument(
        "--output",
        metavar="FILE|DIR|URL",
        help="The file to write, or - for the standard output (default: a file in the run's folder). For optuna and mlflow a "
        "database, as sqlite:///study.db; for tensorboard a new folder.",
    )
    export.add_argument(
        "--name",
        metavar="NAME",
        help="The name of Optuna's study or of MLflow's experiment, which the database may not have yet (default: the run's).",
    )
    predict = word(
        "predict",
        _predict,
        "Answer for new samples with the winner of a run: the rows of a table, or pictures as .npy or IDX.",
    )
    add_run(predict)
    predict.add_argument(
        "data", metavar="DATA", help="A CSV, Parquet, Excel, .npy or IDX file of samples, or a folder of parts."
    )
    predict.add_argument(
        "--output", type=Path, metavar="FILE", help="Write all answers to this .csv, .parquet, .json or .xlsx."
    )
    predict.add_argument("--proba", action="store_true", help="Add the probability of each class.")
    add_answer_format(predict)
    for module in (*ANSWERS, *SERVICE):
        importlib.import_module(f"tune_mlp.commands.{module}").add_word(word)
    reproduce = word(
        "reproduce",
        _reproduce,
        "Run published studies again and compare their figures with ours. Without a name, list the studies.",
    )
    add = reproduce.add_argument
    add(
        "names",
        nargs="*",
        metavar="NAME",
        help="The name of a published study, a study file of your own that holds claims, or `all`.",
    )
    add(
        "--quick",
        action="store_true",
        help="Run a small form that takes minutes. The figures are shown, and no claim is judged.",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="EXPERIMENT",
        help="Run only this experiment. Give the option again for more.",
    )
    add(
        "--out",
        default="runs",
        metavar="DIR",
        help="The folder for the table and the runs (default: runs/).",
    )
    add("--data-dir", type=Path, metavar="DIR", help="The folder in which datasets are looked for first.")
    add(
        "--engine",
        metavar="auto|eager|compiled",
        help="The engine that trains, in place of the one that each study names.",
    )
    resume = word(
        "resume",
        _resume,
        "Continue a run that was interrupted or whose process was lost, or add trials to one that has ended.",
    )
    add_run(resume)
    resume.add_argument("--trials", metavar="N|+N", help="The number of trials in all, or with + how many to add.")
    resume.add_argument(
        "--time-budget", metavar="10m", help="No trial trains for longer than this; counted from its first trial on."
    )
    resume.add_argument(
        "--until",
        metavar="trials|plateau",
        help="What ends the draws from now on; a run that has ended on a plateau draws on.",
    )
    add_address(resume)
    resume.add_argument("--csv", type=Path, metavar="FILE", help="Write the table of trials to this file, too.")
    doctor = word(
        "doctor",
        _doctor,
        "Check whether this machine, or each node of a Ray cluster, can run a search, or how a service does. Each line is one "
        "finding and what to do about it. Exit status: 0 no problem, 1 at least one problem, 2 bad usage.",
    )
    add = doctor.add_argument
    add(
        "--address",
        metavar="auto|ADDR",
        help="The address of a running Ray cluster to check; without it, Ray is started on this machine.",
    )
    add("--out", default="runs", metavar="DIR|URI", help="The folder or the object store for runs (default: runs/).")
    add("--data-dir", type=Path, metavar="DIR", help="The folder in which datasets are looked for first.")
    add("--dataset", metavar="NAME", help="The dataset that a search will need (default: mnist).")
    add("--cpus", type=float, metavar="F", help="The CPU cores of one trial (default: 1).")
    add(
        "--gpus",
        type=float,
        metavar="F",
        help="The GPUs of one trial, a fraction below 1 or a whole number (default: 0).",
    )
    add("--server", metavar="URL", help="Check the service at this address, and nothing else.")
    add_token_file(doctor)
    word("schema", _schema, "Print the JSON schema of study files, for editors.")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the word that the command line names; return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = make_parser().parse_args(arguments)
    args.command = ("tune-mlp", *arguments)
    return guarded(lambda: args.job(args))


def command() -> NoReturn:
    """Run `tune-mlp` as a process, and end it."""
    leave(main())
