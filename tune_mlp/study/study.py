"""The Study: the contents of one YAML file, validated and unchangeable: data, space, budget, search, scheduler, resources."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from tune_mlp.config import (
    CLASSIFICATION_LOSSES,
    DEFAULT_LOSS,
    EAGER_ONLY,
    REGRESSION_LOSSES,
    Epochs,
    Loss,
    Settings,
    TrialConfig,
    Trials,
)
from tune_mlp.data.dataset import Dataset
from tune_mlp.data_settings import TABLE_KINDS, DataSettings
from tune_mlp.errors import StudyError
from tune_mlp.models.pictures import check_model
from tune_mlp.records import BETTER, DEFAULT_METRIC, Goal, GoalName, Metric, Mode, Task, further_scores, usual_goal
from tune_mlp.regular_files import in_bytes
from tune_mlp.seeds import derive
from tune_mlp.space.choosers import Fixed, grid_draws, random_chooser, with_fixed
from tune_mlp.space.domains import Domain
from tune_mlp.space.faults import first_fault, shown
from tune_mlp.space.files import MAX_BYTES, Located, dump_yaml, find, plain_tree, read_study, read_yaml
from tune_mlp.space.first_draws import check_given, given, has_priors, prior
from tune_mlp.space.overrides import override, parse_assignment, parse_keyword
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.sobol import sobol_points
from tune_mlp.space.space import Branch, Constant, Params, Space, combinations, resolve, to_config
from tune_mlp.study.automatic import automatic_scheduler, automatic_search
from tune_mlp.study.doubts import doubts_about_goals, doubts_about_scheduler, doubts_about_search
from tune_mlp.study.goals import check_goals, check_known, measured
from tune_mlp.study.searchable import check_plateau, check_scheduler, check_search
from tune_mlp.study.settings import (
    AllTrials,
    Duration,
    Fifo,
    RandomSearch,
    Resources,
    Retrain,
    Scheduler,
    SchedulerChoice,
    Search,
    SearchChoice,
    Until,
    UntilChoice,
)

EngineName = Literal["auto", "eager", "compiled"]
DEFAULT_TRIALS = 25
ROOM = 10_000
"""The number of bytes by which a written study may still grow: a table's path becomes absolute, the metric is filled in
from the data, and a resume changes the number of trials."""
PlainDict = Annotated[dict[Any, Any], BeforeValidator(plain_tree)]
Override = tuple[list[str], Any, str]
"""A changed setting: its path, its new value, and the option that set it, for error messages."""


def _is_a_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", name):
        raise ValueError(
            f"must be 1 to 48 letters, digits, dots, dashes or underscores, a letter or digit first, got {shown(name)}"
        )
    return name


class Study(Settings):
    """A study: the data, the space that is searched, and the budget."""

    name: Annotated[str, AfterValidator(_is_a_name)] = "study"
    """The start of the run's folder name; left out, it is the name of the study's file."""
    description: str = ""
    """The line that `tune-mlp spaces` shows for this study."""
    data: DataSettings
    """The dataset, and how it is split and scaled."""
    space: PlainDict
    """The parameters, each with a fixed value or with the domain that it is drawn from; a parameter that isn't named keeps its default."""
    trials: Trials | None = None
    """The number of draws that are trained; left out, a grid search trains its whole grid, and any other search 25 draws."""
    epochs: Epochs = 10
    """The largest number of epochs that a trial trains."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """The number of seeds that each draw is trained from; a trial's figures are the means over them, and further columns have their standard deviations."""
    metric: Metric | None = None
    """The metric that trials are ranked by; left out, it is val_accuracy for classes and val_rmse for regression."""
    metrics: Annotated[tuple[GoalName, ...], Field(strict=False, max_length=3)] = ()
    """Two or three goals, in place of metric: trials are ranked by the first, and the table marks those on the Pareto front of all; beside metrics of the data there are weights, the number of weights of the net, and train_seconds, which isn't repeatable."""
    mode: Mode | None = None
    """Whether the smallest or the largest metric is best; left out, it follows from the metric."""
    measure: Annotated[tuple[Metric, ...], Field(strict=False, max_length=9)] = ()
    """The metrics that are measured beside loss and accuracy, or loss, rmse and r2, in each epoch and in the test; the one that trials are ranked by always is."""
    search: SearchChoice = Search(random=RandomSearch())
    """The search method, which makes the draws: random, grid, tpe, gp, cmaes, nsga2, qmc, or auto, which takes what did best in a comparison."""
    first: Annotated[tuple[PlainDict, ...], Field(strict=False, max_length=1000)] = ()
    """The settings of the first trials, a mapping for each; what one of them leaves out is drawn."""
    warm_start: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """An earlier run, or a table of trials: its best draws come first, and a search that learns is told of its other trials."""
    scheduler: SchedulerChoice = Scheduler(fifo=Fifo())
    """The scheduler, which stops trials early: asha, promotion_asha, pasha, top_k, hyperband, median, pbt, fifo, which stops none, or auto, which takes what did best in a comparison."""
    resources: Resources = Resources()
    """The CPU cores and GPUs that one trial takes."""
    concurrent: Trials | None = None
    """The number of trials that train at once; left out, it is as many as the resources allow."""
    engine: EngineName = "auto"
    """The code that trains: eager is PyTorch, compiled is numba on a CPU, and auto takes compiled wherever it can train the study."""
    patience: Epochs | None = None
    """The number of epochs without improvement after which a trial ends; left out, no trial ends for this reason."""
    tested: Literal["winner", "all"] = "winner"
    """The trials that are measured on the test part at the end, once: the winner alone, or all with their best weights, to report named experiments side by side."""
    retrain: Retrain = False
    """Train a net anew before its test, on the training and validation parts together, for as many epochs as its best weights had; a number from 2 to 20 trains so many nets, from as many seeds, and averages their answers."""
    step_losses: Literal["none", "winner", "all"] = "none"
    """The trials whose loss is kept for every single step, in steps.parquet."""
    time_budget: Duration | None = None
    """The time after which no trial goes on: seconds, or text like 10m; the start and the end of a search aren't counted."""
    until: UntilChoice = Until(trials=AllTrials())
    """What ends the draws: trials, which trains all of them, or plateau, which begins no more once as many again would bring less than what is small."""
    report: bool = True
    """Write report.html at the end of a search: a page with the answer, the method, pictures and all trials."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """The seed that all random numbers are derived from."""

    published: PlainDict | None = None
    """The citation, experiments and claims of the published report that this study runs again, for `tune-mlp reproduce`."""

    _located: Located | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _faults_are_in_our_words(cls, raw: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Raise a StudyError for what pydantic objects to, also where a study is made in Python: `Study(trials=-1)`."""
        try:
            return validate(raw)
        except ValidationError as error:
            raise first_fault(error, raw) from None

    @model_validator(mode="before")
    @classmethod
    def _parameters_stand_under_space(cls, raw: Any) -> Any:
        for name in raw if isinstance(raw, dict) else ():
            if name in TrialConfig.FIELDS:
                raise StudyError(f"{name!r} is a parameter: it belongs under space", (name,))
        return raw

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        space, trials = parse_space(self.space), self.trials or DEFAULT_TRIALS
        if self.search.auto:  # from here on the study names the choice itself; it is frozen
            self.__dict__["search"] = automatic_search(space, trials, bool(self.until.plateau))
        if self.scheduler.auto:
            self.__dict__["scheduler"] = automatic_scheduler(self.epochs, len(self.metrics) > 1)
        check_search(self.search, space, self.trials)
        check_goals(self.metrics, self.metric, self.search)
        for number, settings in enumerate(self.first):
            check_given(space, settings, ("first", number))
        check_scheduler(self.scheduler, space)
        if self.until.plateau:
            check_plateau(self.search, self.scheduler, self.metrics)
        if (size := len(self.dump().encode()) + ROOM) > MAX_BYTES:
            rule = f"written out with all its defaults this study has {size // 1000} kB, and a study file"
            raise StudyError(f"{rule} is at most {in_bytes(MAX_BYTES)}")
        return self

    @classmethod
    def load(
        cls, space: str | Path, sets: Sequence[str] = (), options: Sequence[Override] = (), **settings: Any
    ) -> Self:
        """Load a study from a file, or a shipped study by its name, and apply changes to it.

        Changes are first options of a command line, then texts as `--set` takes them, and then keywords as in
        `Study.load("mnist_asha", trials=4, lr=0.1)`.
        """
        located = read_study(path := find(str(space)))
        assigned = [parse_assignment(text, cls.model_fields) for text in sets]
        named = [parse_keyword(name, value, cls.model_fields) for name, value in settings.items()]
        for parts, value, said in (*options, *assigned, *named):
            located = override(located, parts, value, said)
        return cls.from_located(located, path.parent)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Load a study from a YAML text; an error names the line. A table's path is relative to the working directory."""
        return cls.from_located(read_yaml(text, "text"), Path())

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Make a study from a dict with the keys of a study file: `Study.from_dict({"data": {"name": "digits"}, "space": {}})`."""
        return cls.from_located(Located(plain_tree(dict(settings)), ""), Path())

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Show the few settings that tell one study from another; `dump` returns all of them."""
        return [
            ("name", self.name),
            ("data", self.data.name),
            ("trials", self.number_of_trials),
            ("epochs", self.epochs),
            ("search", self.search.name),
            ("scheduler", self.scheduler.name),
        ]

    def with_options(self, options: Sequence[Override]) -> Self:
        """Return the study with a command line's options applied to it."""
        if not options:
            return self
        located = self._located or Located(plain_tree(self.model_dump(exclude_unset=True, mode="json")), "")
        for parts, value, said in options:
            located = override(located, parts, value, said)
        return type(self).from_located(located, Path())

    @classmethod
    def from_located(cls, located: Located, base: Path) -> Self:
        """Validate a parsed file; an error names file and line. A table's path is relative to `base`, the folder of the file."""
        try:
            study = cls.model_validate(located.tree)
            study.check_draws()
        except StudyError as error:
            raise located.locate(error) from None
        kind, colon, file = study.data.name.partition(":")
        if colon and kind in TABLE_KINDS and os.path.exists(base / file):  # unlike Path.exists, never raises
            data = study.data.model_copy(update={"name": f"{kind}:{(base / file).resolve()}"})
            study = study.model_copy(update={"data": data})
        study._located = located
        return study

    def located(self, error: StudyError) -> StudyError:
        """Return the error with file and line if this study came from a file."""
        return self._located.locate(error) if self._located else error

    def draws(self) -> Iterator[Params]:
        """Yield the draws of a random or grid search in order; draw i depends on the seed and on i alone."""
        space, first = self.parsed, self.first_draws()
        if self.search.grid:
            yield from grid_draws(space, first)
            return
        points = sobol_points(space, derive(self.seed, "sobol")) if self.search.qmc else itertools.repeat(None)
        for number, point in enumerate(points):
            choose = random_chooser(self.seed, number, point)
            yield resolve(space, with_fixed(first[number], choose) if number < len(first) else choose)

    def first_draws(self) -> list[Fixed]:
        """Return the values that are fixed in the first draws: those of `first`, and then all priors, if there are any."""
        return [*map(given, self.first), *([prior] if has_priors(self.parsed) else [])]

    def check_draws(self) -> None:
        """Refuse a space with draws that are no valid trial, before anything is trained."""
        for params in itertools.islice(self.draws(), min(self.number_of_trials, 200)):
            to_config(params)

    @property
    def parsed(self) -> Space:
        """The space as a tree of domains."""
        return parse_space(self.space)

    @property
    def number_of_trials(self) -> int:
        """The number of draws that the study makes."""
        if not self.search.grid:
            return self.trials or DEFAULT_TRIALS
        count = combinations(self.parsed.nodes)
        return min(count, self.trials or count)

    def bound(self, task: Task) -> BoundStudy:
        """Return the study for data of this task: open choices are made, impossible ones are refused."""
        metric = cast("Metric", self.metrics[0]) if self.metrics else self.metric or DEFAULT_METRIC[task]
        asked = {"metrics": measured(self.metrics)} if self.metrics else {"metric": [metric]}
        check_known(task, {**asked, "measure": self.measure})
        losses = CLASSIFICATION_LOSSES if task == "classification" else REGRESSION_LOSSES
        wrong = [loss for loss in self._losses(task) if loss not in losses]
        if wrong:
            raise StudyError(
                f"regression data trains with {', '.join(losses)}, got {', '.join(wrong)}", ("space", "loss")
            )
        if task == "regression" and "balanced" in self.parsed.values_of("class_weight"):
            raise StudyError("regression data has no classes, got class_weight balanced", ("space", "class_weight"))
        space = self.space
        if task == "regression" and not self.parsed.values_of("loss"):
            space = {**space, "loss": DEFAULT_LOSS[task]}
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        settings |= {
            "metric": metric,
            "mode": self.mode or BETTER[metric.removeprefix("val_")],
            "space": space,
            "trials": self.number_of_trials,
        }
        bound = BoundStudy.model_construct(**settings)
        bound._located = self._located
        return bound

    def _losses(self, task: Task) -> list[Loss]:
        """Return every loss that a trial may have."""
        found: list[Any] = self.parsed.values_of("loss")
        return found or [DEFAULT_LOSS[task]]

    def eager_only(self) -> str:
        """Name what only the eager engine can train in this space; empty if the compiled engine can train all of it."""
        for path, node in self.parsed.walk():
            name = path.split(".")[-1]
            if isinstance(node, Constant | Branch | Domain) and name in EAGER_ONLY:
                values = node.options if isinstance(node, Branch) else _possible(node)
                if reason := EAGER_ONLY[name](values):
                    return reason
        return ""

    def dump(self) -> str:
        """Return the study as YAML with every default written out; it loads again."""
        tree = self.model_dump(exclude={"space"}, mode="json")
        tree = {name: self.space if name == "space" else tree[name] for name in type(self).model_fields}
        for name in ("search", "scheduler", "until"):
            tree[name] = {key: value for key, value in tree[name].items() if value is not None}
        return dump_yaml(tree)


