"""The charts of a search in Python: `results.plot.importance()` is an Altair chart, which notebooks show by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.search_figures import search_figure
from tune_mlp.charts.theme import LOOKS
from tune_mlp.errors import UsageError, did_you_mean
from tune_mlp.results.results import Results


@dataclass(frozen=True)
class Plots:
    """The charts of a search. Each method returns an Altair chart; `chart.save("name.png")` writes PNG, SVG, PDF or HTML."""

    results: Results

    def learning_curves(self, look: str = "light") -> Chart:
        """Draw each trial's score by epoch, with a mark where one was stopped or diverged."""
        return self._drawn("learning_curves", look)

    def best_so_far(self, look: str = "light") -> Chart:
        """Draw the best score by the number of trials that had ended."""
        return self._drawn("best_so_far", look)

    def rungs(self, look: str = "light") -> Chart:
        """Draw how many trials trained each epoch, and what became of them after it."""
        return self._drawn("rungs", look)

    def workers(self, look: str = "light") -> Chart:
        """Draw when each trial trained, and on which node."""
        return self._drawn("workers", look)

    def convergence(self, look: str = "light") -> Chart:
        """Draw the epochs to 90, 95 and 97 % of the best score, by parameter."""
        return self._drawn("convergence", look)

    def overfitting(self, look: str = "light") -> Chart:
        """Draw the gap between training and validation, by parameter."""
        return self._drawn("overfitting", look)

    def loss_by_step(self, look: str = "light") -> Chart:
        """Draw the loss of every step of the best trial; the study must have kept them."""
        return self._drawn("loss_by_step", look)

    def importance(self, look: str = "light") -> Chart:
        """Draw which parameters matter, with intervals and the verdict against placebos."""
        return self._drawn("importance", look)

    def parallel_coordinates(self, look: str = "light") -> Chart:
        """Draw a line for each trial through its settings and its score; an axis can be brushed."""
        return self._drawn("parallel_coordinates", look)

    def parameters(self, look: str = "light") -> Chart:
        """Draw the score along each parameter, with the spread of the trials."""
        return self._drawn("parameters", look)

    def strongest_pair(self, look: str = "light") -> Chart:
        """Draw the mean score by the values of the two parameters that go together most."""
        return self._drawn("strongest_pair", look)

    def time_against_score(self, look: str = "light") -> Chart:
        """Draw the time that each trial took against its score, with the front."""
        return self._drawn("time_against_score", look)

    def weights_against_score(self, look: str = "light") -> Chart:
        """Draw the weights of each trial's net against its score, with the front."""
        return self._drawn("weights_against_score", look)

    def contenders(self, look: str = "light") -> Chart:
        """Draw the trials that can't be told from the winner, with their intervals."""
        return self._drawn("contenders", look)

    def confirmed(self, look: str = "light") -> Chart:
        """Draw what the best configurations reach from fresh seeds."""
        return self._drawn("confirmed", look)

    def _drawn(self, name: str, look: str) -> Chart:
        if look not in LOOKS:
            raise UsageError(f"no look {look!r:.40}{did_you_mean(look, LOOKS)}")
        figure = search_figure(self.results, name)
        if figure.chart is None:
            raise UsageError(figure.finding)
        return figure.themed(look)
