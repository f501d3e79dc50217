"""Tables of odd columns, odd names and damaged bytes become a dataset that keeps its contract, or are refused in one line."""

from __future__ import annotations

import datetime
import decimal
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.runner import CASES, ODD_NUMBERS, ODD_TEXT, damaged, put_no_regular_file, run_cases
from tune_mlp.data.arrays import check
from tune_mlp.data.profile import profile_table
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import CsvFormat, DataSettings

TEXT = [text for text in ODD_TEXT if text != "\ud800"]  # pandas can't hold it
NAMES = ["a", "b", "a=u", "y", "Y", "y ", "column 1", "", "é", "e\u0301", "level_0", "index", *TEXT]


DAY = datetime.date(2024, 1, 1)
Value = Callable[[random.Random, int], Any]
USUAL: list[Value] = [
    lambda rng, i: rng.gauss(0, 1),
    lambda rng, i: rng.gauss(1e9, 1e8),
    lambda rng, i: rng.randint(0, 3),
    lambda rng, i: i,
    lambda rng, i: rng.choice("uvw"),
    lambda rng, i: rng.choice([True, False]),
    lambda rng, i: 7,
]
ODD: list[Value] = [
    lambda rng, i: rng.choice(ODD_NUMBERS),
    lambda rng, i: rng.choice(TEXT),
    lambda rng, i: None,
    lambda rng, i: 1e-300 * i,
    lambda rng, i: 10**18 + i,
    lambda rng, i: f"id{i}",
    lambda rng, i: f"{rng.randint(0, 9999)},{rng.randint(0, 99)}",
    lambda rng, i: f"${rng.randint(0, 9999):,}.{rng.randint(0, 99)}",
    lambda rng, i: f"{rng.randint(1, 28)}/{rng.randint(1, 12)}/{rng.randint(1, 9999)}",
    lambda rng, i: f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}",
    lambda rng, i: f"{rng.randint(0, 99999):05d}",
    lambda rng, i: str(DAY + datetime.timedelta(i)),
    lambda rng, i: DAY + datetime.timedelta(i),
    lambda rng, i: pd.Timestamp(DAY) + pd.Timedelta(i, "h"),
    lambda rng, i: decimal.Decimal(i) / 7,
    lambda rng, i: complex(i, 1),
    lambda rng, i: b"\xff",
    lambda rng, i: [i],
]


def column(rng: random.Random, rows: int) -> list[Any]:
    """Values of one kind, with some of another kind among them."""
    first, second = rng.choice(ODD if rng.random() < 0.1 else USUAL), rng.choice(ODD)
    share = rng.choice([0, 0, 0, 0, 0, 0, 0, 0, 0.02, 0.5])
    return [second(rng, i) if rng.random() < share else first(rng, i) for i in range(rows)]


def a_frame(rng: random.Random) -> pd.DataFrame:
    rows = rng.choice([0, 9, 10, *[40] * 12])
    width = rng.choice([0, 1, 2, 3, 3, 5, 8, 30])
    names = ["y", *(rng.choice(NAMES) if rng.random() < 0.1 else f"c{i}" for i in range(width))]
    target = [rng.choice(["no", "yes"]) for _ in range(rows)] if rng.random() < 0.4 else column(rng, rows)
    columns = [target, *(column(rng, rows) for _ in range(width))]
    frame = pd.DataFrame({i: pd.Series(values, dtype=object) for i, values in enumerate(columns)}).infer_objects()
    frame.columns = pd.Index(names[: len(frame.columns)])
    return frame


