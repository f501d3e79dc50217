"""Scaling: fitted to the training part, `x * scale + shift`, never a division by zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tune_mlp.data.transforms import fit_inputs, fit_targets
from tune_mlp.data_settings import NORMALIZE

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (5000, 12), dtype=np.uint8)
COLUMNS = (RNG.normal(size=(5000, 3)) * [1, 100, 0.01] + [0, 1000, -5]).astype(np.float32)


def test_unit_pictures_are_divided_by_255_whatever_the_training_part_holds():
    scaler = fit_inputs(PICTURES // 2, "unit")
    np.testing.assert_allclose(scaler.apply(PICTURES), PICTURES / 255, atol=1e-6)


def test_symmetric_pictures_reach_from_minus_one_to_one():
    scaler = fit_inputs(PICTURES, "symmetric")
    np.testing.assert_allclose(scaler.apply(PICTURES), 2 * (PICTURES / 255) - 1, atol=1e-6)


def test_standard_pictures_have_one_mean_and_deviation_over_all_pixels():
    scaler = fit_inputs(PICTURES, "standard")
    assert scaler.scale.shape == scaler.shift.shape == (1,)
    np.testing.assert_allclose(scaler.apply(PICTURES), (PICTURES - PICTURES.mean()) / PICTURES.std(), atol=1e-5)


def test_unit_columns_run_from_zero_to_one_over_the_training_part():
    scaled = fit_inputs(COLUMNS, "unit").apply(COLUMNS)
    np.testing.assert_allclose(scaled.min(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.max(axis=0), 1, atol=1e-4)


def test_symmetric_columns_are_twice_unit_less_one():
    unit, symmetric = (fit_inputs(COLUMNS, name).apply(COLUMNS) for name in ("unit", "symmetric"))
    np.testing.assert_allclose(symmetric, 2 * unit - 1, atol=1e-4)


def test_standard_columns_have_mean_zero_and_deviation_one_each():
    scaler = fit_inputs(COLUMNS, "standard")
    scaled = scaler.apply(COLUMNS)
    assert scaler.scale.shape == (3,)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-3)


def test_the_fields_are_all_that_scaling_takes():
    for x in (PICTURES, COLUMNS):
        for name in ("unit", "symmetric", "standard"):
            scaler = fit_inputs(x, name)
            np.testing.assert_allclose(scaler.apply(x), x.astype(np.float32) * scaler.scale + scaler.shift, rtol=1e-6)


@pytest.mark.parametrize("x", [PICTURES, COLUMNS], ids=["pictures", "columns"])
def test_per_sample_gives_each_row_mean_zero_and_deviation_one(x):
    scaled = fit_inputs(x, "per_sample").apply(x)
    np.testing.assert_allclose(scaled.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_constant_row_becomes_zero(dtype):
    x = np.full((2, 7), 113.1).astype(dtype)
    assert not fit_inputs(x, "per_sample").apply(x).any()


@pytest.mark.parametrize("name", ["unit", "standard"])
@pytest.mark.parametrize("value", [0.0, 0.1, 3e38, -1e-40])
def test_a_constant_column_becomes_zero(name, value):
    x = np.column_stack([np.full(9, value), np.arange(9)]).astype(np.float32)
    assert not fit_inputs(x, name).apply(x)[:, 0].any()


def test_black_pictures_become_zero():
    x = np.zeros((3, 4), np.uint8)
    assert not fit_inputs(x, "standard").apply(x).any()


@pytest.mark.parametrize("name", NORMALIZE)
def test_missing_values_become_the_training_median(name):
    x = COLUMNS.copy()
    x[::3, 1] = np.nan
    filled = x.copy()
    filled[::3, 1] = np.nanmedian(x[:, 1])
    scaler = fit_inputs(x, name)
    np.testing.assert_allclose(scaler.apply(x), fit_inputs(filled, name).apply(filled), atol=1e-5)


def test_a_column_without_any_value_becomes_zero():
    x = np.full((4, 2), np.nan, np.float32)
    assert not fit_inputs(x, "standard").apply(x).any()


def test_pictures_need_no_fill():
    assert fit_inputs(PICTURES, "standard").fill is None
    assert fit_inputs(COLUMNS, "standard", missing=False).fill is None


@pytest.mark.parametrize("name", NORMALIZE)
@pytest.mark.parametrize("x", [PICTURES, COLUMNS], ids=["pictures", "columns"])
def test_scaled_arrays_are_new_and_writeable_though_the_data_are_read_only(x, name):
    x = x.copy()
    x.setflags(write=False)
    scaled = fit_inputs(x, name).apply(x)
    assert scaled.dtype == np.float32
    assert scaled.flags.writeable
    assert scaled.flags.c_contiguous
    assert not np.shares_memory(scaled, x)


finite = st.floats(width=32, allow_nan=True, allow_infinity=False)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=finite),
    st.sampled_from(NORMALIZE),
)
def test_the_training_part_never_scales_to_anything_non_finite(x, name):
    with np.errstate(all="ignore"):
        moderate = np.clip(x, -1e18, 1e18)
    assert np.isfinite(fit_inputs(moderate, name).apply(moderate)).all()


def test_regression_targets_have_mean_zero_and_deviation_one_and_come_back():
    scaler = fit_targets(COLUMNS, enabled=True)
    scaled = scaler.apply(COLUMNS)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(scaler.invert(scaled), COLUMNS, rtol=1e-4)


def test_a_constant_target_is_only_shifted():
    y = np.full((4, 1), 7.25, np.float32)
    scaler = fit_targets(y, enabled=True)
    assert not scaler.apply(y).any()
    np.testing.assert_array_equal(scaler.invert(scaler.apply(y)), y)


def test_targets_pass_untouched_where_scaling_is_off_or_they_are_classes():
    off = fit_targets(COLUMNS, enabled=False)
    np.testing.assert_array_equal(off.apply(COLUMNS), COLUMNS)
    assert off.mean.shape == off.std.shape == (3,)
    labels = np.array([0, 2, 1])
    classes = fit_targets(labels, enabled=True)
    for there in (classes.apply(labels), classes.invert(labels)):
        np.testing.assert_array_equal(there, labels)
        assert there.dtype == np.int64
        assert not np.shares_memory(there, labels)
