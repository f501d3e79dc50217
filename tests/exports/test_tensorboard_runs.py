"""The export to TensorBoard: what TensorBoard's own readers say of it is what the run says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.exports.runs import a_run
from tests.results.journals import AT, drawn, record, started, trained, trial
from tune_mlp.errors import StorageError, UsageError
from tune_mlp.exports import tensorboard_runs
from tune_mlp.exports.tensorboard_runs import export_tensorboard
from tune_mlp.results.results import Results

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorBoard's own imports


def read(folder: Path):
    """Return TensorBoard's accumulators by the name of the run."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    runs = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    return {name: runs.GetAccumulator(name) for name in sorted(runs.Runs())}


def scalars(run, tag: str) -> list[tuple[int, float]]:
    from tensorboard.util.tensor_util import make_ndarray

    return [(event.step, make_ndarray(event.tensor_proto).item()) for event in run.Tensors(tag)]


def hparams(run, tag: str):
    from tensorboard.plugins.hparams import metadata

    content = run.PluginTagToContent("hparams").get(f"_hparams_/{tag}")
    return None if content is None else getattr(metadata, f"parse_{tag}_plugin_data")(content)


def test_tensorboard_reads_a_run_for_each_trial_with_its_curves(tmp_path: Path) -> None:
    results = a_run(tmp_path / "run")
    line = export_tensorboard(results, str(tmp_path / "tb"))
    runs = read(tmp_path / "tb")
    assert list(runs) == ["trial-0", "trial-1", "trial-2", "trial-3"]
    assert scalars(runs["trial-0"], "val_accuracy") == [(1, 0.5), (2, 0.75), (3, pytest.approx(0.7))]
    assert math.isnan(scalars(runs["trial-2"], "val_accuracy")[1][1])
    count = sum(
        len(run.Tensors(tag))
        for run in runs.values()
        for tag in run.Tags()["tensors"]
        if tag.startswith(("val", "tr")) and "/" not in tag
    )
    assert f"4 runs with {count} values" in line
    assert count == 4 * len(results.epochs) == 24
    assert results.best is not None
    assert scalars(runs["trial-0"], "best_val_accuracy") == [(2, results.best["best_val_accuracy"])]
    assert [event.wall_time for event in runs["trial-0"].Tensors("val_loss")] == [AT + 3, AT + 4, AT + 5]
    assert runs["trial-0"].FirstEventTimestamp() == AT + 2


def test_the_table_of_hyperparameters_has_the_settings_the_final_metric_and_the_end(tmp_path: Path) -> None:
    export_tensorboard(a_run(tmp_path / "run"), str(tmp_path / "tb"))
    runs = read(tmp_path / "tb")
    experiment = hparams(runs["trial-0"], "experiment")
    assert [info.name for info in experiment.hparam_infos] == ["lr", "optimizer", "optimizer.sgd.momentum", "widths"]
    assert [info.name.tag for info in experiment.metric_infos] == ["best_val_accuracy", "test_loss", "test_accuracy"]
    start = hparams(runs["trial-1"], "session_start_info")
    assert start.hparams["lr"].number_value == 1e-4
    assert start.hparams["widths"].string_value == "[64, 128]"
    assert "optimizer.sgd.momentum" not in start.hparams
    ends = [hparams(run, "session_end_info").status for run in runs.values()]
    assert ends == [1, 1, 2, 2]  # success and failure


def test_an_open_trial_is_running(tmp_path: Path) -> None:
    events = [started(), *trial(0, 0.5), drawn(1), trained(1, record(1, 0.5, 0.5, 0.5, 0.6)), drawn(2)]
    export_tensorboard(a_run(tmp_path / "run", events), str(tmp_path / "tb"))
    runs = read(tmp_path / "tb")
    assert [hparams(run, "session_end_info") is None for run in runs.values()] == [False, True, True]


def test_what_is_there_is_not_overwritten_and_half_an_export_goes(tmp_path: Path, monkeypatch) -> None:
    results = a_run(tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "empty").mkdir()
    for output, error, words in (
        (tmp_path / "full", UsageError, "is there already; name a new folder"),
        (tmp_path / "full" / "mine", UsageError, "is there already; name a new folder"),
        (tmp_path / "no" / "folder", UsageError, "there is no folder"),
        (Path("/proc/tb"), StorageError, "can't be written"),
    ):
        with pytest.raises(error, match=words):
            export_tensorboard(results, str(output))
    export_tensorboard(results, str(tmp_path / "empty"))
    assert len(list((tmp_path / "empty").iterdir())) == 4

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tensorboard_runs, "_start", broken)
    with pytest.raises(KeyboardInterrupt):
        export_tensorboard(results, str(tmp_path / "tb"))
    assert {path.name for path in tmp_path.iterdir()} == {"run", "full", "empty"}


def test_the_winners_weights_are_histograms(tmp_path: Path, monkeypatch) -> None:
    import numpy as np

    weights = {"layers.0.weight": np.linspace(-1, 1, 100).reshape(10, 10)}
    monkeypatch.setattr(tensorboard_runs, "_weights", lambda results: weights)
    results: Results = a_run(tmp_path / "run")
    export_tensorboard(results, str(tmp_path / "tb"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulators = {path.name: EventAccumulator(str(path)).Reload() for path in (tmp_path / "tb").iterdir()}
    assert results.best is not None
    assert {name for name, run in accumulators.items() if run.Tags()["histograms"]} == {
        f"trial-{results.best['trial']}"
    }
    (event,) = accumulators["trial-0"].Histograms("weights/layers.0.weight")
    assert event.histogram_value.num == 100
    assert event.step == 2