def write_csv(rng: random.Random, frame: pd.DataFrame, path: Path) -> None:
    text = frame.to_csv(index=rng.random() < 0.2, sep=rng.choice(",,,,,;\t|^"), errors="replace")
    content = (text or "").encode("utf-8", "replace" if rng.random() < 0.8 else "surrogatepass")
    if rng.random() < 0.1:
        content = rng.choice(
            [b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r")]
        )
    path.write_bytes(damaged(rng, content) if rng.random() < 0.3 else content)


def write_parquet(rng: random.Random, frame: pd.DataFrame, path: Path) -> None:
    if len(frame) and rng.random() < 0.3:
        index = pd.Index(range(len(frame)), name=rng.choice([*frame.columns, "k", None]))
        frame.index = index if rng.random() < 0.5 else pd.MultiIndex.from_arrays([index, index])
    try:
        frame.to_parquet(path, index=rng.choice([None, True, False]))
    except Exception:  # noqa: BLE001  # what pyarrow can't write can't be read either: two types in a column, a name twice
        written = frame.map(repr)
        written.columns = pd.Index([f"{ascii(name)[1:-1]}{place or ''}" for place, name in enumerate(frame.columns)])
        written.to_parquet(path)
    if rng.random() < 0.3:
        path.write_bytes(damaged(rng, path.read_bytes()))


WRITERS = {"csv": write_csv, "parquet": write_parquet}


def load_an_odd_table(rng: random.Random, folder: Path) -> Callable[[], None]:
    kind = rng.choice(list(WRITERS))
    path = folder / rng.choice([f"table.{kind}", "a b.csv", "é\u202e.csv"])
    if not put_no_regular_file(rng, path):
        WRITERS[kind](rng, a_frame(rng), path)
    settings = DataSettings(
        name=f"{rng.choice([kind] * 9 + ['csv'])}:{path}",
        target=rng.choice(["y"] * 24 + ["x", "Y", "c0", None, "e\u0301"]),
        task=rng.choice(["auto", "auto", "auto", "auto", "classification", "regression"]),
        missing=rng.choice(["refuse", "fill", "fill", "indicate", "drop"]),
        dates=rng.choice(["parts", "parts", "cyclic", "ordinal", "ignore"]),
        scale=rng.choice([None, None, "standard", "robust", "quantile"]),
        max_categories=rng.choice([2, 5, 50, 50]),
        na_values=rng.choice([None, None, (), ("?", "u")]),
        ignore=rng.choice([(), (), (), ("c0",), ("c*",), ("*",)]),
        inputs=rng.choice([None, None, None, ("c*",), ("?1", "y")]),
        kinds=rng.choice([{}] * 9 + [{"c0": rng.choice(["number", "boolean", "category", "date", "time %H:%M"])}]),
        csv=rng.choice(
            [CsvFormat()] * 9 + [CsvFormat(separator=rng.choice(";^a"), decimal=rng.choice([None, ".", ","]))]
        ),
        normalize=rng.choice(["standard", "unit", "symmetric", "per_sample"]),
        stratify=rng.random() < 0.1,
    )
    look_first, seed = rng.random() < 0.2, rng.randrange(9)

    def read() -> None:
        given = settings
        if look_first:
            profile = profile_table(settings)
            assert all(text.isprintable() for text in profile.to_frame().astype(str).to_numpy().ravel())
            given = DataSettings.model_validate(profile.settings)
        data = load_dataset(given)
        check(data, "the table")
        assert len(data.columns) == data.x.shape[1]
        assert all(note.isprintable() for note in data.notes)
        problem = make_problem(data, given, seed)
        for number, fold in enumerate(problem.folds):
            assert len(set(problem.features(number))) == problem.inputs(number)
            assert np.isfinite(fold.inputs.apply(problem.dataset.x[fold.train])).all()
            if data.task == "regression":
                scaled = fold.targets.apply(problem.dataset.y[fold.train])
                assert np.isfinite(scaled).all()
                assert scaled.std() > 0.5 or np.ptp(problem.dataset.y[fold.train]) < 1e-3 * np.ptp(data.y)

    return read


@CASES
def test_odd_tables_become_datasets_or_are_refused_in_one_line(cases: int, tmp_path: Path) -> None:
    statuses = run_cases(load_an_odd_table, cases, tmp_path)
    assert min(statuses[0], statuses[2]) > cases / 20, "too few of either kind to prove anything"
