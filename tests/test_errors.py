"""Errors are one line whatever stands in them, and a name that nobody knows is answered by the one that was meant."""

from __future__ import annotations

import pickle
import unicodedata
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_mlp.config import ACTIVATION_NAMES, BRANCHES, LOSS_NAMES, TrialConfig
from tune_mlp.data_settings import NORMALIZE, DataSettings, Folds, Head
from tune_mlp.errors import DataError, RunError, StudyError, UsageError, did_you_mean, escaped, nearest, one_line
from tune_mlp.records import Mode
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.files import find
from tune_mlp.study.settings import (
    Asha,
    HyperBand,
    Median,
    Pasha,
    Pbt,
    PromotionAsha,
    Resources,
    Scheduler,
    Search,
    TopK,
    Tpe,
)
from tune_mlp.study.study import Metric, Study
from tune_mlp.synonyms import SYNONYMS

ODD = ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u202eb", "a\u2066b", "a\u2028b", "a\x85b", "a\x00b", "a\ud800b", "a\u200bb"]
"""Names that would make a second line, colour a terminal, turn the text round or hide a character."""


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("error", [RunError, UsageError, DataError, StudyError])
def test_an_error_shows_odd_characters_escaped(error: type[RunError], name: str) -> None:
    text = str(error(f"{name}: no such thing"))
    assert text.isprintable()
    assert text.startswith("a\\")
    assert text.endswith("b: no such thing")
    assert str(pickle.loads(pickle.dumps(error(name)))) == escaped(name)


@given(st.text())
def test_escaped_text_is_printable_and_printable_text_stays_as_it_is(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text)
    if text.isprintable():
        assert escaped(text) == text


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_in_a_study_is_refused_in_one_printable_line(name: str) -> None:
    head: dict[str, Any] = {"data": {"name": "digits"}, "space": {}}
    for tree in (
        {**head, name: 1},
        {**head, "metric": name},
        {**head, "scheduler": name},
        {**head, "scheduler": {"asha": {name: 1}}},
        {**head, "space": {name: 1}},
        {**head, "space": {"lr": {name: 1}}},
        {**head, "space": {"activation": name}},
        {**head, "space": {"optimizer": {"choice": {name: {}}}}},
        {**head, "space": {"widths": {"list": 1, name: 2}}},
    ):
        with pytest.raises(StudyError) as caught:
            Study.from_dict(tree)
        assert str(caught.value).isprintable()
    for lookup in (lambda: find(name), lambda: Study.load("digits_quick", [f"{name}=1"])):
        with pytest.raises(UsageError) as refused:
            lookup()
        assert str(refused.value).isprintable()


def test_an_odd_file_name_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.yaml"
    path.write_text("seed: [\n")
    with pytest.raises(StudyError, match=r"^a\\x1b\[31m\\nb.yaml:2: not valid YAML") as caught:
        Study.load(path)
    assert str(caught.value).isprintable()


def test_a_very_long_name_is_cut_off() -> None:
    with pytest.raises(StudyError) as caught:
        Study.from_dict({"data": {"name": "digits"}, "space": {"x" * 50_000: 1}})
    assert len(str(caught.value)) < 1000


def test_an_error_of_another_library_is_one_line_led_by_its_type() -> None:
    assert one_line(ValueError("a\n b\x1b[0m")) == "ValueError: a b\\x1b[0m"


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("loguniform", list(DOMAINS), "log"),
        ("bayes", list(Search.model_fields), "tpe"),
        ("max_t", list(Study.model_fields), "epochs"),
        ("learning_rate", list(TrialConfig.model_fields), "lr"),
        ("num_samples", list(Study.model_fields), "trials"),
        ("max_iter", list(Study.model_fields), "epochs"),
        ("n_trials", list(Study.model_fields), "trials"),
        ("hidden_layer_sizes", list(TrialConfig.model_fields), "widths"),
        ("ASHAScheduler", list(Scheduler.model_fields), "asha"),
        ("GridSearch", list(Search.model_fields), "grid"),
        ("ReLU", list(ACTIVATION_NAMES), "relu"),
        ("LeakyReLU", list(ACTIVATION_NAMES), "leaky_relu"),
        ("batch-size", list(TrialConfig.model_fields), "batch_size"),
        ("swish", list(ACTIVATION_NAMES), "silu"),
        ("accuracy", list(get_args(Metric)), "val_accuracy"),
        ("CrossEntropyLoss", list(LOSS_NAMES), "cross_entropy"),
        ("maximize", list(get_args(Mode)), "max"),
        ("StandardScaler", list(NORMALIZE), "standard"),
        ("he_normal", list(BRANCHES["init"]), "kaiming"),
    ],
)
def test_the_words_of_other_libraries_are_answered_by_ours(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == f" (did you mean {hint!r}?)"


def test_a_word_of_another_library_is_answered_wherever_it_stands() -> None:
    tree = {"data": {"name": "digits"}, "space": {}, "scheduler": {"asha": {"max_t": 50}}}
    with pytest.raises(StudyError, match=r"scheduler.asha.max_t: unknown name 'max_t' \(a study calls it 'epochs'\)$"):
        Study.from_dict(tree)
    with pytest.raises(StudyError, match=r"space.num_samples: unknown parameter 'num_samples' \(a study calls it 'tri"):
        Study.from_dict({"data": {"name": "digits"}, "space": {"num_samples": 50}})


def test_every_answer_is_a_name_that_exists_and_no_question_is_a_name_beside_it() -> None:
    settings = (
        Study,
        TrialConfig,
        DataSettings,
        Head,
        Folds,
        Resources,
        Asha,
        PromotionAsha,
        Pasha,
        TopK,
        HyperBand,
        Median,
        Pbt,
        Tpe,
    )
    options = [set(by_option) for by_option in BRANCHES.values()]
    groups = [
        *(set(model.model_fields) for model in (*settings, Scheduler, Search)),
        *(set(model.model_fields) for by_option in BRANCHES.values() for model in by_option.values()),
        *options,
        *(set(names) for names in (ACTIVATION_NAMES, LOSS_NAMES, NORMALIZE, get_args(Metric), get_args(Mode), DOMAINS)),
    ]
    for ours, theirs in SYNONYMS.items():
        beside = [group for group in groups if ours in group]
        assert beside, ours
        for word in theirs.split():
            assert word == word.casefold()
            assert not any(word in group for group in beside), (ours, word)
            assert nearest(word, beside[0]) == ours, (ours, word)


def test_a_name_in_another_code_of_unicode_is_found_though_it_is_spelt_with_other_characters() -> None:
    composed, apart = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    assert composed != apart
    assert nearest(apart, [composed, "other"]) == composed


def test_a_doubtful_guess_gives_way_to_a_list_that_is_short() -> None:
    assert did_you_mean("val_kappa", get_args(Metric)) == f" (known: {', '.join(get_args(Metric))})"
    assert did_you_mean("val_f1", get_args(Metric)) == " (did you mean 'val_macro_f1'?)"
    assert did_you_mean("val_los", get_args(Metric)) == " (did you mean 'val_loss'?)"
