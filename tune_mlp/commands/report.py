"""The word `report`: writes the report of a run or of a table, or works out the numbers of one again."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tune_mlp.commands.arguments import (
    TABLE_ENDINGS,
    AddWord,
    add_answer_format,
    add_data_source,
    add_run_or_table,
    results_of,
    show,
)
from tune_mlp.errors import RunError, UsageError

PAGE_ENDINGS = (".html", ".htm")
EXAMPLE = """\
examples:
  tune-mlp report runs/mnist_asha-20260101-120000
  tune-mlp report trials.csv --metric accuracy --output report.html
  tune-mlp report runs/mnist_asha-20260101-120000 --live
  tune-mlp report --verify runs/mnist_asha-20260101-120000/report.html
"""


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "report",
        _report,
        "Write the report of a run or of a table of trials: one HTML page with the answer, the method, pictures and all trials. With "
        "--verify, name a page, or the run that it is of: its numbers are worked out again, with exit status 1 where one differs.",
        EXAMPLE,
    )
    add_run_or_table(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.html",
        help="The page to write (default: report.html in the run's folder; NAME.report.html beside a table).",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="Work out every number of a written page again from the table that it holds.",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="Write the page anew every few seconds until the run has ended, or until Ctrl-C.",
    )
    add_data_source(parser)
    add_answer_format(parser)


def _report(args: argparse.Namespace) -> None:
    """Write the page, or verify one."""
    is_page = args.run.lower().endswith(PAGE_ENDINGS)
    is_table = args.run.lower().endswith(TABLE_ENDINGS)
    if args.verify:
        _refuse(args, "--verify", ("output", "live", "metric", "mode", "params", "data_dir", "dataset"))
        _verify(args, is_page, is_table)
        return
    if is_page:
        raise UsageError(f"{args.run}: is a page; with --verify its numbers are worked out again")
    if args.to != "text":
        raise UsageError("--to: goes with --verify alone; a report is an HTML page")
    if is_table:
        _refuse(args, "a table, which holds no net", ("data_dir", "dataset"))
    if args.live and is_table:
        raise UsageError(f"--live: {args.run} is a table, which doesn't go on; name a run")
    _check_output(args.output)
    from tune_mlp.explain.data_source import DataSource  # late: pandas, altair
    from tune_mlp.report.write import write_report, write_while_it_runs

    output, source = args.output, DataSource(args.data_dir, tuple(args.dataset))
    if is_table and output is None:
        output = Path(args.run).with_suffix(".report.html")
    if args.live:
        where = write_while_it_runs(lambda: results_of(args), output, source=source)
    else:
        where = write_report(results_of(args), output, source=source)
    print(f"wrote {where}")


def _refuse(args: argparse.Namespace, option: str, others: tuple[str, ...]) -> None:
    given = next((name for name in others if getattr(args, name)), None)
    if given:
        raise UsageError(f"--{given.replace('_', '-')}: doesn't go with {option}")


def _check_output(output: Path | None) -> None:
    """Refuse a page that can't be written, before the work is done."""
    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"--output {output}: is a folder, give a file")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}")
    if not os.access(output if output.exists() else output.absolute().parent, os.W_OK):
        raise UsageError(f"--output {output}: can't be written")


def _verify(args: argparse.Namespace, is_page: bool, is_table: bool) -> None:
    from tune_mlp.report.verify import verify  # late: pandas, altair
    from tune_mlp.report.write import REPORT
    from tune_mlp.results.results import Results

    if is_page:
        path = Path(args.run)
    elif is_table:
        path = Path(args.run).with_suffix(".report.html")
    else:
        path = Results.load(args.run).path / REPORT
    if not path.is_file():
        raise UsageError(f"{path}: there is no such report")
    answer = verify(path)
    show(args, answer)
    if answer.facts["differ"]:
        raise RunError(f"{path}: {answer.sentence}")
