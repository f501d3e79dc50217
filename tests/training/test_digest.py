"""The digest of weights is the same in every form of the same weights, and another for any other weights."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
import torch

from tests.builders import config, problem
from tune_mlp.engines.choose import engine
from tune_mlp.training.checkpoint import MODEL, load, save_model
from tune_mlp.training.digest import weights_digest

WEIGHTS = {"0.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "0.bias": torch.tensor([5.0, -6.0])}


def test_the_digest_is_the_sha256_of_names_kinds_shapes_and_numbers_in_the_order_of_names() -> None:
    said = b"0.bias <f4 2\n" + struct.pack("<2f", 5, -6) + b"0.weight <f4 2x2\n" + struct.pack("<4f", 1, 2, 3, 4)
    assert weights_digest(WEIGHTS) == hashlib.sha256(said).hexdigest()
    counted = {"1.num_batches_tracked": torch.tensor(7)}
    assert weights_digest(counted) == hashlib.sha256(b"1.num_batches_tracked <i8 \n" + struct.pack("<q", 7)).hexdigest()


def test_order_and_place_in_memory_dont_matter() -> None:
    turned = {"0.bias": WEIGHTS["0.bias"][:], "0.weight": WEIGHTS["0.weight"].t().contiguous().t()}
    assert weights_digest(turned) == weights_digest(WEIGHTS)


@pytest.mark.parametrize(
    "other",
    [
        {**WEIGHTS, "0.bias": torch.tensor([5.0, -6.0000005])},
        {**WEIGHTS, "0.bias": torch.tensor([5.0, -6.0], dtype=torch.float64)},
        {**WEIGHTS, "0.bias": torch.tensor([[5.0, -6.0]])},
        {**WEIGHTS, "0.weight": WEIGHTS["0.weight"].t()},
        {"1.weight": WEIGHTS["0.weight"], "0.bias": WEIGHTS["0.bias"]},
        {"0.bias": WEIGHTS["0.bias"]},
    ],
    ids=["a number", "its kind", "a shape", "transposed", "a name", "a tensor less"],
)
def test_any_difference_makes_another_digest(other: dict[str, torch.Tensor]) -> None:
    assert weights_digest(other) != weights_digest(WEIGHTS)


def test_the_order_of_models_matters() -> None:
    first, second = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    assert len({weights_digest(*models) for models in ((first, second), (second, first), (first,))}) == 3


def test_both_engines_and_the_stored_model_give_one_digest_to_the_same_weights(tmp_path: Path) -> None:
    trial, on = config(batch_norm=True, widths=(7, 5)), problem()
    eager, compiled = (engine(name).start(trial, on, 0, 3).module() for name in ("eager", "compiled"))
    assert not compiled.state_dict()["0.weight"].is_contiguous()  # its matrices lie input by input
    eager.load_state_dict(compiled.state_dict())
    save_model(tmp_path, compiled.state_dict(), {})
    digests = {
        weights_digest(weights) for weights in (eager.state_dict(), compiled.state_dict(), load(tmp_path / MODEL))
    }
    assert len(digests) == 1
