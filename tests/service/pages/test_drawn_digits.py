"""Drawn digits: they become pictures like those that a net learnt from, whatever their size and place, and a net of MNIST reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.report.pages import CHROMIUM, a_reported_run
from tests.service import services
from tests.service.pages.browsing import Surfer, surfing
from tests.service.pages.strokes import DIGITS, Stroke, digit, draw
from tests.service.servers import FREELY, serving
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app

DATA = Path(os.environ.get("TUNE_MLP_DATA") or "/nonexistent")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")
PLACES = [(1.0, (0.5, 0.5)), (0.6, (0.4, 0.55)), (0.35, (0.3, 0.3)), (1.1, (0.5, 0.5))]
"""Sizes of a drawing with the middle of each, in shares of the canvas."""
STUDY = """\
description: A small net that reads most of MNIST
data: {name: mnist, normalize: standard, validation: 0.2, samples: 20000}
space: {lr: {log: [1.0e-3, 2.0e-3]}, width: 128, activation: relu, optimizer: adam, batch_size: 64}
trials: 1
epochs: 4
"""


@pytest.fixture(scope="module")
def surfer() -> Iterator[Surfer]:
    with surfing() as surfer:
        yield surfer


@pytest.fixture(scope="module")
def canvas(surfer: Surfer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surfer]:
    """Open a page that has the script of drawings."""
    root = tmp_path_factory.mktemp("drawn") / "runs"
    a_reported_run(root / "made", trials=3)
    with services.service(root) as service, serving(make_app(service, Access(), FREELY)) as address:
        surfer.page.goto(address + "/studies/made/try")
        yield surfer


def lines(strokes: list[Stroke], width: int = 280) -> list[list[list[float]]]:
    """Return strokes as the lines that the page draws, in pixels of its canvas."""
    return [
        [[width * one for one in start], [width * one for one in end]]
        for stroke in strokes
        for start, end in pairwise(stroke)
    ]


def pixels(surfer: Surfer, drawn: list[list[list[float]]], size: int) -> np.ndarray:
    found = surfer.page.evaluate(f"digitPixels({json.dumps(drawn)}, {size})")
    return np.array(found).reshape(size, size)


@pytest.mark.parametrize("name", DIGITS)
def test_a_drawing_is_prepared_as_mnist_s_digits_were(canvas: Surfer, name: str) -> None:
    picture = pixels(canvas, lines(digit(name)), 28)
    assert 0 <= picture.min() <= picture.max() <= 1
    assert picture.max() > 0.95
    rows, columns = (np.flatnonzero(picture.max(axis=axis) > 0.2) for axis in (1, 0))
    assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
    mass = picture.sum()
    middle = [float((picture.sum(axis=axis) * (np.arange(28) + 0.5)).sum() / mass) for axis in (1, 0)]
    assert middle == pytest.approx([14, 14], abs=0.5)
    assert 40 < mass < 160  # MNIST's digits have 35 to 180


@pytest.mark.parametrize("size", [28, 8])
@pytest.mark.parametrize("name", DIGITS)
def test_a_drawing_s_size_and_place_make_no_difference(canvas: Surfer, name: str, size: int) -> None:
    first, *others = (pixels(canvas, lines(digit(name, *place)), size) for place in PLACES)
    for other in others:
        assert np.abs(other - first).max() < 0.15


def test_a_dot_is_drawn_and_nothing_is_no_picture(canvas: Surfer) -> None:
    assert canvas.page.evaluate("digitPixels([], 28)") is None
    assert pixels(canvas, [[[100, 100], [100, 100]]], 28).max() > 0.5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (DATA / "MNIST").is_dir(), reason="needs MNIST in $TUNE_MLP_DATA")
def test_a_net_of_mnist_reads_drawn_digits_of_all_sizes(surfer: Surfer, tmp_path: Path) -> None:
    """It is slow because a net is trained on MNIST."""
    (tmp_path / "mnist.yaml").write_text(STUDY)
    words = ["search", "--space", "mnist.yaml", "--out", "runs", "--name", "mnist", "--concurrent", "1", "--no-report"]
    subprocess.run([sys.executable, "-P", "-m", "tune_mlp", *words, "--quiet"], cwd=tmp_path, check=True, timeout=400)
    root = tmp_path / "runs"
    with services.service(root) as service, serving(make_app(service, Access(), FREELY)) as address:
        page = surfer.page
        page.goto(address + "/studies/mnist/try")
        page.wait_for_selector("html[data-model=loaded]")
        wrong = []
        for size, middle in PLACES:
            for name in DIGITS:
                page.locator("#clear").click()
                with page.expect_response("**/predict", timeout=20_000):
                    draw(page, name, size, middle)
                surfer.until("document.getElementById('answer').textContent !== '?'")
                page.wait_for_timeout(500)  # a stroke that came later is answered, too
                if (said := page.locator("#answer").inner_text()) != name:
                    wrong.append((name, size, said))
        assert wrong == []
        assert surfer.faults == []
