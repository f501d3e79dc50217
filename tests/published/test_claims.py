"""What a study file may say of its publication: each fault is one line with file, line and path."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.published.made import STUDY
from tune_mlp.config import Settings
from tune_mlp.errors import StudyError, UsageError
from tune_mlp.published import experiments, studies
from tune_mlp.published.studies import load
from tune_mlp.space.space import to_config

CLAIMS = STUDY.index("  claims:\n")
CLAIM = "    - {claim: It learns, experiment: base, "


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_study_file_says_experiments_and_claims(tmp_path: Path) -> None:
    study = load(written(tmp_path, STUDY))
    assert (study.name, study.published.citation) == ("tiny", "Somebody, A report, 2024")
    assert list(study.published.experiments) == ["base", "one"]
    assert [claim.measure for claim in study.published.claims] == ["value", "value", "order", "value"]
    assert [claim.judged for claim in study.published.claims] == [True, True, True, False]


def test_an_experiment_is_the_study_with_its_settings_laid_over(tmp_path: Path) -> None:
    owner = load(written(tmp_path, STUDY))
    base = owner.study("base")
    assert [to_config(draw).lr for draw in islice(base.draws(), 9)] == [0.05, 0.1]
    assert {to_config(draw).activation for draw in islice(base.draws(), 9)} == {"tanh"}
    assert (base.epochs, base.name) == (2, "tiny")
    assert owner.study("base", quick=True).epochs == 1
    one = owner.study("one", quick=True, engine="eager")
    assert (one.epochs, one.number_of_trials, one.engine) == (2, 1, "eager")


def test_an_experiment_may_replace_the_whole_space(tmp_path: Path) -> None:
    text = STUDY.replace("set: {lr: 0.1}", "set: {space: {width: 4}, search: random, trials: 1}")
    assert [
        to_config(draw).width for draw, _ in zip(load(written(tmp_path, text)).study("one").draws(), "x", strict=False)
    ] == [4]


BASE = "    base:\n      about: two rates\n      set: {batch_size: 16, space.activation: tanh}\n"

FAULTS: list[tuple[str, str, str]] = [
    ("  citation: Somebody, A report, 2024\n", "", "tiny.yaml:9 published: 'citation' is missing"),
    ("  citation:", "  citaton:", "tiny.yaml:10 published.citaton: unknown name 'citaton' (did you mean 'citation'?)"),
    ("citation: Somebody, A report, 2024", "citation: 3", "tiny.yaml:10 published.citation: must be text, got 3"),
    ("about: two rates", "about: ''", "tiny.yaml:14 published.experiments.base.about: must not be empty, got ''"),
    ("    base:\n", "    b/se:\n", "a name is letters, digits, dots, dashes or underscores, got 'b/se'"),
    ("    base:\n", f"    {'b' * 60}:\n", "which is more than 64 characters"),
    ("about: one rate", "about: x\n      check: gradient", "did you mean 'gradients'?"),
    ("about: one rate", "about: x\n      check: gradients", "runs no study, so it has no set and no quick"),
    ("experiment: one", "experiment: onee", "claims.1.experiment: no experiment is named 'onee' (did you mean 'one'?)"),
    ("quick: {epochs: 1}", "quick: {a=b: 1}", "write a path, for instance data.samples, got 'a=b'"),
    (STUDY[STUDY.index("published:") :], "", "tiny.yaml: it is no published study: 'published' is missing"),
    (STUDY[STUDY.index("published:") :], "published: 3\n", "tiny.yaml:9 published: must be a mapping, got 3"),
]


@pytest.mark.parametrize(("old", "new", "said"), FAULTS)
def test_a_fault_is_one_line_that_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in STUDY
    with pytest.raises(StudyError) as raised:
        load(written(tmp_path, STUDY.replace(old, new, 1)))
    assert said in str(raised.value)
    assert str(raised.value).startswith("tiny.yaml")
    assert "\n" not in str(raised.value)


BAD_CLAIMS: list[tuple[str, str]] = [
    ("published: 1}", "name one measure of value, rows, order, less, falls, gradients, got none"),
    ("value: {column: a}, less: {low: a, high: b}}", "got value and less"),
    ("value: {column: a}, published: 1, below: 1, within: 1}", "a claim has one tolerance, got below and within"),
    ("value: {column: a}, below: 1}", "below needs a published number, got null"),
    ("value: {column: a}, published: high, within: 1}", "within needs a published number, got 'high'"),
    ("value: {column: a}, published: 1, below: -1}", "greater than or equal to 0, got -1"),
    ("value: {column: a, pick: bst}}", "unknown name 'bst' (did you mean 'best'?)"),
    ("value: {colum: a}}", "unknown name 'colum' (did you mean 'column'?)"),
    ("value: {column: a, epoch: 0}}", "published.claims.0.value.epoch: must be greater than or equal to 1, got 0"),
    ("value: {column: val_accuracy}, published: 97.5}", "an accuracy is a share between 0 and 1, got 97.5"),
    ("value: {column: val_accuracy}, published: 0.9, below: 2}", "an accuracy is a share between 0 and 1, got 2"),
    ("rows: {column: a, by: b, values: {}}}", "published.claims.0.rows.values: must not be empty"),
    ("rows: {column: a, by: b, values: {x: {}}}}", "'published' is missing"),
    (
        "rows: {column: a, by: b, values: {x: {published: 1}}}, published: 1, below: 1}",
        "rows is judged by at_most, got below",
    ),
    ("order: {by: a, column: b, best: max, names: [[x]]}}", "published.claims.0.order.names"),
    ("order: {by: a, column: b, best: max, names: [[x], [x]]}}", "each name stands in one group, got 'x' twice"),
    ("order: {by: a, column: b, best: most, names: [[x], [y]]}}", "unknown name 'most'"),
    ("order: {by: a, column: b, best: max, names: [[x], [y]]}, at_most: 1}", "holds or doesn't, and has no tolerance"),
    ("falls: {statistic: median}}", "unknown name 'median'"),
    ("gradients: {}}", "published.claims.0.gradients: base is a run, which has no gradients"),
]


@pytest.mark.parametrize(("measure", "said"), BAD_CLAIMS)
def test_a_bad_claim_is_one_line_that_says_where(tmp_path: Path, measure: str, said: str) -> None:
    with pytest.raises(StudyError) as raised:
        load(written(tmp_path, STUDY[:CLAIMS] + "  claims:\n" + CLAIM + measure + "\n"))
    assert said in str(raised.value)
    assert str(raised.value).startswith("tiny.yaml:21 published.claims.0")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "{epoch: 1}",
            "tiny.yaml:19 published.experiments.one.set.epoch: unknown name 'epoch' (did you mean 'epochs'?)",
        ),
        ("{lr: -1}", "tiny.yaml:19 space.lr: must be greater than 0, got -1"),
        ("{data.nam: digits}", "tiny.yaml:19 data.nam: unknown name 'nam' (did you mean 'name'?)"),
        ("{epochs: {choice: [1]}}", "tiny.yaml:19 epochs: must be a whole number, got {'choice': [1]}"),
    ],
)
def test_an_experiments_bad_setting_is_said_with_its_own_line(tmp_path: Path, settings: str, said: str) -> None:
    owner = load(written(tmp_path, STUDY.replace("set: {lr: 0.1}", f"set: {settings}")))
    with pytest.raises(StudyError) as raised:
        owner.study("one")
    assert str(raised.value) == said


def test_an_unknown_study_is_answered_with_a_near_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "published" / "cs587_digits.yaml"
    path.parent.mkdir()
    path.write_text(STUDY)
    monkeypatch.setattr(studies, "shipped", lambda: {"cs587_digits": path, "mnist_asha": tmp_path / "mnist_asha.yaml"})
    assert load("cs587_digits").name == "cs587_digits"
    with pytest.raises(
        UsageError, match=r"no published study is named 'cs587' \(did you mean 'cs587_digits'\?\)|known: cs587"
    ):
        load("cs587")
    with pytest.raises(UsageError, match="no published study is named 'mnist_asha'"):
        load("mnist_asha")
    assert studies.listing().splitlines() == [
        "cs587_digits: Somebody, A report, 2024",
        "  base  two rates",
        "  one   one rate",
    ]
    path.write_text("published: 3\n")
    assert studies.listing().startswith("cs587_digits: can't be read: cs587_digits.yaml:1")


def test_every_shipped_published_study_can_be_read_and_builds_every_experiment() -> None:
    names = list(studies.published_studies())
    assert len(names) == 7
    for name in names:
        owner = load(name)
        assert owner.published.experiments
        for experiment, how in owner.published.experiments.items():
            if not how.check:
                for quick in (False, True):
                    assert owner.study(experiment, quick).name


def test_every_setting_has_a_sentence() -> None:
    types = [value for value in vars(experiments).values() if isinstance(value, type)]
    models = [model for model in types if issubclass(model, BaseModel) and model is not Settings]
    assert len(models) > 3
    for model in models:
        assert (model.__doc__ or "").rstrip().endswith("."), model
        for name, field in model.model_fields.items():
            assert (field.description or "").endswith("."), f"{model.__name__}.{name}"
