"""Every figure of the five published studies is drawn from an experiment that runs it again."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from tests.explain.nets import searched
from tune_mlp.charts.net_figures import NET_FIGURES
from tune_mlp.charts.search_figures import SEARCH_FIGURES
from tune_mlp.published.compare import Verdict
from tune_mlp.published.experiments import Published
from tune_mlp.published.pictures import FIGURES, by_study, draw_published, figures_html, figures_markdown, figures_table
from tune_mlp.published.studies import load
from tune_mlp.published.tables import Outcome, to_frame, to_html, to_markdown
from tune_mlp.results.results import Results
from tune_mlp.training.threads import threads

PADOVA = ("hw1_regression", "hw1_mnist_fc", "hw1_mnist_cnn")
PUBLISHED_FIGURES = {
    ("cs587_digits",): [*range(1, 6)],
    ("earin_mnist_asha",): [1, 2],  # 4.1 and 4.2
    ("padova_mnist_random",): [*range(1, 5)],
    ("ucsd_mnist",): [*range(1, 6)],
    PADOVA: [*range(1, 14)],
}
"""The numbers of the figures in the publications, by the studies that run each again."""


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?:4\.)?(\d+)", text)]


@pytest.mark.parametrize("studies", PUBLISHED_FIGURES, ids=lambda studies: studies[-1])
def test_every_figure_of_a_publication_is_drawn(studies: tuple[str, ...]) -> None:
    drawn = {number for figure in FIGURES if figure.study in studies for number in numbers(figure.number)}
    assert sorted(drawn) == PUBLISHED_FIGURES[studies]


def test_each_figure_has_an_experiment_and_something_that_draws_it() -> None:
    for figure in FIGURES:
        assert figure.experiment in load(figure.study).published.experiments, figure
        if named := re.search(r"RUN \((\w+)\)", figure.drawn_by):
            assert named[1] in NET_FIGURES
        elif named := re.search(r"plot\.(\w+)\(\)", figure.drawn_by):
            assert named[1] in SEARCH_FIGURES
        else:
            assert figure.drawn_by == f"tune-mlp reproduce {figure.study} --only {figure.experiment}"


def test_what_names_one_configuration_names_one_of_the_experiment() -> None:
    space: Any = load("ucsd_mnist").study("ablations").space
    only = {named[1] for figure in FIGURES if (named := re.search(r"of `(\w+)`", figure.drawn_by))}
    assert only <= set(space["experiment"]["choice"])
    assert len(only) == 5


@pytest.fixture(scope="module")
def four_ways(tmp_path_factory: pytest.TempPathFactory) -> Results:
    study = load("cs587_digits").study("four_ways")
    return searched(
        tmp_path_factory.mktemp("runs"),
        data=study.data.model_dump(exclude_unset=True),
        space=study.space,
        trials=None,
        search="grid",
        epochs=2,
        seeds=2,
    )


def test_figures_are_written_beside_the_page_and_shown_on_it(four_ways: Results, tmp_path: Path) -> None:
    with threads(1):
        drawn = draw_published("cs587_digits", "four_ways", four_ways, tmp_path, None)
    assert [one.figure.number for one in drawn] == ["Figure 3", "Figures 4 and 5"]
    assert set(drawn[0].figure.shows.split()) >= {"four", "configurations"}
    files = [file for one in drawn for file in one.files]
    assert sorted(files) == sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "figures").iterdir())
    assert all((tmp_path / file).stat().st_size > 2000 for file in files)
    shown = by_study(drawn)["cs587_digits"]
    row = Outcome("cs587_digits", "four_ways", "x", "", "", "", "", Verdict.MET, 1.0, "tune-mlp")
    studies: dict[str, Published] = {"cs587_digits": load("cs587_digits").published}
    page = to_html(to_frame([row]), studies, "facts", {"cs587_digits": figures_html(shown)})
    assert page.index("</table>") < page.index("Figure 3: loss and accuracies of four configurations over epochs")
    assert set(re.findall(r'(?:src|srcset)="(.{5})', page)) == {"data:"}
    assert re.findall(r'href="(figures/[^"]+)"', page) == [one.files[0] for one in drawn]
    text = to_markdown(to_frame([row]), studies, "facts", {"cs587_digits": figures_markdown(shown)})
    assert text.endswith(
        "\n\nFigures: [Figure 3](figures/cs587_digits-figure-3-configurations.png), "
        "[Figures 4 and 5](figures/cs587_digits-figures-4-and-5-configuration_weights.png).\n"
    )


def test_the_weights_of_each_configuration_are_those_of_its_first_seed(four_ways: Results, tmp_path: Path) -> None:
    from tune_mlp.charts.weights_compared import configuration_weights

    figure = configuration_weights(four_ways)
    names = {"sigmoid", "sigmoid with momentum", "ReLU", "ReLU with momentum"}
    assert set(figure.data["stage"]) == names
    assert list(dict.fromkeys(figure.data["layer"])) == ["layer 1: 64 to 15", "output 2: 15 to 10"]
    assert figure.data.groupby(["stage", "layer"])["share"].sum().to_numpy() == pytest.approx(1)


def test_an_experiment_without_published_figures_draws_nothing(four_ways: Results, tmp_path: Path) -> None:
    assert draw_published("cs587_digits", "grid", four_ways, tmp_path, None) == []
    assert draw_published("mine", "four_ways", four_ways, tmp_path, None) == []
    assert list(tmp_path.iterdir()) == []


def test_the_page_in_docs_lists_every_figure_and_loses_the_links_to_pictures() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "published.md").read_text(encoding="utf-8")
    assert page.endswith(figures_table())
    spec = importlib.util.spec_from_file_location("pages", root / "docs" / "pages.py")
    assert spec
    assert spec.loader
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    first = page.index("\n## cs587_digits")
    linked = page[:first] + page[first:].replace(
        "\n\n## earin", "\n\nFigures: [Figure 1](figures/x.png).\n\n## earin", 1
    )
    assert "figures/x.png" in linked
    assert pages.with_claims(linked) == page
