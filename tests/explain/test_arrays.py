"""The arrays that explain a net agree with what is known of it by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.builders import dataset, pictures, problem
from tests.explain.nets import numbers_net, shapes_net, trained
from tune_mlp.data.dataset import Dataset
from tune_mlp.engines.choose import engine
from tune_mlp.explain.confusion import calibration, confusion, mistakes, most_confused
from tune_mlp.explain.embedding import embedding, tsne
from tune_mlp.explain.inputs_wanted import ascend, receptive_fields
from tune_mlp.explain.layers import before_the_output, chosen_samples, layer_outputs, shapes, weight_layers
from tune_mlp.explain.tables import fitted_curve, permutation_importance
from tune_mlp.explain.trained_again import initial_nets, train_again
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.explain.weights import histograms, weights_by_epoch, weights_of


@pytest.fixture(scope="module")
def net() -> TrainedNet:
    return trained(problem(data=pictures(400), normalize="unit"), epochs=8)


def test_a_matrix_of_confusion_counts_each_sample_once(net: TrainedNet) -> None:
    matrix = confusion(net.samples.wanted, net.found, 3)
    assert matrix.sum() == len(net.samples.wanted)
    np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(net.samples.wanted, minlength=3))
    assert np.trace(matrix) == (net.found == net.samples.wanted).sum()
    small = confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2]), 3)
    assert small.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_the_most_confused_pair_is_the_largest_number_beside_the_diagonal() -> None:
    pair = most_confused(np.array([[9, 1, 0], [5, 2, 0], [0, 3, 1]]))
    assert pair == (1, 0, 5)
    assert most_confused(np.diag([3, 4])) is None


def test_the_worst_mistake_is_the_surest_and_the_most_ambiguous_the_nearest(net: TrainedNet) -> None:
    shares = np.array([[0.9, 0.1, 0.0], [0.2, 0.41, 0.39], [0.98, 0.01, 0.01], [0.5, 0.3, 0.2]])
    known = replace(net)
    known.__dict__["probabilities"] = shares
    known.__dict__["found"] = shares.argmax(axis=1)
    known.__dict__["samples"] = net.samples._replace(wanted=np.array([1, 2, 0, 2]))
    found = mistakes(known, 2)
    assert (found.worst.tolist(), found.ambiguous.tolist(), found.times) == ([0, 3], [1, 3], 3)


def test_a_net_that_says_what_it_knows_is_calibrated_and_one_that_boasts_isnt() -> None:
    generator = np.random.default_rng(0)
    sure = generator.uniform(0.5, 1, 20_000)
    wanted = (generator.uniform(size=20_000) >= sure).astype(np.int64)
    honest = calibration(np.stack([sure, 1 - sure], axis=1), wanted)
    assert honest.attrs["error"] < 0.01
    assert honest["samples"].sum() == 20_000
    boasting = calibration(np.tile([0.99, 0.01], (20_000, 1)), wanted)
    assert boasting.attrs["error"] == pytest.approx(0.99 - 0.75, abs=0.01)


def test_an_interval_of_calibration_holds_the_true_share_in_nine_of_ten_cases() -> None:
    generator = np.random.default_rng(1)
    inside = []
    for _ in range(200):
        sure = generator.uniform(0.5, 1, 600)
        wanted = (generator.uniform(size=600) >= sure).astype(np.int64)
        frame = calibration(np.stack([sure, 1 - sure], axis=1), wanted)
        inside += list((frame["low"] <= frame["confidence"]) & (frame["confidence"] <= frame["high"]))
    assert len(inside) == 1000
    assert 0.87 < np.mean(inside) < 0.93


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_receptive_fields_are_the_product_of_the_weight_matrices(depth: int) -> None:
    small = shapes_net(depth=depth, epochs=1)
    product = np.eye(64)
    for _, layer in weight_layers(small.nets[0]):
        product = layer.weight.detach().double().numpy() @ product
    found = receptive_fields(small.nets, 64)
    assert found.shape == (3, 64)
    np.testing.assert_allclose(found, product, atol=1e-5)


def test_the_fields_of_a_linear_net_are_what_each_pixel_adds_to_its_outputs() -> None:
    linear = shapes_net(depth=2, activation="identity", batch_norm=True)
    module = linear.module
    with torch.inference_mode():
        added = module(torch.eye(64)) - module(torch.zeros(1, 64))
    np.testing.assert_allclose(receptive_fields(linear.nets, 64), added.T.numpy(), atol=1e-5)


def test_fields_of_an_average_are_the_mean_of_its_nets() -> None:
    both = shapes_net(nets=2, epochs=2)
    one, other = (receptive_fields([net], 64) for net in both.nets)
    np.testing.assert_allclose(receptive_fields(both.nets, 64), (one + other) / 2)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    "settings", [{}, {"loss": "nll"}, {"nets": 2}, {"model": {"name": "cnn", "channels": [4], "kernel": 3}}]
)
def test_gradient_ascent_raises_the_output_of_each_class(settings: dict[str, object]) -> None:
    small = shapes_net(epochs=4, **settings)
    found = ascend(small)
    assert (found.after > found.before).all()
    assert found.pictures.shape == (3, 64)
    assert found.pictures.min() >= 0
    assert found.pictures.max() <= 1
    again = ascend(small)
    np.testing.assert_array_equal(found.pictures, again.pictures)
    assert not np.array_equal(found.pictures, ascend(small, seed=1).pictures)


def test_gradient_ascent_scales_pixels_as_training_did() -> None:
    for normalize in ("unit", "symmetric", "standard", "per_sample"):
        small = trained(problem(data=pictures(), normalize=normalize), epochs=2)
        found = ascend(small, steps=3)
        inputs = small.model.scaler.apply(np.rint(found.pictures * 255).astype(np.uint8))
        with torch.inference_mode():
            outputs = small.module(torch.from_numpy(inputs)).numpy()
        np.testing.assert_allclose(np.diag(outputs), found.after, atol=0.3)


def test_the_layers_outputs_lead_to_the_nets_own(net: TrainedNet) -> None:
    inputs = net.samples.inputs[:5]
    (layer,) = layer_outputs(net.nets[0], inputs)
    assert (layer.name, layer.values.shape) == ("layer 1", (5, 16))
    np.testing.assert_array_equal(layer.values, before_the_output(net.nets[0], inputs))
    last = weight_layers(net.nets[0])[-1][1]
    outputs = layer.values @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    np.testing.assert_allclose(outputs, net.outputs[:5], atol=1e-5)


def test_a_cnns_layers_are_shown_with_their_shapes() -> None:
    small = shapes_net(epochs=1, model={"name": "cnn", "channels": [4, 6], "kernel": 3}, depth=1)
    values = [layer.values.shape for layer in layer_outputs(small.nets[0], small.samples.inputs[:2])]
    assert values == [(2, 4, 8, 8), (2, 6, 4, 4), (2, 16)]
    frame = shapes(small.nets[0], 64)
    assert frame["weights"].sum() == sum(parameter.numel() for parameter in small.module.parameters())
    assert frame["shape"].iloc[-1] == "3"


def test_the_chosen_samples_are_a_doubtful_one_and_a_clear_one_of_each_class(net: TrainedNet) -> None:
    chosen = chosen_samples(net, ("across", "block"))
    assert net.samples.wanted[chosen.places].tolist() == [0, 0, 2]
    assert chosen.words[1:] == ["one clear across", "one clear block"]
    shares = net.probabilities
    assert shares[chosen.places[0], 2] == shares[net.samples.wanted == 0, 2].max()


def test_a_net_is_trained_again_to_the_bit_and_begins_with_the_same_weights(net: TrainedNet) -> None:
    seen = weights_by_epoch(net.recipe)
    assert min(seen.epochs) == 0
    assert max(seen.epochs) == net.recipe.epochs
    assert len(seen.epochs) <= 8
    for found, stage in ((weights_of(net.nets), net.recipe.epochs), (weights_of(initial_nets(net.recipe)), 0)):
        for name, weights in seen.epochs[stage].items():
            np.testing.assert_array_equal(weights, found[name])


def test_a_training_that_differs_from_the_record_says_from_which_epoch_on(net: TrainedNet) -> None:
    run = engine("eager").start(net.config, net.recipe.problem, 0, net.recipe.seed)
    losses = [run.train_epoch(epoch).scores["loss"] for epoch in (1, 2)]
    same = replace(net.recipe, epochs=2, recorded=pd.Series(losses, index=[1, 2]))
    assert "bit for bit" in train_again(same).compared
    other = replace(same, recorded=pd.Series([losses[0], losses[1] * 1.0001], index=[1, 2]))
    assert "differs from what the run recorded from epoch 2 on" in train_again(other).compared


def test_a_histogram_holds_all_weights_of_a_layer() -> None:
    stages = {
        "one": {"layer": np.array([-1.0, 0.0, 0.0, 1.0], np.float32)},
        "two": {"layer": np.full(4, 0.5, np.float32)},
    }
    frame = histograms(stages)
    assert frame.groupby("stage")["share"].sum().tolist() == pytest.approx([1, 1])
    assert frame.attrs["spread"]["layer"]["two"] == 0
    assert frame["low"].min() == -1
    assert frame["high"].max() == 1


def test_a_map_is_the_same_twice_and_tells_classes_apart(net: TrainedNet) -> None:
    one, two = embedding(net, most=50), embedding(net, most=50)
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.points, two.points)
    np.testing.assert_array_equal(one.places, two.places)
    clusters = np.repeat(np.eye(3) * 50, 20, axis=0) + np.random.default_rng(0).normal(size=(60, 3))
    points = tsne(clusters, seed=0).reshape(3, 20, 2)
    middles = points.mean(axis=1)
    assert (
        min(np.linalg.norm(middles[i] - middles[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 3 * points.std(axis=1).max()
    )


def test_few_samples_make_no_map(net: TrainedNet) -> None:
    assert embedding(net, most=49) is None


def informative() -> Dataset:
    """Return classes that follow from the third of five inputs alone."""
    data = dataset(features=5, outputs=2)
    x = np.random.default_rng(1).normal(size=data.x.shape).astype(np.float32)
    return replace(data, x=x, y=(x[:, 2] > 0).astype(np.int64), features=("a", "b", "c", "d", "e"))


def test_permutation_importance_finds_the_one_input_that_matters() -> None:
    frame = permutation_importance(trained(problem(data=informative())))
    assert frame["input"][0] == "c"
    assert frame["loss"][0] > 0.3
    assert frame["loss"][1:].abs().max() < 0.12
    assert sorted(frame["input"]) == ["a", "b", "c", "d", "e"]


def test_permutation_importance_of_numbers_is_in_their_own_unit() -> None:
    net = numbers_net()
    frame = permutation_importance(net)
    rmse = float(np.sqrt(((net.found - net.samples.wanted) ** 2).mean()))
    assert frame.attrs["whole"] == pytest.approx(rmse, rel=1e-6)
    assert frame["loss"][0] > 1


def test_a_curve_is_the_nets_answer_along_its_only_input(net: TrainedNet) -> None:
    data = dataset("regression", features=1, outputs=1)
    one = trained(problem("regression", data=data), loss="mse")
    curve = fitted_curve(one)
    assert curve is not None
    answers = one.model.predict(curve.x[:, None].astype(np.float32))
    np.testing.assert_allclose(curve.y[:, 0], answers)
    assert (curve.x[0], curve.x[-1]) == (data.x.min(), data.x.max())
    assert fitted_curve(net) is None
    assert fitted_curve(numbers_net(epochs=1)) is None
