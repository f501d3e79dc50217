"""The figure of the weights of configurations that are compared: each is trained again, and its layers' weights are drawn."""

from __future__ import annotations

import altair as alt
import numpy as np
from torch import nn

from tune_mlp.charts.figure import Figure
from tune_mlp.charts.net_layers import histogram_chart
from tune_mlp.explain.data_source import AS_THE_RUN_SAYS, DataSource
from tune_mlp.explain.trained_again import recipe_of, train_again
from tune_mlp.explain.trained_net import load_problem
from tune_mlp.explain.weights import WeightsOfLayers, histograms, weights_of
from tune_mlp.insight.views.configurations import MOST, labels
from tune_mlp.results.results import Results


def configuration_weights(results: Results, source: DataSource = AS_THE_RUN_SAYS) -> Figure:
    """Train the best configurations again, each from its first seed, and draw the spread of their weights by layer."""
    trials = [int(trial) for trial in results.ranked["trial"][:MOST]]
    names = labels(results, trials)
    study, problem = load_problem(results, source)
    stages: dict[str, WeightsOfLayers] = {}
    seconds = 0.0
    for trial in trials:
        again = train_again(recipe_of(results, trial, study, problem))
        seconds += again.seconds
        stages[names[trial]] = weights_of([again.module]) if isinstance(again.module, nn.Sequential) else {}
    frame = histograms(stages)
    spread = {name: float(np.concatenate(list(weights.values())).std()) for name, weights in stages.items() if weights}
    widest, narrowest = max(spread, key=lambda name: spread[name]), min(spread, key=lambda name: spread[name])
    return Figure(
        name="configuration_weights",
        title="The weights of configurations",
        finding=f"The weights of {widest} are spread most (standard deviation {spread[widest]:.3g}), those of {narrowest} least "
        f"({spread[narrowest]:.3g}).",
        caption="Each panel is a layer, without its biases. A line is the spread of its weights in one configuration, at its best epoch.",
        data=frame,
        chart=histogram_chart(frame, alt.Color("stage:N", sort=list(stages), title=None)),
        trials=tuple(trials),
        notes=(f"For this each was trained again from its first seed, in {seconds:.1f} s together.",),
    )
