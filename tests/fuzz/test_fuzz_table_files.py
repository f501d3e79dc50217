"""Files of tables that were changed in one of the ways in which real files are wrong are read rightly, or are refused in a line."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fuzz.runner import Check, damaged, run_cases
from tune_mlp.data.arrays import check
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.profile import profile_table
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError

CASES = pytest.mark.parametrize("cases", [100, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
ROWS = 120
Written = tuple[str, bytes]
"""The ending of a file's name, and its content."""


def frame(rng: random.Random, rows: int = ROWS) -> pd.DataFrame:
    generator = np.random.default_rng(rng.randrange(2**32))
    return pd.DataFrame(
        {
            "size": generator.normal(10, 3, rows).round(2),
            "count": generator.integers(0, 50, rows),
            "colour": generator.choice(["red", "green", "blue"], rows),
            "kind": generator.choice(["x", "y"], rows),
        }
    )


def text(table: pd.DataFrame) -> str:
    return table.to_csv(index=False)


def ragged(rng: random.Random) -> Written:
    lines = text(frame(rng)).splitlines()
    place = rng.randrange(1, len(lines))
    lines[place] = rng.choice([lines[place] + ",1", lines[place].rpartition(",")[0], f'"{lines[place]}'])
    return "csv", "\n".join(lines).encode()


def zero_bytes(rng: random.Random) -> Written:
    content = bytearray(text(frame(rng)).encode())
    for _ in range(rng.randint(1, 5)):
        content[rng.randrange(len(content))] = 0
    return "csv", bytes(content)


def mixed_kinds(rng: random.Random) -> Written:
    table = frame(rng).astype(object)
    for _ in range(rng.randint(1, 60)):
        table.iloc[rng.randrange(ROWS), rng.randrange(3)] = rng.choice(
            ["x", "?", "1,5", "12%", "2024-01-01", "true", 7, None]
        )
    return "csv", text(table).encode()


def few_rows(rng: random.Random) -> Written:
    return "csv", text(frame(rng, rng.choice([0, 1, 1, 2, 9, 10]))).encode()


def one_class(rng: random.Random) -> Written:
    return "csv", text(frame(rng).assign(kind=rng.choice(["x", 1, "", "NA"]))).encode()


def many_classes(rng: random.Random) -> Written:
    rows = rng.choice([10_000, 20_000, 30_000])
    table = pd.DataFrame({"size": range(rows), "kind": [f"k{i % 10_000}" for i in range(rows)]})
    return "csv", text(table).encode()


def wild_numbers(rng: random.Random) -> Written:
    table = frame(rng)
    table["size"] = [rng.choice(["inf", "-inf", "1e300", "-1e308", "1e-300", "nan", "1e400", i]) for i in range(ROWS)]
    return "csv", text(table).encode()


def bad_headers(rng: random.Random) -> Written:
    names = rng.choice(
        ["size,size,colour,kind", ",,colour,kind", "size,,colour,kind", "a,b,kind,kind", "1,2,3,4", ",,,"]
    )
    return "csv", (names + "\n" + text(frame(rng)).partition("\n")[2]).encode()


def header_only(rng: random.Random) -> Written:
    return "csv", rng.choice([b"size,count,colour,kind", b"size,count,colour,kind\n\n\n", b"\n", b"kind\n", b'"'])


def other_encoding(rng: random.Random) -> Written:
    table = frame(rng)
    table["colour"] = [rng.choice(["grün", "rouge", "blå"]) for _ in range(ROWS)]
    content = text(table).encode(
        rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-8-sig"])
    )
    return "csv", content[: rng.choice([len(content), len(content), len(content) - 1])]


def wrong_ending(rng: random.Random) -> Written:
    kind, content = rng.choice([parquet, excel, lambda rng: ("csv", text(frame(rng)).encode())])(rng)
    return rng.choice([other for other in ("csv", "parquet", "xlsx") if other != kind]), content


def wide(rng: random.Random) -> Written:
    columns, rows = 20_000, rng.choice([2, 12])
    lines = [",".join([*(f"c{i}" for i in range(columns)), "kind"])]
    lines += [
        ",".join([*("1" if i % 2 else str(rng.random())[:5] for _ in range(columns)), "xy"[i % 2]]) for i in range(rows)
    ]
    return "csv", "\n".join(lines).encode()


