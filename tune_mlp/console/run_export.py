"""`tune-mlp export`: one of a run's tables, its winner's model, or the whole run, as a file of another kind."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tune_mlp.errors import UsageError
from tune_mlp.results.export import export
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore, without_secrets

ENDINGS = {"csv": "csv", "parquet": "parquet", "json": "json", "xlsx": "xlsx", "markdown": "md"}
"""The formats of tables, each with the ending of the file's name."""

TOOLS = {"optuna": "optuna.db", "tensorboard": "tensorboard", "mlflow": "mlflow.db"}
"""The tools that take a whole run, each with the name of the file or folder that it gets in the run's folder."""
NO_TEXT = ("parquet", "xlsx", "onnx", *TOOLS)
"""The formats that can't be written to the standard output."""


class Asked(NamedTuple):
    """What is asked for beside the format."""

    what: str | None
    """The table."""
    output: str | None
    name: str | None
    """The name of the study or the experiment in a database."""


def export_run(run: str, to: str, asked: Asked) -> None:
    """Write a table in the format that was asked for, the winner as an ONNX model, or the run for another tool."""
    on_screen = asked.output == "-"
    if on_screen and to in NO_TEXT:
        raise UsageError(f"--to {to} is no text; give --output a file")
    if asked.name is not None and to not in ("optuna", "mlflow"):
        raise UsageError(f"--name names a study or an experiment in a database; --to {to} has none")
    if asked.what is not None and to in ("onnx", *TOOLS):
        wrote = "the winner's model" if to == "onnx" else "the whole run"
        raise UsageError(f"--to {to} writes {wrote}; --what names a table")
    results = Results.load(run)
    if to in TOOLS:
        _export_run(results, to, asked)
        return
    output = None if asked.output is None else Path(asked.output)
    if to == "onnx":
        _export_model(results, output)
        return
    table = asked.what or "trials"
    frame = getattr(results, table)
    name = f"{table}.{ENDINGS[to]}"
    if on_screen:
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            export(frame, path, to)
            sys.stdout.buffer.write(path.read_bytes())
        return
    path = _path(output, results.path / name)
    export(frame, path, to)
    print(f"{_kept(results, output, path, name)}: {len(frame)} {table}, {len(frame.columns)} columns")


def _export_run(results: Results, to: str, asked: Asked) -> None:
    if asked.output is None and isinstance(results.where, ObjectStore):
        raise UsageError(f"--to {to}: the run is on an object store; give --output a place on this machine")
    output = asked.output or str(results.path / TOOLS[to])
    if to == "optuna":
        from tune_mlp.exports.optuna_study import export_optuna  # optuna takes 0.3 s to import

        written = export_optuna(results, output, asked.name)
    elif to == "mlflow":
        from tune_mlp.exports.mlflow_runs import export_mlflow

        written = export_mlflow(results, output, asked.name)
    else:
        from tune_mlp.exports.tensorboard_runs import export_tensorboard  # torch takes 2 s to import

        written = export_tensorboard(results, output)
    print(f"{without_secrets(output)}: {written}")


def _export_model(results: Results, output: Path | None) -> None:
    from tune_mlp.prediction.fitted_model import FittedModel  # torch takes 2 s to import, and no table needs it
    from tune_mlp.prediction.onnx_export import export_onnx

    path = _path(output, results.path / "best" / "model.onnx")
    model = FittedModel.load(results.path / "best")
    export_onnx(model, path)
    inputs = f"{model.n_features_in_} inputs" if len(model.feature_names_in_) == 0 else "an input for each column"
    print(f"{_kept(results, output, path, 'best/model.onnx')}: the winner's model, with {inputs} that it scales itself")


def _path(output: Path | None, usual: Path) -> Path:
    """Return the file to write."""
    path = output or usual
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    return path


def _kept(results: Results, output: Path | None, path: Path, name: str) -> str:
    """Copy a file to the run's object store, if it has one and no output was named; return where the file is."""
    if isinstance(results.where, ObjectStore) and output is None:  # the path is then in a copy
        results.where.write(name, path.read_bytes())
        return str(results.where.within(name))
    return str(path)
