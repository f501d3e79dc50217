"""The answer of `tune-mlp explain`: the figures of a trained net with what each shows, written into a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tune_mlp.charts.figure_files import check_folder, file_names, write_figures
from tune_mlp.charts.net_figures import figures_of
from tune_mlp.errors import UsageError
from tune_mlp.explain.data_source import AS_THE_RUN_SAYS, DataSource
from tune_mlp.explain.trained_net import TrainedNet, open_net
from tune_mlp.results.answer import Answer, percent
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore

FOLDER = "explain"
"""The folder of the figures within a run's."""


def explain(
    results: Results,
    trial: int | None = None,
    output: Path | None = None,
    by_epoch: bool = False,
    source: DataSource = AS_THE_RUN_SAYS,
) -> Answer:
    """Draw a net from the inside, write the figures, and return a row for each with its finding and its files."""
    folder = output or _folder(results, trial)
    net = open_net(results, trial, source)
    check_folder(folder)
    figures = figures_of(net, by_epoch=by_epoch)
    sentence, part = sentence_of(net), part_of(net)
    page = write_figures(
        folder, figures, f"{Path(results.source).name}, trial {net.trial}", (sentence, part, *net.notes)
    )
    rows = [(figure.name, figure.finding, len(names), names[0]) for figure in figures if (names := file_names(figure))]
    table = pd.DataFrame(rows, columns=["figure", "finding", "files", "first_file"])
    stand_in = f"{net.dataset.name} stood in for {results.stand_in_for}" if results.stand_in_for else ""
    return Answer(
        sentence=sentence,
        table=table,
        method=(part, f"All figures with their captions: {page}"),
        notes=tuple(note for note in (*net.notes, stand_in) if note),
        facts={"trial": net.trial, "epoch": net.epoch, "folder": str(folder), "page": str(page)},
        shown=table[["figure", "finding"]],
    )


def _folder(results: Results, trial: int | None) -> Path:
    if isinstance(results.where, ObjectStore):
        raise UsageError(
            f"{results.where}: the run lies on an object store: name a folder of this machine with --output"
        )
    return results.path / (FOLDER if trial is None else f"{FOLDER}-{trial}")


def sentence_of(net: TrainedNet) -> str:
    """Say in one sentence how good the net is."""
    n = len(net.samples.inputs)
    if net.classes:
        right = int((net.found == net.samples.wanted).sum())
        return f"Trial {net.trial}'s net of epoch {net.epoch} answers {right:,} of {n:,} validation samples rightly ({percent(right / n, 2)})."
    rmse = float(((net.found - net.samples.wanted) ** 2).mean() ** 0.5)
    return f"Trial {net.trial}'s net of epoch {net.epoch} is wrong by {rmse:.4g} on {n:,} validation samples (root mean square)."


def part_of(net: TrainedNet) -> str:
    """Say on which samples the net is explained."""
    return (
        "All is measured on the validation part, by which the search chose its winner; the test part isn't looked at."
    )
