"""The figures of the published studies, each with the experiment that it is drawn from and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tune_mlp.charts.figure import Figure
from tune_mlp.charts.figure_files import file_names, write_figure
from tune_mlp.charts.net_figures import NET_FIGURES
from tune_mlp.charts.net_pictures import activations_figure, softmax_figure
from tune_mlp.charts.search_figures import search_figure
from tune_mlp.charts.weights_compared import configuration_weights
from tune_mlp.errors import RunError
from tune_mlp.explain.data_source import DataSource
from tune_mlp.explain.trained_net import TrainedNet, open_net
from tune_mlp.results.results import Results
from tune_mlp.training.threads import threads

FOLDER = "figures"
"""The folder of the pictures beside the page of `tune-mlp reproduce`."""


class Subject(NamedTuple):
    """The run of an experiment, and its winner's net, which is opened when the first figure needs it."""

    results: Results
    net: Callable[[], TrainedNet]
    source: DataSource


class PublishedFigure(NamedTuple):
    """One figure of a published study."""

    study: str
    experiment: str
    number: str
    """Its number in the publication, such as `Figure 3`."""
    shows: str
    """What the publication shows in it."""
    drawn_by: str
    """What draws it from the experiment's run, for a person: a command, or a line of Python."""
    draw: Callable[[Subject], Figure | None]


def _search(study: str, experiment: str, number: str, shows: str, name: str, only: str = "") -> PublishedFigure:
    """Describe a figure of a search; `only` names one of its configurations."""
    line = f"results.plot.{name}()" if not only else f"results.plot.{name}() of `{only}`"
    return PublishedFigure(
        study, experiment, number, shows, line, lambda s: search_figure(_only(s.results, only), name)
    )


def _net(study: str, experiment: str, number: str, shows: str, name: str) -> PublishedFigure:
    """Describe a figure of the winner's net."""
    return PublishedFigure(
        study, experiment, number, shows, f"tune-mlp explain RUN ({name})", lambda s: NET_FIGURES[name](s.net())
    )


def _only(results: Results, experiment: str) -> Results:
    """Return the results of one configuration alone."""
    if not experiment:
        return results
    kept = {trial: drawn for trial, drawn in results.params.items() if drawn.get("experiment") == experiment}
    trials, epochs = (table[table["trial"].isin(kept)] for table in (results.trials, results.epochs))
    return replace(results, trials=trials, epochs=epochs, params=kept)


PAIR = ("4", "9")
"""The classes of the samples that the study of Padova looks into."""
FIGURES: tuple[PublishedFigure, ...] = (
    _net("cs587_digits", "base", "Figure 1", "the computational graph of the net", "layers"),
    _search("cs587_digits", "base", "Figure 2", "the training loss over iterations", "loss_by_step"),
    _search("cs587_digits", "base", "Figure 2", "loss and accuracy over epochs", "configurations"),
    _search(
        "cs587_digits",
        "four_ways",
        "Figure 3",
        "loss and accuracies of four configurations over epochs",
        "configurations",
    ),
    PublishedFigure(
        "cs587_digits",
        "four_ways",
        "Figures 4 and 5",
        "the weights of the hidden and of the output layer across configurations",
        "tune-mlp reproduce cs587_digits --only four_ways",
        lambda s: configuration_weights(s.results, s.source),
    ),
    _search("earin_mnist_asha", "search", "Figure 4.1", "accuracy by epoch of each trial", "learning_curves"),
    _search("earin_mnist_asha", "best", "Figure 4.2", "the loss of every step, by epoch", "loss_by_step"),
    _net("padova_mnist_random", "winner", "Figure 1", "an element of the dataset", "samples"),
    _search("padova_mnist_random", "winner", "Figure 2", "the learning curve of the winner", "configurations"),
    _net(
        "padova_mnist_random", "winner", "Figure 3", "receptive fields of the last layer's neurons", "receptive_fields"
    ),
    _net(
        "padova_mnist_random",
        "winner",
        "Figure 4",
        "pictures that maximise the last layer's neurons",
        "gradient_ascent",
    ),
    _search(
        "ucsd_mnist", "ablations", "Figure 1", "softmax regression: loss and accuracy", "configurations", "softmax"
    ),
    _search("ucsd_mnist", "ablations", "Figure 2", "momentum: loss and accuracy", "configurations", "tanh"),
    _search("ucsd_mnist", "ablations", "Figure 3", "L2 of 0.01: loss and accuracy", "configurations", "l2"),
    _search("ucsd_mnist", "ablations", "Figure 4", "sigmoid: loss and accuracy", "configurations", "sigmoid"),
    _search("ucsd_mnist", "ablations", "Figure 5", "ReLU: loss and accuracy", "configurations", "relu"),
    _search("hw1_regression", "grid", "Figure 1", "the results of the grid search (a table)", "configurations"),
    _search("hw1_mnist_fc", "grid", "Figure 2", "the results of the grid search (a table)", "configurations"),
    _search("hw1_mnist_fc", "final", "Figure 3", "the losses of the best net", "configurations"),
    _search("hw1_mnist_fc", "optimisers", "Figure 4", "the training loss with different optimisers", "configurations"),
    _net("hw1_mnist_fc", "final", "Figure 5", "histograms of the weights of all layers", "weight_histograms"),
    _search("hw1_mnist_fc", "inits", "Figure 6", "the net with different initial weights", "configurations"),
    PublishedFigure(
        "hw1_mnist_fc",
        "final",
        "Figure 7",
        "layer activations of two 4s and a 9",
        "tune-mlp explain RUN (activations)",
        lambda s: activations_figure(s.net(), PAIR),
    ),
    _net("hw1_mnist_fc", "final", "Figure 8", "the feature space of the second-last layer, by t-SNE", "embedding"),
    PublishedFigure(
        "hw1_mnist_cnn",
        "final",
        "Figure 9",
        "the softmax of the 4 that seems a 9",
        "tune-mlp explain RUN (softmax)",
        lambda s: softmax_figure(s.net(), PAIR),
    ),
    _net("hw1_mnist_cnn", "final", "Figures 10 and 11", "the kernels of both convolutions", "kernels"),
    _net("hw1_mnist_cnn", "final", "Figures 12 and 13", "the activations of both convolutions", "feature_maps"),
)
"""All figures, study by study, in the order of the publications."""


