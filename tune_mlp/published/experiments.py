"""A published study: its citation, the experiments that run it again, and the claims that they are compared with."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tune_mlp.config import Epochs, Finite, NonNegative, Settings
from tune_mlp.space.faults import shown

Text = Annotated[str, Field(min_length=1), AfterValidator(lambda text: " ".join(text.split()))]
Scalar = str | int | float | bool
Values = dict[str, Any]


class Experiment(Settings):
    """One run of the study, or one check that is computed in its place."""

    about: Text
    """One line that describes the experiment."""
    set: Values = Field(default={})
    """Changes of the study file: new values by path, with the same paths as `--set`."""
    quick: Values = Field(default={})
    """Further changes for --quick. The claims are then shown, and not judged."""
    check: Literal["gradients"] | None = None
    """The check that is computed in place of a run."""

    @model_validator(mode="after")
    def _a_check_is_no_run(self) -> Self:
        if self.check and (self.set or self.quick):
            raise ValueError(f"check: {self.check} runs no study, so it has no set and no quick")
        return self


class Value(Settings):
    """A figure of the trials table."""

    column: str
    """The column, `val_accuracy` for instance."""
    where: Values = Field(default={})
    """Parameters with the values that the trial must have."""
    pick: Literal["best", "max", "min", "mean"] = "best"
    """Which of several trials: the best by the study's metric, or the column's largest, smallest or mean."""
    epoch: Epochs | None = None
    """The figure of this epoch, from the epochs table."""


class Row(Settings):
    """One line of a published table."""

    published: Finite
    """The figure as it was published."""
    epoch: Epochs | None = None
    """The figure of this epoch, from the epochs table."""


class Rows(Settings):
    """A published table: a figure for each value of one parameter, judged by the mean absolute difference."""

    column: str
    """The column, `val_accuracy` for instance."""
    by: str
    """The parameter that tells the lines apart."""
    where: Values = Field(default={})
    """Other parameters with the values that the trials must have."""
    values: Annotated[dict[str | int, Row], Field(min_length=1)]
    """The lines, by the parameter's value."""


class Order(Settings):
    """Which values of a parameter are better than which others."""

    by: str
    """The parameter that tells the trials apart."""
    column: str
    """The column, `val_accuracy` for instance."""
    best: Literal["max", "min"]
    """Whether a large or a small figure is good."""
    names: Annotated[list[Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=2)]
    """Groups of the parameter's values, best first; within a group nothing is claimed."""
    where: Values = Field(default={})
    """Other parameters with the values that the trials must have."""
    epoch: Epochs | None = None
    """The figures of this epoch, from the epochs table."""

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        names = [repr(name) for group in self.names for name in group]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"each name stands in one group, got {twice[0]} twice")
        return self


class Less(Settings):
    """One figure of a trial is below another."""

    low: str
    """The column that is smaller."""
    high: str
    """The column that is larger."""
    where: Values = Field(default={})
    """Parameters with the values that the trial must have; left out, it is the best trial."""


class Falls(Settings):
    """The losses of the best trial's steps are smaller in the last epoch than in the first."""

    column: str = "loss"
    """The column of the table of steps."""
    statistic: Literal["mean", "std"]
    """What of an epoch's losses falls."""


class Gradients(Settings):
    """The worst absolute difference between an engine's gradient and central differences."""


TOLERANCES: dict[str, tuple[str, ...]] = {
    "value": ("below", "above", "within", "at_most"),
    "rows": ("at_most",),
    "order": (),
    "less": (),
    "falls": (),
    "gradients": ("at_most",),
}
"""The measures, each with the tolerances that can judge it; a measure without tolerances is true or false."""


class Claim(Settings):
    """One published claim: what was said, and how it is measured and judged here."""

    claim: Text
    """What was claimed, in one line."""
    experiment: str
    """The experiment whose run is measured."""
    value: Value | None = None
    """Measure a figure of the trials table."""
    rows: Rows | None = None
    """Measure a whole published table."""
    order: Order | None = None
    """Measure which is better than which."""
    less: Less | None = None
    """Measure whether one figure is below another."""
    falls: Falls | None = None
    """Measure whether a run's step losses fall."""
    gradients: Gradients | None = None
    """Measure how exact the gradients are."""
    published: Finite | Text | None = None
    """The published figure in the table's own unit (an accuracy is a share), or words for it."""
    below: NonNegative | None = None
    """Met unless ours is further below the published figure than this."""
    above: NonNegative | None = None
    """Met unless ours is further above the published figure than this."""
    within: NonNegative | None = None
    """Met unless ours is further from the published figure than this, either way."""
    at_most: NonNegative | None = None
    """Met unless ours is above this."""
    note: Text | None = None
    """What is different here, or what was tried where ours misses."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        measures = self._given(TOLERANCES)
        if len(measures) != 1:
            raise ValueError(f"name one measure of {', '.join(TOLERANCES)}, got {' and '.join(measures) or 'none'}")
        tolerances = self._given(TOLERANCES["value"])
        if len(tolerances) > 1:
            raise ValueError(f"a claim has one tolerance, got {' and '.join(tolerances)}")
        known = TOLERANCES[self.measure]
        for name in tolerances:
            if name not in known:
                suits = f"is judged by {' or '.join(known)}" if known else "holds or doesn't, and has no tolerance"
                raise ValueError(f"{self.measure} {suits}, got {name}")
            if name != "at_most" and not isinstance(self.published, float):
                raise ValueError(f"{name} needs a published number, got {shown(self.published)}")
        self._accuracies_are_shares()
        return self

    def _given(self, names: Any) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]

    def _accuracies_are_shares(self) -> None:
        """Refuse an accuracy in percent: 97.5 in place of 0.975 would make the claim impossible to meet, or to miss."""
        figures = [self.published] if self.value else []
        figures += [row.published for row in self.rows.values.values()] if self.rows else []
        figures += [getattr(self, name) for name in self._given(TOLERANCES["value"])]
        if is_share(self.column):
            for figure in figures:
                if isinstance(figure, float) and not 0 <= figure <= 1:
                    raise ValueError(f"an accuracy is a share between 0 and 1, got {figure:g}")

    @property
    def measure(self) -> str:
        """Return the measure of this claim."""
        return self._given(TOLERANCES)[0]

    @property
    def column(self) -> str:
        """Return the column that is measured; empty where there are several."""
        return getattr(getattr(self, self.measure), "column", "")

    @property
    def judged(self) -> bool:
        """Tell whether the claim can be met or missed. Otherwise it is only reported."""
        return not TOLERANCES[self.measure] or bool(self._given(TOLERANCES["value"]))


def is_share(column: str) -> bool:
    """Tell whether the figures are accuracies: these are shares, and are shown as percent."""
    return column.endswith(("accuracy", "accuracy_std"))


class Published(Settings):
    """What a study file says of the publication that it runs again."""

    citation: Text
    """Who published what, and where."""
    found_out: Text | None = None
    """What had to be found out to run it again."""
    experiments: Annotated[dict[str, Experiment], Field(min_length=1)]
    """The runs and checks, by name, in order."""
    claims: Annotated[list[Claim], Field(min_length=1)]
    """What was claimed, in order."""
