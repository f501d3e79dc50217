"""The end of a study: best weights meet the test part, once, and the winner's are saved as plain PyTorch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Fold, Problem
from tune_mlp.engines.choose import engine as engine_named
from tune_mlp.errors import RunError
from tune_mlp.records import metric_names
from tune_mlp.results.export import export
from tune_mlp.results.results import STEPS, Results
from tune_mlp.results.storage import Storage
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import to_config
from tune_mlp.study.study import BoundStudy
from tune_mlp.training import checkpoint
from tune_mlp.training.description import describe_model
from tune_mlp.training.job import TrainJob
from tune_mlp.training.retrain import Diverged, retrain, score_retrained, without_validation
from tune_mlp.training.threads import threads
from tune_mlp.training.trainer import Trainer, Weights, copied, test_weights
from tune_mlp.tuning.trial_files import step_files, weights_file


@dataclass(frozen=True)
class Examined:
    """A trial's best weights, or those of a net that was trained again in their place, with its test scores."""

    trial: int
    config: TrialConfig
    weights: Weights
    """Those that best/ keeps: of several folds or seeds the first one's."""
    fold: Fold
    """Whose scaling these weights expect."""
    scores: dict[str, float]
    """The test scores that the journal holds; empty if there is no test part."""
    nets: int
    """The number of nets that were trained again, whose average the weights are; 0 if none was."""
    note: str = ""
    """What a person should know of it."""


class Examiner:
    """Tests trials of a study that has ended."""

    def __init__(self, study: BoundStudy, problem: Problem, engine: str, files: Storage, results: Results) -> None:
        self._study, self._problem, self._results = study, problem, results
        self._engine = engine_named(engine)
        self._files = files
        self._rows = results.trials.set_index("trial")

    @cached_property
    def _whole(self) -> Problem:
        return without_validation(self._problem, self._study.data)

    def examine(self, trial: int) -> Examined:
        """Test a trial. With several folds or seeds the scores are the mean over them."""
        config = to_config(self._params(trial))
        job = self._job(trial, config)
        kept, note = self._kept(trial, job)
        if nets := int(self._study.retrain):
            again = replace(job, problem=self._whole, epochs=int(self._rows["best_epoch"][trial]))
            models = retrain(again, nets)
            if not isinstance(models, Diverged):
                weights, scores = copied(models[0].state_dict()), score_retrained(again, models)
                return Examined(trial, config, weights, self._whole.folds[0], scores, nets, note)
            diverged = f"trial {trial} diverged when it was trained anew on all samples; its validated weights are kept"
            note = "; ".join(part for part in (note, diverged) if part)
        tested = test_weights(job, kept)
        return Examined(trial, config, kept[0], self._problem.folds[0], tested, nets=0, note=note)

    def _params(self, trial: int) -> dict[str, Any]:
        return {path: as_value(value) for path, value in self._results.params[trial].items()}

    def _job(self, trial: int, config: TrialConfig) -> TrainJob:
        study, (metric, mode) = self._study, self._study.ranking
        return TrainJob(
            config,
            self._problem,
            self._engine,
            seed=int(self._rows["seed"][trial]),
            metric=metric,
            mode=mode,
            epochs=study.epochs,
            seeds=study.seeds,
            further=study.further,
        )

    def _kept(self, trial: int, job: TrainJob) -> tuple[list[Weights], str]:
        """Return a trial's best weights, and a warning about them. If the file was lost or damaged, the trial is trained again."""
        best_epoch = int(self._rows["best_epoch"][trial])
        name = weights_file(trial, best_epoch)
        try:
            if (content := self._files.read(name)) is None:
                raise RunError(f"{name} isn't in {self._files}")
            return checkpoint.unpacked(content, f"{self._files}/{name}")["folds"], ""
        except (RunError, KeyError) as error:
            lost = str(error)
        metric = job.metric
        with threads(self._study.resources.threads):  # as its worker did: what rounding comes to depends on it
            trainer = Trainer(job)
            trainer.step(best_epoch)
        before, now = float(self._rows[f"best_{metric}"][trial]), trainer.best_metrics.get(metric)
        if trainer.best_epoch != best_epoch or now is None or not math.isclose(now, before, rel_tol=1e-6):
            raise RunError(
                f"trial {trial}'s best weights are lost ({lost}); trained anew, its {metric} is {now} in epoch "
                f"{trainer.best_epoch}, where the journal has {before} in epoch {best_epoch}. The tables are saved"
            )
        return trainer.best_weights(), f"trial {trial} was trained anew for its best weights: {lost}"

    def save(self, examined: Examined, folder: Path) -> None:
        """Write model.pt and trial.json; of several folds or seeds the first one's model."""
        row: dict[Any, Any] = self._rows.loc[examined.trial].to_dict()
        dataset = self._problem.dataset
        checkpoint.save_model(
            folder,
            examined.weights,
            {
                "trial": examined.trial,
                "params": self._params(examined.trial),
                **describe_model(examined.config, dataset, examined.fold, self._study.data, nets=max(1, examined.nets)),
                "epoch": int(row["best_epoch"]),
                "retrained": examined.nets > 0,
                "metrics": {
                    name: row[f"best_{name}"] for name in metric_names(dataset.task, "val", self._study.further)
                },
                "test": examined.scores,
            },
        )


def is_saved(folder: Path, trial: int) -> bool:
    """True if the folder holds this trial's model. Its description is written last."""
    try:
        description = json.loads((folder / checkpoint.DESCRIPTION).read_text(encoding="utf-8"))
        return (folder / checkpoint.MODEL).is_file() and description["trial"] == trial
    except (OSError, ValueError, KeyError, TypeError):
        return False


def save_steps(results: Results, folds: int, files: Storage, run: Path) -> None:
    """Write steps.parquet: a row for each step of the trials whose steps were kept."""
    parts: list[pd.DataFrame] = []
    for trial in results.trials["trial"]:
        for name in files.names(step_files(int(trial))):
            epoch = checkpoint.unpacked(files.read(name) or b"", f"{files}/{name}")
            for place, losses in enumerate(epoch["runs"]):
                repeat, fold = divmod(place, folds)
                part = pd.DataFrame({"step": np.arange(1, len(losses) + 1), "loss": losses.numpy()})
                parts.append(part.assign(trial=int(trial), epoch=epoch["epoch"], repeat=repeat, fold=fold))
    columns = ["trial", "epoch", "repeat", "fold", "step", "loss"]
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    alone = [name for name in ("repeat", "fold") if table[name].max() == 0]
    export(table.drop(columns=alone), run / STEPS, "parquet")