def nested_parquet(rng: random.Random) -> Written:
    table = frame(rng)
    columns = {
        "list": pa.array([[i] * (i % 3) for i in range(ROWS)]),
        "struct": pa.array([{"a": i} for i in range(ROWS)]),
        "map": pa.array([[("k", i)] for i in range(ROWS)], pa.map_(pa.string(), pa.int64())),
        "null": pa.nulls(ROWS),
        "dictionary": pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode(),
        "decimal": pa.array([i / 4 for i in range(ROWS)]).cast(pa.decimal128(12, 4)),
        "binary": pa.array([b"\xff\x00"] * ROWS),
        "duration": pa.array(range(ROWS), pa.duration("ms")),
    }
    chosen = rng.sample(sorted(columns), rng.randint(1, 4))
    arrow = pa.Table.from_pandas(table)
    for name in chosen:
        arrow = arrow.append_column(name, columns[name])
    sink = io.BytesIO()
    pq.write_table(arrow, sink)
    return "parquet", sink.getvalue()


def parquet(rng: random.Random) -> Written:
    sink = io.BytesIO()
    frame(rng).to_parquet(sink)
    return "parquet", damaged(rng, sink.getvalue()) if rng.random() < 0.5 else sink.getvalue()


def excel(rng: random.Random) -> Written:
    table = frame(rng).astype(object)
    for _ in range(rng.randint(0, 20)):
        table.iloc[rng.randrange(ROWS), rng.randrange(4)] = rng.choice(["x", "", None, 1e300, "=1+1", "#N/A", True])
    sink = io.BytesIO()
    table.to_excel(sink, index=False, startrow=rng.choice([0, 0, 2]), startcol=rng.choice([0, 0, 1]))
    return "xlsx", damaged(rng, sink.getvalue()) if rng.random() < 0.3 else sink.getvalue()


def archive(rng: random.Random) -> Written:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(rng.choice([0, 1, 1, 2])):
            packed.writestr(f"t{number}.csv", text(frame(rng)))
    return rng.choice(["csv", "csv.zip", "xlsx"]), damaged(
        rng, sink.getvalue()
    ) if rng.random() < 0.3 else sink.getvalue()


CHANGES: list[Callable[[random.Random], Written]] = [
    ragged, zero_bytes, mixed_kinds, few_rows, one_class, many_classes, wild_numbers, bad_headers, header_only,
    other_encoding, wrong_ending, wide, nested_parquet, parquet, excel, archive,
]  # fmt: skip
RARE = {many_classes, wide}
"""The changes that make large files."""


def hold(data: Dataset, settings: DataSettings) -> None:
    """Check that the dataset keeps its contract, and that a net gets finite numbers of it."""
    check(data, "the table")
    problem = make_problem(data, settings, 0)
    fold = problem.folds[0]
    assert np.isfinite(fold.inputs.apply(problem.dataset.x[fold.train][:500])).all()


def read_a_changed_file(rng: random.Random, folder: Path) -> Callable[[], Check]:
    change = rng.choice([change for change in CHANGES if change not in RARE or rng.random() < 0.4])
    ending, content = change(rng)
    path = folder / f"table.{ending}"
    path.write_bytes(content)
    kind = ending.partition(".")[0]
    settings = DataSettings(
        name=f"{kind}:{path}",
        target="kind",
        missing=rng.choice(["refuse", "fill", "indicate"]),
        max_categories=rng.choice([5, 50]),
    )
    look = rng.random() < 0.5

    def read() -> Check:
        try:
            if look:
                given = DataSettings.model_validate(profile_table(settings).settings)
                return lambda: hold(load_dataset(given), given)
            data = load_dataset(settings)
        except DataError as error:
            assert str(path) in str(error), "the line names the file"  # noqa: PT017  # only what is refused has a line
            raise
        return lambda: hold(data, settings)

    return read


@CASES
def test_changed_files_are_read_or_refused_in_one_line(cases: int, tmp_path: Path) -> None:
    statuses = run_cases(read_a_changed_file, cases, tmp_path)
    assert min(statuses[0], statuses[2]) > cases / 10, "too few of either kind to prove anything"
