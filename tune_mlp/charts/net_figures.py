"""The figures of a trained net, by name and in order; each is left out where it has no meaning for the net."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tune_mlp.charts.figure import Figure
from tune_mlp.charts.net_answers import ambiguous_mistakes, calibration_figure, confusion_figure, worst_mistakes
from tune_mlp.charts.net_layers import embedding_figure, epochs_figure, layers_figure, weights_figure
from tune_mlp.charts.net_pictures import (
    activations_figure,
    ascent_figure,
    fields_figure,
    kernels_figure,
    maps_figure,
    samples_figure,
    softmax_figure,
)
from tune_mlp.charts.net_tables import curve_figure, permutation_figure, predicted_figure, residual_figure
from tune_mlp.explain.data_source import AS_THE_RUN_SAYS, DataSource
from tune_mlp.explain.trained_net import TrainedNet, open_net
from tune_mlp.explain.weights import weights_by_epoch
from tune_mlp.results.results import Results
from tune_mlp.training.threads import threads

NET_FIGURES: Mapping[str, Callable[[TrainedNet], Figure | None]] = {
    "samples": samples_figure,
    "confusion": confusion_figure,
    "worst_mistakes": worst_mistakes,
    "ambiguous_mistakes": ambiguous_mistakes,
    "calibration": calibration_figure,
    "predicted_against_true": predicted_figure,
    "residuals": residual_figure,
    "fitted_curve": curve_figure,
    "permutation_importance": permutation_figure,
    "receptive_fields": fields_figure,
    "gradient_ascent": ascent_figure,
    "activations": activations_figure,
    "softmax": softmax_figure,
    "layers": layers_figure,
    "weight_histograms": weights_figure,
    "kernels": kernels_figure,
    "feature_maps": maps_figure,
    "embedding": embedding_figure,
}
"""Each figure with what draws it; None where the net has no such figure."""
QUICK = (
    "confusion",
    "worst_mistakes",
    "receptive_fields",
    "predicted_against_true",
    "residuals",
    "fitted_curve",
    "permutation_importance",
    "calibration",
)
"""The figures that take a blink; a report shows the first four of them that its net has."""
FEW = 4


def explain_figures(
    results: Results,
    few: bool = False,
    trial: int | None = None,
    by_epoch: bool = False,
    source: DataSource = AS_THE_RUN_SAYS,
) -> list[Figure]:
    """Return the figures of the winner's net, or of another trial's, which is then trained again.

    `few` gives four quick ones for a report. `by_epoch` trains the net again to draw its weights over the epochs.
    """
    return figures_of(open_net(results, trial, source), few, by_epoch)


def figures_of(net: TrainedNet, few: bool = False, by_epoch: bool = False) -> list[Figure]:
    """Return the figures of a net that is open."""
    with threads(1):  # what rounding comes to depends on it, and for few samples threads only wait for each other
        return _figures(net, few, by_epoch)


def _figures(net: TrainedNet, few: bool, by_epoch: bool) -> list[Figure]:
    if few:
        found: list[Figure] = []
        for figure in _drawn(net, QUICK):
            found.append(figure)
            if len(found) == FEW:
                break
        return found
    figures = list(_drawn(net, NET_FIGURES))
    if by_epoch:
        figures.append(epochs_figure(net, weights_by_epoch(net.recipe)))
    return figures


def _drawn(net: TrainedNet, names: tuple[str, ...] | Mapping[str, object]) -> Iterator[Figure]:
    for name in names:
        figure = NET_FIGURES[name](net)
        if figure is not None:
            yield figure
