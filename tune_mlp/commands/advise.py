"""`tune-mlp advise RUN|TABLE`: what to change for the next search."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tune_mlp.command_line import command_line
from tune_mlp.commands.arguments import AddWord, add_answer_format, add_run_or_table, results_of, seed, show
from tune_mlp.errors import UsageError


def add_word(word: AddWord) -> None:
    """Add the word `advise`."""
    parser = word(
        "advise",
        _advise,
        "Say what to change for the next search: ranges to extend or cut, parameters to pin, more epochs, more trials or none.",
    )
    add_run_or_table(parser)
    parser.add_argument(
        "--output", type=Path, metavar="NEXT.yaml", help="Write the next study, with a comment at each change."
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="The seed of the shuffles and resamples (default: 0)."
    )
    add_answer_format(parser)


def _advise(args: argparse.Namespace) -> None:
    from tune_mlp.insight.advice import advice  # pandas takes 0.4 s to import

    if args.output is not None and args.output.exists():
        raise UsageError(f"--output {args.output}: is there already; name another file")
    if args.output is not None and not args.output.absolute().parent.is_dir():
        raise UsageError(f"--output {args.output}: there is no folder {args.output.parent}")
    results = results_of(args)
    answer, changes = advice(results, args.seed)
    if args.output is None:
        show(args, answer)
        return
    from tune_mlp.insight.next_study import next_study  # the study's settings take 0.5 s to import
    from tune_mlp.results.export import write_aside
    from tune_mlp.runs.manifest import Manifest, check_same_study

    if results.manifest:  # advice on what was searched, and not on a study.yaml that was changed since
        check_same_study(Manifest.load(results.path))
    text = next_study(results, changes)
    write_aside(args.output, lambda aside: aside.write_text(text, encoding="utf-8"))
    show(args, answer)
    print(f"wrote {args.output}; next: {command_line('search', '--space', args.output)}", file=sys.stderr)
