"""Tables as Excel files, as folders of parts and on an object store hold what the same table as one CSV file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.s3 import KEY, SECRET, Bucket
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.sources import load_dataset, table_name
from tune_mlp.data.table_files import Address, read_frame
from tune_mlp.data_settings import CsvFormat, DataSettings
from tune_mlp.errors import DataError, StoreError

N = 60
GENERATOR = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "size": GENERATOR.normal(10, 3, N).round(3),
        "count": GENERATOR.integers(0, 9, N),
        "colour": GENERATOR.choice(["red", "green", "blue"], N),
        "day": pd.date_range("2024-01-01", periods=N),
        "old": GENERATOR.choice([True, False], N),
        "kind": GENERATOR.choice(["x", "y"], N),
    }
)


def load(name: str, base: Path | None = None, **settings: Any) -> Dataset:
    return load_dataset(DataSettings(name=name, target="kind", **settings), base=base)


@pytest.fixture(scope="module")
def as_csv(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("whole") / "t.csv"
    TABLE.to_csv(path, index=False)
    return load(f"csv:{path}")


def assert_same(data: Dataset, other: Dataset) -> None:
    assert data.features == other.features
    assert data.classes == other.classes
    np.testing.assert_allclose(data.x, other.x)
    np.testing.assert_array_equal(data.y, other.y)


def test_an_excel_file_is_read_as_the_same_table(tmp_path: Path, as_csv: Dataset) -> None:
    TABLE.to_excel(tmp_path / "t.xlsx", index=False)
    assert_same(load("xlsx:t.xlsx", tmp_path), as_csv)
    assert table_name("a b.XLSX") == "xlsx:a b.XLSX"


def test_the_first_sheet_is_read_from_its_first_row_with_values_and_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    first.title = "measured"
    first.append([])
    first.append([None, "a", "kind"])
    for i in range(20):
        first.append([None, None if i == 3 else i / 2, "NA" if i == 5 else "xy"[i % 2]])
    book.create_sheet("notes")
    book.save(tmp_path / "t.xlsx")
    data = load("xlsx:t.xlsx", tmp_path, missing="fill")
    assert data.notes[0].startswith("19 rows in the first of 2 sheets, 'measured'; 1 numeric")
    assert any("'NA' in kind (1)" in note for note in data.notes)
    assert np.isnan(data.x[:, 0]).sum() == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "can't be read as an Excel file: BadZipFile: File is not a zip file"),
        (b"a,b\n1,2\n", "can't be read as an Excel file: BadZipFile: File is not a zip file"),
        (b"PK\x03\x04" + bytes(200), "can't be read as an Excel file"),
    ],
)
def test_a_file_that_is_no_excel_file_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=f"t.xlsx: {said}"):
        load("xlsx:t.xlsx", tmp_path)


def test_an_empty_sheet_is_one_line(tmp_path: Path) -> None:
    openpyxl.Workbook().save(tmp_path / "t.xlsx")
    with pytest.raises(DataError, match=r"t.xlsx: the first sheet, 'Sheet', is empty"):
        load("xlsx:t.xlsx", tmp_path)


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx"])
def test_the_parts_of_a_folder_are_one_table(tmp_path: Path, kind: str, as_csv: Dataset) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(3):
        part = TABLE.iloc[number * 20 : (number + 1) * 20]
        part = part if number == 0 else part[list(reversed(part.columns))]
        path = folder / f"part-{number}.{kind}"
        if kind == "csv":
            part.to_csv(path, index=False, sep=";" if number == 2 else ",")
        else:
            part.to_parquet(path) if kind == "parquet" else part.to_excel(path, index=False)
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.crc").touch()
    data = load(f"{kind}:parts", tmp_path)
    assert_same(data, as_csv)
    assert data.notes[0].startswith("60 rows in 3 files; ")
    assert table_name(str(folder)) == f"{kind}:{folder}"


def test_a_row_that_is_too_short_names_the_part_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n1,2\n")
    (tmp_path / "b.csv").write_text("x,kind\n1\n")
    with pytest.raises(DataError, match=r"b.csv:2: each row must have as many fields as the first line"):
        load(f"csv:{tmp_path}")


def test_parts_that_dont_fit_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n1,2\n")
    (tmp_path / "b.csv").write_text("x,sort\n1,2\n")
    with pytest.raises(DataError, match=r"b.csv: its columns differ from those of a.csv: 'kind'"):
        load(f"csv:{tmp_path}")
    (tmp_path / "year=2024").mkdir()
    with pytest.raises(DataError, match=r"the parts of a table must lie side by side, got the folder 'year=2024'"):
        load(f"csv:{tmp_path}")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    made = Bucket()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def address(bucket: Bucket, path: str) -> str:
    """Return an address without keys."""
    return bucket.uri(path).replace(f"{KEY}:{SECRET}@", "")


def test_a_table_on_an_object_store_is_read(bucket: Bucket, keys: None, as_csv: Dataset) -> None:
    store = bucket.store("tables")
    store.write("t.csv", TABLE.to_csv(index=False).encode())
    assert_same(load(f"csv:{address(bucket, 'tables/t.csv')}"), as_csv)
    parts = bucket.store("parts")
    for number in range(2):
        parts.write(f"p{number}.csv", TABLE.iloc[number * 30 : (number + 1) * 30].to_csv(index=False).encode())
    data = load(f"csv:{address(bucket, 'parts/')}")
    assert_same(data, as_csv)
    assert table_name("s3://bucket/a/b.parquet?region=x") == "parquet:s3://bucket/a/b.parquet?region=x"
    where, _, _ = read_frame(f"csv:{address(bucket, 'tables/t.csv')}", None, CsvFormat())
    assert isinstance(where, Address)
    assert where.name == "t.csv"


def test_what_isnt_on_the_store_or_has_keys_in_its_address_is_one_line(bucket: Bucket, keys: None) -> None:
    with pytest.raises(DataError, match=r"s3://runs/tables/no.csv.*: no such file"):
        load(f"csv:{address(bucket, 'tables/no.csv')}")
    with pytest.raises(DataError, match=r"a folder must hold 1 to 100,000 files of the kind csv, got 0"):
        load(f"csv:{address(bucket, 'nothing/')}")
    with pytest.raises(DataError, match="it can't hold keys") as caught:
        load(f"csv:{bucket.uri('tables/t.csv')}")
    assert SECRET not in str(caught.value)
    with pytest.raises(StoreError, match="can't be read"):
        load(f"csv:{address(bucket, 't.csv').replace('127.0.0.1:', '127.0.0.1:1')}")


def test_a_file_address_is_a_path(tmp_path: Path, as_csv: Dataset) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    assert_same(load(f"csv:file://{tmp_path}/t.csv"), as_csv)