class DrawnFigure(NamedTuple):
    """A figure that was written."""

    figure: PublishedFigure
    finding: str
    html: str
    files: tuple[str, ...]
    """Its files, in relation to the page."""


def draw_published(
    study: str, experiment: str, results: Results, folder: Path, data_dir: Path | None
) -> list[DrawnFigure]:
    """Draw the figures that a publication shows of an experiment, and write them into `folder`/figures."""
    wanted = [figure for figure in FIGURES if (figure.study, figure.experiment) == (study, experiment)]
    if not wanted:
        return []
    source = DataSource(data_dir)
    opened: list[TrainedNet] = []

    def net() -> TrainedNet:
        if not opened:
            opened.append(open_net(results, source=source))
        return opened[0]

    place = folder / FOLDER
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"can't make the folder {place}: {error.strerror or error}") from None
    drawn: list[DrawnFigure] = []
    with threads(1):
        for figure in wanted:
            found = figure.draw(Subject(results, net, source))
            if found is None or (found.chart is None and not found.images):
                continue
            found = replace(found, title=f"{figure.number}: {figure.shows}")
            prefix = f"{study}-{figure.number.lower().replace(' ', '-')}-"
            html = write_figure(place, found, prefix)
            files = tuple(f"{FOLDER}/{prefix}{name}" for name in file_names(found))
            drawn.append(DrawnFigure(figure, found.finding, html, files))
    return drawn


def figures_html(drawn: Sequence[DrawnFigure]) -> str:
    """Return what shows figures on the page, each with a link to its file."""
    return "\n".join(
        one.html.replace("</section>", f'<p class="note"><a href="{one.files[0]}">{one.files[0]}</a></p></section>')
        for one in drawn
    )


def figures_markdown(drawn: Sequence[DrawnFigure]) -> str:
    """Return links to the figures, in one line of Markdown; empty where there are none."""
    links = ", ".join(f"[{one.figure.number}]({one.files[0]})" for one in drawn)
    return f"{LINKS}{links}." if links else ""


LINKS = "Figures: "
"""The beginning of the line of links to figures, which the page in docs/ doesn't have."""


def figures_table() -> str:
    """Return the list of all figures with what draws each, in Markdown."""
    lines = ["| study | figure | shows | experiment | drawn by |", "| --- | --- | --- | --- | --- |"]
    study = ""
    for one in FIGURES:
        name, study = ("" if one.study == study else one.study), one.study
        drawn_by = one.drawn_by if "`" in one.drawn_by else f"`{one.drawn_by}`"
        lines.append(f"| {name} | {one.number} | {one.shows} | {one.experiment} | {drawn_by} |")
    return "\n".join(lines) + "\n"


def by_study(drawn: Sequence[DrawnFigure]) -> Mapping[str, list[DrawnFigure]]:
    """Return the figures by the name of their study."""
    found: dict[str, list[DrawnFigure]] = {}
    for one in FIGURES:
        found.setdefault(one.study, []).extend(each for each in drawn if each.figure is one)
    return {study: figures for study, figures in found.items() if figures}
