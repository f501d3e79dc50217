"""Batches: an epoch's order comes from its arguments alone, and batches are slices of chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_mlp.data.batches import CHUNK, chunks, epoch_order
from tune_mlp.data.transforms import fit_inputs, fit_targets

RNG = np.random.default_rng(1)
X = RNG.integers(0, 256, (9001, 5), dtype=np.uint8)
LABELS = RNG.integers(0, 3, 9001)
VALUES = RNG.normal(3, 2, (9001, 2)).astype(np.float32)
for array in (X, LABELS, VALUES):
    array.setflags(write=False)


@given(st.integers(1, 300), st.integers(0, 2**63 - 1), st.integers(0, 99), st.integers(1, 1000))
def test_an_epochs_order_is_a_permutation(n, seed, fold, epoch):
    order = epoch_order(n, seed, fold, epoch)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(n))


def test_an_epochs_order_depends_on_all_its_arguments_and_nothing_else():
    first = epoch_order(50, 1, 0, 1)
    np.random.default_rng().random()
    np.testing.assert_array_equal(first, epoch_order(50, 1, 0, 1))
    for other in ((2, 0, 1), (1, 1, 1), (1, 0, 2)):
        assert (epoch_order(50, *other) != first).any()


def test_an_epochs_order_is_the_same_on_every_machine_and_version():
    assert epoch_order(10, 0, 0, 1).tolist() == ORDER


ORDER = [9, 0, 4, 8, 7, 3, 1, 6, 2, 5]


@pytest.mark.parametrize("batch_size", [1, 7, 32, 4096, 5000, 20000])
@pytest.mark.parametrize("y", [LABELS, VALUES], ids=["classes", "values"])
def test_chunks_hold_whole_batches_in_order(batch_size, y):
    order = epoch_order(len(X), 0, 0, 1)
    inputs, targets = fit_inputs(X, "standard"), fit_targets(y, enabled=True)
    parts = list(chunks(X, y, order, batch_size, inputs, targets))
    assert all(len(x) % batch_size == 0 for x, _ in parts[:-1])
    assert all(len(x) <= max(CHUNK, batch_size) for x, _ in parts)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), inputs.apply(X[order]))
    np.testing.assert_array_equal(np.concatenate([t for _, t in parts]), targets.apply(y[order]))


def test_chunks_of_read_only_data_are_writeable_and_typed():
    for y, dtype in ((LABELS, np.int64), (VALUES, np.float32)):
        parts = list(chunks(X, y, np.arange(100), 10, fit_inputs(X, "unit"), fit_targets(y, enabled=False)))
        assert sum(len(x) for x, _ in parts) == 100
        for x, t in parts:
            assert x.dtype == np.float32
            assert t.dtype == dtype
            assert x.flags.writeable
            assert t.flags.writeable
            assert not np.shares_memory(t, y)


def test_no_samples_give_no_chunks():
    assert list(chunks(X, LABELS, np.arange(0), 4, fit_inputs(X, "unit"), fit_targets(LABELS, enabled=True))) == []
