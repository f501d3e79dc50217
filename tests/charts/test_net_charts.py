"""Each figure of a net shows its arrays, says what they show, and can be drawn; a net has those figures that mean something."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import vl_convert
from PIL import Image as Pillow

from tests.builders import dataset, pictures, problem
from tests.explain.nets import numbers_net, searched, shapes_net, trained
from tune_mlp.charts.explained import explain
from tune_mlp.charts.figure import Figure
from tune_mlp.charts.figure_files import file_names
from tune_mlp.charts.net_figures import NET_FIGURES, figures_of
from tune_mlp.charts.pictures import grey, mosaic, png, side_by_side, signed, softmax_bars
from tune_mlp.cli import main
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.training.threads import threads


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threads(1):  # for nets as small as these, threads only wait for each other
        yield


OF_CLASSES = ["confusion", "worst_mistakes", "ambiguous_mistakes", "calibration"]
OF_PICTURES = ["samples", *OF_CLASSES, "receptive_fields", "gradient_ascent"]
OF_ALL = ["layers", "weight_histograms"]
OF_NUMBERS = ["predicted_against_true", "residuals"]
NETS = {
    "depth 0": (lambda: shapes_net(depth=0), [*OF_PICTURES, "softmax", *OF_ALL]),
    "depth 1": (lambda: shapes_net(epochs=3), [*OF_PICTURES, "activations", "softmax", *OF_ALL]),
    "depth 5": (lambda: shapes_net(depth=5, epochs=3), [*OF_PICTURES, "activations", "softmax", *OF_ALL]),
    "an average": (lambda: shapes_net(nets=2, epochs=3), [*OF_PICTURES, "activations", "softmax", *OF_ALL]),
    "a CNN": (
        lambda: shapes_net(model={"name": "cnn", "channels": [4, 6], "kernel": 3}, depth=0, epochs=2),
        [*OF_PICTURES, "activations", "softmax", *OF_ALL, "kernels", "feature_maps"],
    ),
    "colours": (
        lambda: trained(problem(data=pictures(shape=(8, 8, 3)), normalize="unit"), epochs=2, activation="tanh"),
        [*OF_PICTURES, "activations", "softmax", *OF_ALL],
    ),
    "a table": (
        lambda: trained(problem(data=dataset(outputs=6, features=2)), epochs=3),
        [*OF_CLASSES, "permutation_importance", *OF_ALL],
    ),
    "numbers": (lambda: numbers_net(epochs=3), [*OF_NUMBERS, "permutation_importance", *OF_ALL]),
    "one input": (
        lambda: trained(problem("regression", data=dataset("regression", features=1, outputs=1)), epochs=3, loss="mse"),
        [*OF_NUMBERS, "fitted_curve", *OF_ALL],
    ),
}


def opened(figure: Figure) -> list[Pillow.Image]:
    return [Pillow.open(io.BytesIO(image.png)) for image in figure.images]


@pytest.mark.parametrize("kind", NETS)
def test_a_net_has_the_figures_that_mean_something_and_each_is_whole(kind: str) -> None:
    make, wanted = NETS[kind]
    with threads(1):
        figures = figures_of(make())
    assert [figure.name for figure in figures] == wanted
    for figure in figures:
        assert re.fullmatch(r"[^\n]+\.", figure.finding), figure.finding
        assert "nan" not in figure.finding.replace("nant", "")
        assert figure.caption.endswith(".")
        assert len(figure.images) <= 20
        assert (figure.chart is not None) or figure.images or "makes no mistake" in figure.finding
        for image, drawn in zip(figure.images, opened(figure), strict=True):
            assert image.alt.endswith((".", "%"))
            assert min(drawn.size) >= 32
            assert len(image.png) < 200_000


def test_each_chart_is_valid_and_is_drawn_by_vega() -> None:
    wanted = {*OF_CLASSES, *OF_ALL, *OF_NUMBERS, "permutation_importance", "fitted_curve"}
    drawn: set[str] = set()
    for kind in ("a table", "one input"):
        net = NETS[kind][0]()
        for name in wanted - drawn:
            figure = NET_FIGURES[name](net)
            if figure is not None and figure.chart is not None:
                specification = figure.themed("dark").to_dict()
                assert len(json.dumps(specification)) < 400_000, name
                assert "<path" in vl_convert.vegalite_to_svg(specification), name
                drawn.add(name)
    assert drawn == wanted


def test_the_table_of_confusion_says_which_class_is_taken_for_which() -> None:
    net = shapes_net(epochs=3)
    known = replace(net)
    wanted = np.array([0] * 10 + [1] * 10 + [2] * 10)
    known.__dict__["samples"] = net.samples._replace(wanted=wanted, inputs=net.samples.inputs[:30])
    known.__dict__["found"] = np.array([0] * 7 + [2] * 3 + [1] * 10 + [2] * 9 + [1])
    figure = NET_FIGURES["confusion"](known)
    assert figure is not None
    assert (
        figure.finding
        == "across is taken for block most often: 3 of 10; 26 of 30 validation samples are answered rightly (86.67 %)."
    )
    assert figure.data["samples"].tolist() == [7, 0, 3, 0, 10, 0, 0, 1, 9]


def test_a_table_of_many_classes_shows_those_with_the_most_mistakes() -> None:
    net = trained(problem(data=dataset(n=600, outputs=30, features=4)), epochs=2)
    figure = NET_FIGURES["confusion"](net)
    assert figure is not None
    assert len(figure.data) == 20 * 20
    assert figure.notes == ("Shown are the 20 classes with the most mistakes, of 30.",)
    for name in ("worst_mistakes", "ambiguous_mistakes"):
        drawn = NET_FIGURES[name](net)
        assert drawn is not None
        assert drawn.chart is not None


def test_a_net_without_a_mistake_says_so() -> None:
    net = shapes_net(epochs=1)
    known = replace(net)
    known.__dict__["found"] = net.samples.wanted
    assert figures_of(known, few=True)[0].finding.startswith("All 48 validation samples are answered rightly.")
    for name in ("worst_mistakes", "ambiguous_mistakes"):
        figure = NET_FIGURES[name](known)
        assert figure is not None
        assert (figure.finding, figure.images, figure.chart) == (
            "The net makes no mistake on the validation part.",
            (),
            None,
        )


def test_a_report_gets_four_quick_figures() -> None:
    assert [figure.name for figure in figures_of(shapes_net(epochs=1), few=True)] == [
        "confusion",
        "worst_mistakes",
        "receptive_fields",
        "calibration",
    ]
    assert [figure.name for figure in figures_of(numbers_net(epochs=1), few=True)] == [
        *OF_NUMBERS,
        "permutation_importance",
    ]


def test_weights_over_the_epochs_begin_before_training_and_end_with_the_net() -> None:
    net = shapes_net(epochs=3)
    figure = figures_of(net, by_epoch=True)[-1]
    assert figure.name == "weights_over_epochs"
    assert sorted(figure.data["epoch"].unique()) == [0, 1, 2, 3]
    shares = figure.data.groupby(["epoch", "layer"])["share"].sum()
    assert shares.to_numpy() == pytest.approx(1)


def test_pictures_keep_their_values() -> None:
    shade = grey(np.array([[0.0, 0.5, 1.0]]), 0, 1)
    assert shade[0].tolist() == [[0, 0, 0, 255], [128, 128, 128, 255], [255, 255, 255, 255]]
    colours = signed(np.array([[-2.0, 0.0, 2.0]]))
    assert colours[0].tolist() == [[0, 114, 178, 255], [244, 244, 244, 255], [213, 94, 0, 255]]
    together = mosaic([colours, colours], columns=1)
    assert together.shape == (4, 3, 4)
    assert together[1:3].max() == 0
    row = side_by_side([shade, together], gap=5)
    assert row.shape == (4, 11, 4)
    np.testing.assert_array_equal(np.asarray(Pillow.open(io.BytesIO(png(row)))), row)


def test_the_softmax_of_many_classes_shows_the_likeliest_and_the_right_one() -> None:
    shares = np.full(50, 0.01)
    shares[7] = 0.5
    few = softmax_bars([str(i) for i in range(10)], np.full(10, 0.1), 0, 1)
    many = softmax_bars([f"class {i}" for i in range(50)], shares, wanted=49, found=7)
    assert few.shape[0] == 140
    assert many.shape[0] == 84


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    results = searched(tmp_path_factory.mktemp("runs"), trials=2, epochs=2, space={"lr": 0.05, "width": 8, "depth": 1})
    folder = tmp_path_factory.mktemp("pictures") / "new"
    with pytest.MonkeyPatch.context() as patch, threads(1):
        few = ("samples", "confusion", "worst_mistakes", "layers")
        patch.setattr("tune_mlp.charts.net_figures.NET_FIGURES", {name: NET_FIGURES[name] for name in few})
        answer = explain(results, output=folder, by_epoch=True)
    assert answer.facts["page"] == str(folder / "index.html")
    assert list(answer.table["figure"])[-1] == "weights_over_epochs"
    assert "The test part" not in answer.sentence
    assert "the test part isn't looked at" in answer.method[0]
    return results.path, folder


def test_the_files_are_there_and_the_page_shows_them_all_and_loads_nothing(answered: tuple[Path, Path]) -> None:
    _, folder = answered
    page = (folder / "index.html").read_text(encoding="utf-8")
    figures = re.findall(r'<section id="(\w+)">', page)
    assert figures[0] == "samples"
    files = {path.name for path in folder.iterdir()}
    assert {"confusion.png", "confusion.svg", "samples-10.png", "index.html"} <= files
    assert len(files) < 80
    assert {re.split(r"-\d|\.", name)[0] for name in files} == {*figures, "index"}
    assert set(re.findall(r'(?:src|srcset|href)="(.{5})', page)) == {"data:"}
    assert not re.search(r'alt=""', page)
    assert page.count("<img") == page.count("alt=")
    assert page.count("prefers-color-scheme: dark") == 1 + sum((folder / f"{name}.svg").exists() for name in figures)


def test_the_word_prints_a_row_for_each_figure_and_nothing_else(
    answered: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: NET_FIGURES[name] for name in ("confusion", "layers")}
    monkeypatch.setattr("tune_mlp.charts.net_figures.NET_FIGURES", few)
    assert main(["explain", str(answered[0]), "--to", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["figure"] for row in said["rows"]] == ["confusion", "layers"]
    assert said["rows"][0]["first_file"] == "confusion.png"
    assert (answered[0] / "explain" / "layers.svg").exists()
    assert main(["explain", str(answered[0]), "--to", "csv", "--output", str(tmp_path / "x")]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 2


def test_names_of_classes_that_look_like_a_page_are_shown_as_text(tmp_path: Path) -> None:
    from tune_mlp.charts.figure_files import write_figures

    nasty = '</script><img src=x onerror="alert(1)">'
    net = shapes_net(epochs=1)
    data = replace(net.dataset, classes=(nasty, "b", "c"))
    description = {**net.model.description, "classes": [nasty, "b", "c"]}
    named: TrainedNet = replace(net, dataset=data, model=replace(net.model, description=description))
    figures = [figure for name in ("samples", "confusion", "worst_mistakes") if (figure := NET_FIGURES[name](named))]
    page = write_figures(tmp_path, figures, nasty).read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert sum(len(file_names(figure)) for figure in figures) + 1 == len(list(tmp_path.iterdir()))
    assert "<img src=x" not in (tmp_path / "confusion.svg").read_text(encoding="utf-8")


def test_the_page_of_explain_describes_each_figure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted([*NET_FIGURES, "weights_over_epochs"])
