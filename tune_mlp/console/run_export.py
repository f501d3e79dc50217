"""`tune-mlp export`: one of a run's tables, or its winner's model, as a file of another kind."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tune_mlp.errors import UsageError
from tune_mlp.results.export import export
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore

ENDINGS = {"csv": "csv", "parquet": "parquet", "json": "json", "xlsx": "xlsx", "markdown": "md"}
"""The formats of tables, each with the ending of the file's name."""

NO_TEXT = ("parquet", "xlsx", "onnx")
"""The formats that can't be written to the standard output."""


def export_run(run: str, to: str, what: str | None, output: Path | None) -> None:
    """Write a table in the format that was asked for, or the winner as an ONNX model."""
    on_screen = str(output) == "-"
    if on_screen and to in NO_TEXT:
        raise UsageError(f"--to {to} is no text; give --output a file")
    results = Results.load(run)
    if to == "onnx":
        _export_model(results, what, output)
        return
    table = what or "trials"
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


def _export_model(results: Results, what: str | None, output: Path | None) -> None:
    from tune_mlp.prediction.fitted_model import FittedModel  # torch takes 2 s to import, and no table needs it
    from tune_mlp.prediction.onnx_export import export_onnx

    if what is not None:
        raise UsageError("--to onnx writes the winner's model; --what names a table")
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
