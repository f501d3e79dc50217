"""Splits: each sample in the right part, decided by the seed alone, and impossible ones refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dataset
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.split import hold_out_test, make_folds, make_problem
from tune_mlp.data_settings import DataSettings, Folds, Head
from tune_mlp.errors import DataError


def classes(counts=(60, 30, 10), test=0):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    x = np.arange(len(y) * 2, dtype=np.float32).reshape(-1, 2)
    names = tuple("abcdefgh"[: len(counts)])
    return Dataset("made", "classification", x, y, x[:test], y[:test], classes=names)


def curve(n=50):
    x = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    return Dataset("curve", "regression", x, x * 10, x[:0], x[:0])


def settings(**given):
    return DataSettings(name="made", **given)


def check_parts(n, folds):
    for fold in folds:
        assert fold.train.dtype == fold.validation.dtype == np.int64
        assert sorted([*fold.train, *fold.validation]) == list(range(n))


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**62))
def test_a_share_validates_and_the_rest_trains_or_the_split_is_refused(n, share, seed):
    try:
        (fold,) = make_folds(curve(n), settings(validation=share), seed)
    except DataError:
        assert not 0.5 < n * share < n - 0.5
        return
    check_parts(n, [fold])
    assert abs(len(fold.validation) - n * share) <= 0.5 + 1e-9


@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 2**62))
def test_with_folds_each_sample_validates_exactly_once(n, k, seed):
    if k > n:
        with pytest.raises(DataError, match=f"folds={k} with {n} samples"):
            make_folds(curve(n), settings(validation=Folds(folds=k)), seed)
        return
    folds = make_folds(curve(n), settings(validation=Folds(folds=k)), seed)
    check_parts(n, folds)
    assert sorted(np.concatenate([fold.validation for fold in folds])) == list(range(n))
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_head_trains_on_the_first_and_validates_on_the_rest_in_order():
    (fold,) = make_folds(curve(50), settings(validation=Head(head=30)), seed=3)
    assert fold.train.tolist() == list(range(30))
    assert fold.validation.tolist() == list(range(30, 50))


def test_a_split_depends_on_the_seed_and_on_nothing_else():
    one, again, other = (make_folds(curve(), settings(), seed)[0].validation for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.tolist() != other.tolist()


@given(st.lists(st.integers(5, 40), min_size=2, max_size=5), st.floats(0.1, 0.9), st.integers(0, 2**62))
def test_a_stratified_share_keeps_the_classes_shares(counts, share, seed):
    dataset = classes(counts)
    (fold,) = make_folds(dataset, settings(validation=share, stratify=True), seed)
    check_parts(len(dataset.x), [fold])
    for label, count in enumerate(counts):
        held = int((dataset.y[fold.validation] == label).sum())
        assert 1 <= held < count
        assert abs(held - count * share) <= 1
    if min(counts) * min(share, 1 - share) >= 1:
        assert abs(len(fold.validation) - sum(counts) * share) <= 0.5 + 1e-9


@given(st.lists(st.integers(5, 40), min_size=2, max_size=5), st.integers(2, 5), st.integers(0, 2**62))
def test_stratified_folds_keep_the_classes_shares(counts, k, seed):
    dataset = classes(counts)
    folds = make_folds(dataset, settings(validation=Folds(folds=k), stratify=True), seed)
    check_parts(len(dataset.x), folds)
    for label in range(len(counts)):
        held = [int((dataset.y[fold.validation] == label).sum()) for fold in folds]
        assert max(held) - min(held) <= 1
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_a_test_part_is_cut_off_and_the_rest_stays():
    whole = curve(50)
    cut = hold_out_test(whole, 0.2, False, seed=0)
    assert (len(cut.x), len(cut.x_test)) == (40, 10)
    assert sorted([*cut.x[:, 0], *cut.x_test[:, 0]]) == whole.x[:, 0].tolist()
    np.testing.assert_allclose(cut.y_test, cut.x_test * 10)
    assert not cut.x.flags.writeable


def test_a_test_part_by_order_is_what_follows_the_head():
    cut = hold_out_test(curve(50), Head(head=45), False, seed=0)
    np.testing.assert_array_equal(cut.x_test, curve(50).x[45:])


def test_a_test_part_that_exists_or_is_not_wanted_is_left_alone():
    has_one = classes(test=5)
    assert hold_out_test(has_one, 0.2, True, seed=0) is has_one
    has_none = classes()
    assert hold_out_test(has_none, 0.0, False, seed=0) is has_none


def test_a_stratified_test_part_keeps_the_classes_shares():
    cut = hold_out_test(classes((60, 30, 10)), 0.2, True, seed=0)
    assert np.bincount(cut.y_test).tolist() == [12, 6, 2]


def test_the_test_part_and_the_validation_part_are_drawn_apart():
    problem = make_problem(curve(100), settings(validation=0.5, test=0.5), seed=0)
    assert (
        problem.folds[0].validation.tolist()
        != np.searchsorted(curve(100).x[:, 0], problem.dataset.x_test[:, 0]).tolist()
    )


def test_scaling_sees_nothing_but_the_training_part_of_its_fold():
    dataset = curve(100)
    for fold in make_problem(dataset, settings(validation=Folds(folds=4), test=0.0), seed=0).folds:
        part = dataset.x[fold.train]
        np.testing.assert_allclose(fold.inputs.scale, 1 / part.std(axis=0), rtol=1e-5)
        np.testing.assert_allclose(fold.targets.mean, dataset.y[fold.train].mean(axis=0), rtol=1e-5)


def test_missing_values_outside_the_training_part_are_filled_too():
    x = np.arange(20, dtype=np.float32)[:, None].copy()
    x[-1] = np.nan
    dataset = Dataset("holes", "regression", x, np.arange(20, dtype=np.float32)[:, None], x[:0], x[:0])
    (fold,) = make_problem(dataset, settings(validation=Head(head=10), test=0.0), seed=0).folds
    assert fold.inputs.fill is not None
    assert np.isfinite(fold.inputs.apply(dataset.x)).all()


@pytest.mark.parametrize(
    ("dataset", "given", "message"),
    [
        (
            curve(1797),
            {"validation": Head(head=2000)},
            "data.validation: head must be below the number of samples, got head=2000 with 1797 samples",
        ),
        (curve(50), {"validation": Head(head=50)}, "got head=50 with 50 samples"),
        (curve(10), {"validation": 0.01}, "both parts of a split need a sample, got a share of 0.01 of 10 samples"),
        (curve(10), {"validation": 0.99}, "a share of 0.99 of 10 samples"),
        (curve(50), {"stratify": True}, "stratify needs classes, got the regression dataset curve"),
        (classes((5, 1)), {"stratify": True}, "stratify needs 2 samples of each class, got 1 of class 'b'"),
        (
            classes((9, 3)),
            {"stratify": True, "validation": Folds(folds=4)},
            "needs 4 samples of each class, got 3 of class 'b'",
        ),
        (classes(), {"stratify": True, "validation": Head(head=3)}, "a split by order can't be stratified"),
    ],
)
def test_an_impossible_split_is_refused_in_one_line(dataset, given, message):
    with pytest.raises(DataError) as caught:
        make_folds(dataset, settings(**given), seed=0)
    assert message in str(caught.value)
    assert str(caught.value).startswith("data.validation: ")
    assert "\n" not in str(caught.value)


def test_an_impossible_test_part_is_refused_and_says_that_it_is_the_test_part():
    with pytest.raises(DataError, match=r"data\.test: head must be below"):
        make_problem(curve(50), settings(test=Head(head=99)), seed=0)


def test_fewer_samples_are_drawn_by_the_seed_and_the_test_part_stays_whole() -> None:
    data = dataset(n=200, test=50)
    some = make_problem(data, DataSettings(name="small", samples=40), seed=1)
    more = make_problem(data, DataSettings(name="small", samples=60), seed=1)
    assert (len(some.dataset.x), len(some.dataset.x_test)) == (40, 50)
    assert len(some.folds[0].train) + len(some.folds[0].validation) == 40
    assert {row.tobytes() for row in some.dataset.x} < {row.tobytes() for row in more.dataset.x}
    other = make_problem(data, DataSettings(name="small", samples=40), seed=2)
    assert (some.dataset.x != other.dataset.x).any()
    assert make_problem(data, DataSettings(name="small", samples=999), seed=1).dataset is data
