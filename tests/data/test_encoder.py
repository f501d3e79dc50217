"""The encoding of a table: fitted to the training rows alone, equal to scikit-learn's, and the same after it was written down."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from tune_mlp.data.encoder import TableColumn, TableEncoder
from tune_mlp.data.encoder_fit import EncodingSettings, fit_table

COLOURS = ("blue", "green", "red", "yellow")
N = 200


def table(seed: int = 0) -> tuple[NDArray[np.float64], tuple[TableColumn, ...]]:
    generator = np.random.default_rng(seed)
    x = np.column_stack(
        [
            generator.normal(5, 2, N),
            generator.choice(4, N, p=[0.6, 0.3, 0.08, 0.02]),
            np.exp(generator.normal(0, 3, N)),
            1e9 + generator.normal(0, 1e-3, N),
        ]
    )
    x[::17, 2] = np.nan
    return x, (TableColumn("a"), TableColumn("colour", COLOURS, kind="category"), TableColumn("b"), TableColumn("c"))


def fitted(**settings: Any) -> tuple[NDArray[np.float64], TableEncoder]:
    x, columns = table()
    return x, fit_table(x, np.arange(150), columns, EncodingSettings(**settings))


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({}, StandardScaler()),
        ({"normalize": "unit"}, MinMaxScaler()),
        ({"normalize": "symmetric"}, MinMaxScaler((-1, 1))),
        ({"scale": "robust"}, RobustScaler()),
        ({"scale": "quantile"}, QuantileTransformer(output_distribution="normal", n_quantiles=150, subsample=None)),
        ({"scale": "standard", "normalize": "unit"}, StandardScaler()),
    ],
)
def test_numbers_are_scaled_as_scikit_learn_scales_them(settings: dict[str, Any], theirs: Any) -> None:
    x, encoder = fitted(**settings)
    numbers = x[:, [0, 2, 3]]
    filled = np.where(np.isnan(numbers), np.nanmedian(numbers[:150], axis=0), numbers)
    expected = theirs.fit(filled[:150]).transform(filled)
    places = [encoder.features.index(name) for name in "abc"]
    ours = encoder.apply(x)[:, places]
    if settings.get("scale") == "quantile":  # ours are those of the values that are there, theirs of the filled ones
        ours, expected = ours[:, [0, 2]], expected[:, [0, 2]]
    rounding = np.spacing(1e9) / 1e-3  # how well float64 can hold the column c
    np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=5 * rounding)
    np.testing.assert_allclose(ours[:, 0], expected[:, 0], rtol=2e-5, atol=2e-6)


def test_categories_become_inputs_and_an_unknown_one_none() -> None:
    x, columns = table()
    x[:150, 1] = np.arange(150) % 3
    x[150:, 1] = 3
    encoder = fit_table(x, np.arange(150), columns, EncodingSettings(normalize="unit"))
    assert encoder.features == ("a", "colour=blue", "colour=green", "colour=red", "b", "c")
    rows = encoder.apply(x)[:, 1:4]
    np.testing.assert_array_equal(rows[:150], np.eye(3)[np.arange(150) % 3])
    assert (rows[150:] == 0).all(), "yellow doesn't occur in the training rows"


def test_rare_categories_share_an_input_with_unknown_ones() -> None:
    x, columns = table()
    x[:150, 1] = np.repeat([0, 1, 2], [100, 45, 5])
    x[150:, 1] = 3
    encoder = fit_table(x, np.arange(150), columns, EncodingSettings(normalize="unit", max_categories=2))
    assert encoder.features[1:3] == ("colour=blue", "colour=(other)")
    rows = encoder.apply(x)[:, 1:3]
    np.testing.assert_array_equal(rows[:, 1], x[:, 1] > 0)
    np.testing.assert_array_equal(rows.sum(axis=1), 1)


def test_missing_values_are_indicated() -> None:
    x, encoder = fitted(indicate=True)
    assert encoder.features[-3:] == ("b", "b=(missing)", "c")
    encoded = encoder.apply(x)
    np.testing.assert_array_equal(encoded[:, -2], np.isnan(x[:, 2]))
    assert np.isfinite(encoded).all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"normalize": "unit", "indicate": True},
        {"scale": "robust", "max_categories": 2},
        {"scale": "quantile"},
        {"normalize": "per_sample"},
    ],
)
def test_nothing_is_fitted_to_other_rows_than_the_training_rows(settings: dict[str, Any]) -> None:
    x, columns = table()
    other = x.copy()
    other[150:, [0, 2, 3]] = 1e6
    other[150:, 1] = 3
    ours, theirs = (fit_table(values, np.arange(150), columns, EncodingSettings(**settings)) for values in (x, other))
    assert ours.features == theirs.features
    np.testing.assert_array_equal(ours.apply(x[:150]), theirs.apply(x[:150]))
    assert (ours.apply(x[150:]) != ours.apply(other[150:])).any(), "or this test could not fail"


@pytest.mark.parametrize("settings", [{}, {"scale": "quantile", "indicate": True}, {"normalize": "per_sample"}])
def test_an_encoding_that_was_written_down_encodes_alike(settings: dict[str, Any]) -> None:
    x, encoder = fitted(**settings)
    read = TableEncoder.from_description(json.loads(json.dumps(encoder.describe())))
    assert read.features == encoder.features
    numbered = x.copy()
    names = {value: place for place, value in enumerate(read.columns[1].categories)}
    numbered[:, 1] = [names.get(COLOURS[int(place)], len(names)) for place in x[:, 1]]
    np.testing.assert_array_equal(read.apply(numbered), encoder.apply(x))


def test_a_column_that_does_not_vary_in_the_training_rows_is_zero_everywhere() -> None:
    x, columns = table()
    x[:150, 0] = 7.0
    encoder = fit_table(x, np.arange(150), columns, EncodingSettings())
    assert (encoder.apply(x)[:, 0] == 0).all()


@pytest.mark.parametrize("size", [1e-300, 1e-40, 1.0, 1e18, 1e300])
@pytest.mark.parametrize("settings", [{}, {"normalize": "unit"}, {"scale": "robust"}, {"scale": "quantile"}])
def test_numbers_of_any_size_are_scaled_alike(size: float, settings: dict[str, Any]) -> None:
    values = np.random.default_rng(1).normal(0, 1, (50, 1))
    small, large = (
        fit_table(x, np.arange(50), [TableColumn("a")], EncodingSettings(**settings)).apply(x)
        for x in (values, values * size)
    )
    np.testing.assert_allclose(large, small, rtol=1e-5, atol=1e-5)
