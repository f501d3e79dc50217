"""The winner of a search as an estimator of scikit-learn: it answers for new samples, and trains again on others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from tune_mlp.config import DEFAULT_LOSS, MAX_NETS, eager_only
from tune_mlp.data.arrays import as_float32, class_name, frozen
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.table import make_table
from tune_mlp.data.tabular import Inputs
from tune_mlp.data_settings import DataSettings
from tune_mlp.engines.choose import choose_engine, engine
from tune_mlp.errors import DataError, RunError, RunFolderError, UsageError, one_line
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.records import Task
from tune_mlp.space.space import to_config
from tune_mlp.training.checkpoint import DESCRIPTION
from tune_mlp.training.description import describe_model
from tune_mlp.training.job import TrainJob
from tune_mlp.training.retrain import Diverged, retrain, without_validation

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

SAMPLES = Path("X")
"""What errors call the samples that `fit` is given."""
ENCODING = ("kinds", "dates", "missing", "na_values", "max_categories", "scale", "normalize", "scale_target")
"""The settings of a study's data that decide how samples are encoded."""


class _TunedEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What classifier and regressor share."""

    _task: Task

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        epochs: int = 60,
        seed: int = 0,
        data: Mapping[str, Any] | None = None,
        engine: str = "auto",
        nets: int = 1,
    ) -> None:
        self.params = params
        """A trial's parameters by their paths, as a row of `results.params` has them; the others have their defaults."""
        self.epochs = epochs
        """The number of epochs that `fit` trains."""
        self.seed = seed
        """The seed of the initial weights, the batches and dropout."""
        self.data = data
        """How samples are encoded: settings under `data` of a study, such as `{"missing": "fill"}`."""
        self.engine = engine
        """The engine that trains: eager, compiled or auto."""
        self.nets = nets
        """The number of nets that `fit` trains, from as many seeds; their answers are averaged."""

    def fit(self, X: Any, y: Any) -> Self:
        """Train the configuration anew on all these samples: a data frame, or an array of numbers."""
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = np.asarray(y)
        if self._task == "classification" or y.ndim != 2:
            y = column_or_1d(y, warn=True)
        if type(self.nets) is not int or not 1 <= self.nets <= MAX_NETS:
            raise UsageError(f"nets must be a whole number from 1 to {MAX_NETS}, got {self.nets!r:.40}")
        settings = self._settings()
        frame, y = self._checked(X, y, settings, reset=True)
        if len(frame) != len(y):
            raise DataError(f"X has {len(frame)} samples, and y has {len(y)}")
        if len(frame) < 2:
            raise DataError(f"n_samples={len(frame)}: 2 samples are needed at least")
        dataset = self._dataset(frame, y, settings)
        problem = without_validation(Problem(dataset, ()), settings)
        params = {"loss": DEFAULT_LOSS[self._task], **(self.params or {})}
        config = to_config(params)
        name, _ = choose_engine(self.engine, eager_only=eager_only(config))
        job = TrainJob(config, problem, engine(name), self.seed, "train_loss", "min", self.epochs)
        models = retrain(job, self.nets)
        if isinstance(models, Diverged):
            raise RunError(f"the training diverged in epoch {models.epoch}: its loss isn't finite")
        description = describe_model(config, dataset, problem.folds[0], settings, self.nets)
        self.model_ = FittedModel(models[0], description)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each sample, or a number in the target's own unit."""
        return self._answers(self._outputs(X))

    @property
    def module(self) -> nn.Module:
        """The net as PyTorch, in evaluation mode; its inputs are scaled and encoded."""
        check_is_fitted(self)
        return self.model_.module

    def _answers(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        raise NotImplementedError

    def _dataset(self, frame: pd.DataFrame, y: NDArray[Any], settings: DataSettings) -> Dataset:
        """Return the samples as a dataset without a test part."""
        inputs = Inputs()
        table = make_table(SAMPLES, frame, "", settings, None)
        faults = [f"column {name!r} {fault}" for name, fault in table.faults.items()]
        for name in table.inputs:
            if name in table.columns:
                column = table.columns[name]
                if settings.missing in ("refuse", "drop") and (count := int(column.missing.sum())):
                    faults.append(
                        f"column {name!r} has {count} missing value(s): fill them, or set data.missing to fill"
                    )
                    continue
                try:
                    inputs.add(column, settings)
                except DataError as error:
                    faults.append(f"column {name!r} {error}")
        if faults:
            raise DataError(f"X: {'; '.join(faults[:5])}")
        if not inputs.columns:
            raise DataError(f"X: no feature varies: {', '.join(inputs.left_out[:5])}")
        x, targets = inputs.as_array(), self._targets(y)
        return Dataset(
            name="X",
            task=self._task,
            x=x,
            y=targets,
            x_test=x[:0],
            y_test=targets[:0],
            classes=tuple(map(class_name, self.classes_)) if self._task == "classification" else (),
            features=tuple(column.name for column in inputs.columns),
            columns=tuple(inputs.columns),
        )

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the targets as a dataset has them."""
        raise NotImplementedError

    def _settings(self) -> DataSettings:
        return DataSettings.model_validate({"name": "table:X", "test": 0.0, **(self.data or {})})

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        model = self.model_
        if not len(model.feature_names_in_):  # trained on pictures or arrays by a search
            return model.outputs(model.inputs(X)[0])
        return model.outputs(model.inputs(self._checked(X, None, self._settings(), reset=False)[0])[0])

    def _checked(self, X: Any, y: Any, settings: DataSettings, reset: bool) -> tuple[pd.DataFrame, NDArray[Any]]:
        """Return samples as a frame, and the targets; only arrays are checked by scikit-learn, which knows no text and dates."""
        import pandas as pd

        if isinstance(X, pd.DataFrame):
            if reset:
                self.n_features_in_ = X.shape[1]
                names = [name for name in X.columns if isinstance(name, str)]
                if len(names) == X.shape[1]:
                    self.feature_names_in_ = np.asarray(names, dtype=object)
                elif hasattr(self, "feature_names_in_"):
                    del self.feature_names_in_
                self._takes_arrays = False
                if y is not None and not pd.notna(y).all():
                    raise DataError("y contains NaN or None")
            elif self._takes_arrays:
                return self._checked(X.to_numpy(), y, settings, reset)
            return X, y
        if not reset and not self._takes_arrays:
            raise DataError(f"X must be a data frame with the columns {', '.join(self.model_.feature_names_in_[:10])}")
        holes = "allow-nan" if settings.missing in ("fill", "indicate") else True
        options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": holes, "reset": reset}
        if y is not None:
            options |= {"y": y, "multi_output": y.ndim == 2, "y_numeric": self._task == "regression"}
        checked = validate_data(self, X, **options)
        array, y = checked if y is not None else (checked, y)
        if reset:
            self._takes_arrays = True
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        return pd.DataFrame(array, columns=[f"x{place}" for place in range(array.shape[1])]), y

    @classmethod
    def _of(cls, model: FittedModel, seed: int, data: Mapping[str, Any]) -> Self:
        """Return the winner of a search as an estimator that is fitted."""
        description = model.description
        params, epochs, nets = dict(description["params"]), int(description["epoch"]), description.get("nets", 1)
        made = cls(params, epochs, seed, dict(data), nets=nets)
        made.model_ = model
        made._takes_arrays = False
        made.n_features_in_ = model.n_features_in_
        if len(model.feature_names_in_):
            made.feature_names_in_ = model.feature_names_in_
        return made


class TunedClassifier(ClassifierMixin, _TunedEstimator):  # type: ignore[misc]
    """A net that answers with classes."""

    _task = "classification"

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y must hold 2 classes at least, got one class: {self.classes_[0]!r}")
        return frozen(numbers.astype(np.int64))

    def _answers(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        found: NDArray[Any] = self.classes_[outputs.argmax(axis=1)] if len(outputs) else self.classes_[:0]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, [samples, classes], in the order of `classes_`."""
        outputs = self._outputs(X)
        return self.model_.probabilities(outputs)


class TunedRegressor(RegressorMixin, _TunedEstimator):  # type: ignore[misc]
    """A net that answers with numbers, in the target's own unit."""

    _task = "regression"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        numbers = as_float32(np.asarray(y, np.float64))
        return frozen(numbers if numbers.ndim == 2 else numbers[:, None])

    def _answers(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        return self.model_.answers(outputs)


def load_estimator(folder: Path, seed: int, data: Mapping[str, Any]) -> TunedClassifier | TunedRegressor:
    """Return the model in a run's folder `best/` as a fitted estimator; `data` are the settings under `data` of its study."""
    model = FittedModel.load(folder)
    encoding = {name: data[name] for name in ENCODING if name in data and data[name] not in (None, {}, [])}
    try:
        if model.task == "regression":
            return TunedRegressor._of(model, seed, encoding)
        made = TunedClassifier._of(model, seed, encoding)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunFolderError(f"{folder / DESCRIPTION}: can't be read: {one_line(error, 200)}") from error
    made.classes_ = model.classes_
    return made