class BoundStudy(Study):
    """A study whose data are known: its metric, mode and number of trials are filled in, and its losses fit the task."""

    metric: Metric
    """The metric that trials are ranked by."""
    mode: Mode
    """Whether the smallest or the largest metric is best."""
    trials: Trials
    """The number of draws that are trained."""

    @property
    def ranking(self) -> tuple[Metric, Mode]:
        """The metric that trials are ranked by, and whether its smallest or largest value is best."""
        return self.metric, self.mode

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals of the study, the metric first."""
        return Goal(*self.ranking), *map(usual_goal, self.metrics[1:])

    @property
    def further(self) -> tuple[str, ...]:
        """The scores that are measured beside those of the task, the one that trials are ranked by first."""
        return further_scores((self.metric, *measured(self.metrics), *self.measure))

    def not_repeatable(self, at_once: int) -> str:
        """Return why another run may draw other trials, or an empty text if it draws the same."""
        if not self.search.learns or at_once < 2 or self.trials <= self.search.startup:
            return ""
        return (
            f"{self.search.name} with {at_once} trials at once learns from them in the order in which they end: another run may draw other "
            "trials; with concurrent=1 it draws the same"
        )

    def check_models(self, dataset: Dataset) -> None:
        """Refuse a space with nets that can't be trained on these data, before a trial fails because of it."""
        for params in itertools.islice(self.draws(), min(self.number_of_trials, 200)):
            check_model(to_config(params), dataset)

    def warnings(self) -> list[str]:
        """Return warnings about settings that are allowed and yet are probably mistakes."""
        metric, mode = self.ranking
        found = list(doubts_about_goals(self.metrics, self.scheduler))
        losses = set(self._losses("classification"))
        if metric == "val_loss" and len(losses) > 1:
            found.append(
                f"trials are ranked by val_loss while the loss itself is searched ({', '.join(sorted(losses))}): losses "
                "of different kinds can't be compared; rank by val_accuracy or val_rmse"
            )
        if mode != BETTER[metric.removeprefix("val_")]:
            found.append(f"mode {mode} ranks the worst {metric} first")
        if len(self.first) > self.trials:
            found.append(
                f"first names the settings of {len(self.first)} trials, and only trials={self.trials} are trained"
            )
        found += doubts_about_scheduler(self.scheduler, self.epochs)
        found += doubts_about_search(self.search, self.scheduler, self.trials, self.metrics)
        return found


def _possible(node: Constant | Domain) -> Collection[Any]:
    return (node.value,) if isinstance(node, Constant) else node.extremes()
