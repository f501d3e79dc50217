"""A run as a folder for TensorBoard: a run for each trial with its curves and settings, and the winner's weights as histograms."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import histogram, text

from tune_mlp.errors import StorageError, UsageError
from tune_mlp.exports.trial_history import RunHistory, TrialHistory, plain, run_history
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results

# A SummaryWriter starts a thread and a queue for each run, and stamps events with the present time. So the records are written
# here, by the same package's own parts; tried with tensorboardX 2.6.

STATUS = {
    None: "STATUS_RUNNING",
    TrialState.FINISHED: "STATUS_SUCCESS",
    TrialState.STOPPED: "STATUS_SUCCESS",
    TrialState.DIVERGED: "STATUS_FAILURE",
    TrialState.FAILED: "STATUS_FAILURE",
}
BINS = 64
"""The bars of a histogram of weights."""


def export_tensorboard(results: Results, output: str) -> str:
    """Write a run as a folder for TensorBoard; return a line that says what was written."""
    run = run_history(results)
    weights = _weights(results)
    with _new_folder(Path(output)) as folder:
        width = len(str(max((trial.number for trial in run.trials), default=0)))
        for trial in run.trials:
            layers = weights if trial.number == run.best else {}
            _write(folder / f"trial-{trial.number:0{width}}", run, trial, layers)
    values = sum(len(metrics) for trial in run.trials for metrics in trial.curve.values())
    return f"{len(run.trials)} runs with {values} values, and histograms of {len(weights)} layers"


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write in, which gets its name at the end; it goes if anything fails."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"--output {path}: is there already; name a new folder")
    aside = path.absolute().with_name(f".{secrets.token_hex(8)}.{path.name[-64:]}")
    try:
        aside.mkdir()
        try:
            yield aside
            os.replace(aside, path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        raise StorageError(f"{path}: can't be written: {error.strerror or error}") from None


def _weights(results: Results) -> dict[str, np.ndarray[Any, Any]]:
    """Return the winner's weights by layer; none while a run goes on."""
    if not (results.path / "best" / "model.pt").exists():
        return {}
    net = FittedModel.load(results.path / "best").module
    return {name: tensor.detach().cpu().double().numpy() for name, tensor in net.named_parameters()}


def _write(folder: Path, run: RunHistory, trial: TrialHistory, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    folder.mkdir()
    # The name's digits are a time: TensorBoard reads the files of a folder in their order.
    writer = RecordWriter(str(folder / f"events.out.tfevents.{int(trial.began)}.tune_mlp"))
    try:

        def add(summary: Any, step: int, at: float) -> None:
            writer.write(Event(wall_time=at, step=step, summary=summary).SerializeToString())

        writer.write(Event(wall_time=trial.began, file_version="brain.Event:2").SerializeToString())
        if trial is run.trials[0]:  # TensorBoard takes the description of all runs from the first that has one
            add(_plugin("experiment", experiment=_experiment(run)), 0, trial.began)
        add(_plugin("session_start_info", session_start_info=_start(trial)), 0, trial.began)
        add(text("trial", "\n".join(f"    {name}: {fact}" for name, fact in trial.facts.items())), 0, trial.began)
        for epoch, metrics in trial.curve.items():
            add(_scalars(metrics), epoch, trial.times[epoch])
        last = trial.ended or max(trial.times.values(), default=trial.began)
        final = {**({} if trial.score is None else {f"best_{run.metric}": trial.score}), **trial.tested}
        if final:
            add(_scalars(final), trial.best_epoch or 0, last)
        for name, values in weights.items():
            add(histogram(f"weights/{name}", values, BINS), trial.best_epoch or 0, last)
        if trial.state is not None:
            end = SessionEndInfo(status=Status.Value(STATUS[trial.state]), end_time_secs=last)
            add(_plugin("session_end_info", session_end_info=end), 0, last)
    finally:
        writer.close()


def _scalars(values: Mapping[str, float]) -> Any:
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _plugin(tag: str, **content: Any) -> Any:
    """Return a record of TensorBoard's table of hyperparameters."""
    data = HParamsPluginData(version=0, **content).SerializeToString()
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=data))
    return Summary(value=[Summary.Value(tag=f"_hparams_/{tag}", metadata=metadata)])


def _start(trial: TrialHistory) -> Any:
    start = SessionStartInfo(start_time_secs=trial.began)
    for name, value in trial.params.items():
        match plain(value):
            case bool(flag):
                start.hparams[name].bool_value = flag
            case int(number) | float(number):
                start.hparams[name].number_value = number
            case str(words):
                start.hparams[name].string_value = words
    return start


def _experiment(run: RunHistory) -> Any:
    kinds: dict[str, set[type]] = {}
    for trial in run.trials:
        for name, value in trial.params.items():
            kinds.setdefault(name, set()).add(type(plain(value)))
    metrics = [f"best_{run.metric}", *dict.fromkeys(name for trial in run.trials for name in trial.tested)]
    return Experiment(
        description="; ".join(f"{name}: {fact}" for name, fact in run.facts.items()),
        time_created_secs=run.trials[0].began,
        hparam_infos=[HParamInfo(name=name, type=DataType.Value(_kind(found))) for name, found in kinds.items()],
        metric_infos=[MetricInfo(name=MetricName(tag=name), display_name=name) for name in metrics],
    )


def _kind(kinds: set[type]) -> str:
    """Return TensorBoard's name for the kind of a parameter's values; text and numbers in one column are of no kind."""
    found = kinds - {type(None)}
    if found == {bool}:
        return "DATA_TYPE_BOOL"
    if found == {str}:
        return "DATA_TYPE_STRING"
    return "DATA_TYPE_FLOAT64" if found <= {int, float} else "DATA_TYPE_UNSET"
