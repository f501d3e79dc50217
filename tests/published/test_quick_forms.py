"""Every published study runs to its end in its quick form, with a figure in every row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tune_mlp.published.compare import Verdict
from tune_mlp.published.reproduce import Options, reproduce
from tune_mlp.published.studies import published_studies

pytestmark = pytest.mark.usefixtures("in_process_and_on_ray")

NAMES = {
    "cs587_digits",
    "earin_mnist_asha",
    "padova_mnist_random",
    "ucsd_mnist",
    "hw1_regression",
    "hw1_mnist_fc",
    "hw1_mnist_cnn",
}


def test_the_seven_studies_are_shipped() -> None:
    assert set(published_studies()) == NAMES


EVERY_DAY = ("hw1_regression",)
"""The others take a minute or two each."""


@pytest.mark.parametrize(
    "name", [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in sorted(NAMES)]
)
def test_a_published_study_runs_in_its_quick_form(name: str, tmp_path: Path) -> None:
    done = reproduce([name], Options(quick=True, out=tmp_path))
    assert done.failed == 0, done.first_failure
    table = done.table
    assert set(table["verdict"]) <= {Verdict.MET, Verdict.REPORTED, Verdict.SCALED_DOWN, Verdict.STAND_IN}
    for row in table[table["our_number"].notna() & table["published_number"].notna()].to_dict("records"):
        assert math.isfinite(row["our_number"]), row["claim"]
    for ending in ("md", "html", "csv"):
        assert (done.path / f"reproduced.{ending}").stat().st_size > 0
