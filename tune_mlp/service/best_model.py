"""The best model of a study, for predictions: the winner's from `best/`, or while a search goes on the best trial's weights so far.

Nothing is unpickled but tensors and plain values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.errors import TuneMlpError, one_line
from tune_mlp.results.state import RunState
from tune_mlp.service.faults import Conflict, ServiceFault
from tune_mlp.service.messages import StudyState, StudySummary
from tune_mlp.service.studies import StudyService

if TYPE_CHECKING:  # PyTorch takes two seconds to import, and most requests need none of it
    from tune_mlp.data.dataset import Problem
    from tune_mlp.prediction.fitted_model import FittedModel
    from tune_mlp.study.study import Study

MOST_MODELS, MOST_PROBLEMS = 8, 2
"""How many models and datasets are kept in memory."""
GOING_ON = (StudyState.RUNNING, StudyState.STOPPING)


@dataclass(frozen=True)
class BestModel:
    """A model with where it comes from."""

    model: FittedModel
    trial: int
    epoch: int
    final: bool
    low: float | None = None
    """The least value of a pixel in the data."""
    high: float | None = None


class BestModels:
    """Loads the best models of studies, and keeps those that were asked for last. Its methods may be called from any thread."""

    def __init__(self, service: StudyService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._models: OrderedDict[Hashable, BestModel] = OrderedDict()
        self._problems: OrderedDict[Hashable, tuple[Study, Problem]] = OrderedDict()

    def load(self, name: str) -> BestModel:
        """Return the best model of a study; a Conflict says why there is none."""
        summary = self._service.get(name)
        folder = self._service.folder(name)
        with self._lock:
            try:
                if summary.state not in GOING_ON and (folder / "best" / "trial.json").is_file():
                    return self._winner(name, folder, summary)
                return self._so_far(name, folder, summary)
            except ServiceFault:
                raise
            except (TuneMlpError, OSError, KeyError, ValueError, RuntimeError) as error:
                raise Conflict(f"{name}: the best model can't be read: {one_line(error, 300)}") from None

    def _winner(self, name: str, folder: Path, summary: StudySummary) -> BestModel:
        from tune_mlp.prediction.fitted_model import FittedModel

        files = [(folder / "best" / file).stat() for file in ("trial.json", "model.pt")]
        key = name, *((found.st_ino, found.st_mtime_ns, found.st_size) for found in files)
        if (kept := self._kept(key)) is not None:
            return kept
        model = FittedModel.load(folder / "best")
        trial, epoch = int(model.description.get("trial", 0)), int(model.description.get("epoch", 0))
        low, high = self._pixels(name, model)
        return self._keep(key, BestModel(model, trial, epoch, summary.state == StudyState.FINISHED, low, high))

    def _so_far(self, name: str, folder: Path, summary: StudySummary) -> BestModel:
        results = self._service.results(name)
        state = RunState.of(results.events)
        trial = state.best
        if trial is None:
            raise Conflict(f"{name}: no trial has a score yet, so there is no best model")
        from tune_mlp.tuning.trial_files import weights_files

        found = sorted((folder / "checkpoints").glob(weights_files(trial)))
        if not found:
            raise Conflict(f"{name}: the weights of trial {trial}, the best so far, aren't in its folder")
        epoch = int(found[-1].stem.rpartition("-")[2])
        key = name, trial, epoch
        if (kept := self._kept(key)) is not None:
            return kept
        from tune_mlp.models.build import build_model
        from tune_mlp.prediction.fitted_model import FittedModel
        from tune_mlp.space.domains import as_value
        from tune_mlp.space.space import to_config
        from tune_mlp.training import checkpoint
        from tune_mlp.training.description import describe_model

        study, problem = self._problem(name)
        config = to_config({path: as_value(value) for path, value in results.params[trial].items()})
        description = describe_model(config, problem.dataset, problem.folds[0], study.data)
        shape = tuple(problem.dataset.shape)
        module = build_model(description["inputs"], shape, description["outputs"], config, seed=0)
        module.load_state_dict(checkpoint.load(found[-1])["folds"][0])
        model = FittedModel(module.eval(), description | {"trial": trial, "epoch": epoch})
        low, high = self._pixels(name, model)
        return self._keep(key, BestModel(model, trial, epoch, False, low, high))

    def _pixels(self, name: str, model: FittedModel) -> tuple[float | None, float | None]:
        """Return the least and the largest value of a pixel; None where samples aren't pictures or the data can't be read."""
        import numpy as np

        if not model.description.get("shape"):
            return None, None
        try:
            x = self._problem(name)[1].dataset.x
        except TuneMlpError:
            return None, None
        return (0.0, 255.0) if x.dtype == np.uint8 else (float(np.nanmin(x)), float(np.nanmax(x)))

    def _problem(self, name: str) -> tuple[Study, Problem]:
        """Return a study and its data, which must be those that the run learnt from."""
        from tune_mlp.explain.data_source import DataSource
        from tune_mlp.explain.trained_net import load_problem

        results = self._service.results(name)
        key = name, str(results.manifest.get("started"))
        if key not in self._problems:
            self._problems[key] = load_problem(results, DataSource(self._service.options.data_dir))
            if len(self._problems) > MOST_PROBLEMS:
                self._problems.popitem(last=False)
        self._problems.move_to_end(key)
        return self._problems[key]

    def _kept(self, key: Hashable) -> BestModel | None:
        if key in self._models:
            self._models.move_to_end(key)
        return self._models.get(key)

    def _keep(self, key: Hashable, model: BestModel) -> BestModel:
        self._models[key] = model
        if len(self._models) > MOST_MODELS:
            self._models.popitem(last=False)
        return model
