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
