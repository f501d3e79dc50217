"""Tables: what is inferred of each column is right and is said, and bad files are refused in one line."""

from __future__ import annotations

import datetime
import importlib.util
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tune_mlp.config import DataSettings
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.errors import DataError

SKLEARN = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "data"  # type: ignore[union-attr, arg-type]


def rows(*lines, head="a,b,y"):
    return "\n".join([head, *lines, ""])


def many(line, n=12, head="a,b,y"):
    """`line` with `#` in it numbered, so that columns vary."""
    return rows(*(line.replace("#", str(i)) for i in range(n)), head=head)


def load(tmp_path, content, kind="csv", **given):
    path = tmp_path / f"table.{kind}"
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8")
    return load_dataset(DataSettings(name=f"{kind}:table.{kind}", **{"target": "y"} | given), base=tmp_path)


def varied(n=12, **columns):
    return pd.DataFrame({"a": np.arange(n) * 1.5, "y": ["no", "yes"] * (n // 2)} | columns)


def test_columns_are_inferred_and_said(tmp_path):
    colours = ["red", "green", "blue"]
    lines = [f"{i * 0.5},{colours[i % 3]},{i % 2 == 0},7,{'mal' if i % 4 else 'ben'}" for i in range(12)]
    data = load(tmp_path, rows(*lines, head="size,colour,old,same,y"))
    assert data.features == ("size", "colour=blue", "colour=green", "colour=red", "old")
    assert data.classes == ("ben", "mal")
    assert data.x.dtype == np.float32
    assert data.x[1].tolist() == [0.5, 0, 1, 0, 0]
    assert data.y[:5].tolist() == [0, 1, 1, 1, 0]
    assert data.y.dtype == np.int64
    assert data.notes == (
        "12 rows; 2 numeric, 1 text (3 values, one-hot); target 'y': 2 classes (ben, mal)",
        "left out: constant column 'same'",
    )
    assert len(data.x_test) == len(data.y_test) == 0
    assert data.x_test.shape == (0, 5)
    assert not data.x.flags.writeable


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["no", "yes"] * 10, "auto", ("no", "yes")),
        (["True", "False"] * 10, "auto", ("False", "True")),
        ([10, 9] * 10, "auto", ("9", "10")),
        ([1.0, 2.0] * 10, "auto", ("1", "2")),
        (["b", "a"] * 10, "classification", ("a", "b")),
        ([0.5, 1.5] * 10, "classification", ("0.5", "1.5")),
        ([0.5, 1.5] * 10, "auto", ()),
        ([3, 4] * 10, "regression", ()),
        (["True", "False"] * 10, "regression", ()),
        (list(range(21)), "auto", ()),
    ],
)
def test_a_target_is_classes_or_numbers(tmp_path, values, task, classes):
    data = load(tmp_path, rows(*(f"{i},{i * i},{value}" for i, value in enumerate(values))), task=task)
    assert data.classes == classes
    assert data.task == ("classification" if classes else "regression")
    assert data.y.shape == ((len(values),) if classes else (len(values), 1))
    assert data.outputs == (len(classes) or 1)
    names = [data.classes[i] for i in data.y] if classes else data.y[:, 0].tolist()
    expected = (
        [str(v) if isinstance(v, str | int) else f"{v:g}" for v in values]
        if classes
        else [float({"True": 1, "False": 0}.get(v, v)) for v in values]
    )
    assert names == expected


def test_parquet_and_csv_of_one_table_are_one_dataset(tmp_path):
    frame = varied(kind=pd.Categorical(["x", "y", "z"] * 4), flag=[True, False] * 6)
    frame.to_csv(tmp_path / "table.csv", index=False)
    csv = load_dataset(DataSettings(name="csv:table.csv", target="y"), base=tmp_path)
    parquet = load(tmp_path, frame, "parquet")
    assert csv.fingerprint() == parquet.fingerprint()
    assert csv.features == parquet.features
    assert csv.notes == parquet.notes


def test_parquets_nullable_and_decimal_columns_are_numbers(tmp_path):
    import decimal

    frame = varied(
        n1=pd.array([*range(11), None], dtype="Int64"),
        flag=pd.array([True, False, None] * 4, dtype="boolean"),
        price=[decimal.Decimal(i) / 4 for i in range(12)],
    )
    data = load(tmp_path, frame, "parquet", missing="fill")
    assert data.features == ("a", "n1", "flag", "price")
    assert np.isnan(data.x[11, 1])
    assert np.isnan(data.x[2, 2])
    assert data.x[3].tolist() == [4.5, 3.0, 1.0, 0.75]


def test_missing_inputs_are_refused_until_a_person_decides(tmp_path):
    text = rows(*(f"{i if i > 1 else ''},{'u' if i % 3 else 'v'},{i % 2}" for i in range(14)))
    with pytest.raises(DataError, match=r"values are missing in a \(2\): set data.missing to fill or drop"):
        load(tmp_path, text)
    filled = load(tmp_path, text, missing="fill")
    assert np.isnan(filled.x[:2, 0]).all()
    assert filled.notes[1] == "missing values filled: a (2)"
    dropped = load(tmp_path, text, missing="drop")
    assert len(dropped.x) == 12
    assert dropped.notes[1] == "2 row(s) with missing values dropped"
    fold = make_problem(filled, DataSettings(name="t", missing="fill"), seed=0).folds[0]
    assert np.isfinite(fold.inputs.apply(filled.x)).all()


def test_missing_text_is_a_category_of_its_own(tmp_path):
    data = load(tmp_path, rows(*(f"{i},{'' if i == 3 else 'u'},{i % 2}" for i in range(12))), missing="fill")
    assert data.features == ("a", "b=(missing)", "b=u")
    assert data.x[3].tolist() == [3, 1, 0]


def test_an_empty_column_is_left_out_under_every_rule(tmp_path):
    for missing in ("refuse", "fill", "drop"):
        data = load(tmp_path, many("#,,#"), missing=missing)
        assert data.features == ("a",)
        assert data.notes[1] == "left out: empty column 'b'"


def test_the_row_numbers_that_pandas_writes_are_left_out(tmp_path):
    varied().to_csv(tmp_path / "t.csv")
    data = load_dataset(DataSettings(name="csv:t.csv", target="y"), base=tmp_path)
    assert data.features == ("a",)
    assert "row numbers" in data.notes[1]


@pytest.mark.parametrize(
    "text",
    [
        many("#;#;#", head="a;b;y"),
        many("#\t#\t#", head="a\tb\ty"),
        "\ufeff" + many("#, #, #"),
        many("#,#,#").replace("\n", "\r\n"),
    ],
)
def test_semicolons_tabs_blanks_bom_and_windows_line_ends_are_read(tmp_path, text):
    data = load(tmp_path, text.encode())
    assert data.features == ("a", "b")
    assert data.y[:, 0].tolist() == list(range(12))


def test_a_file_is_looked_for_beside_the_study_file_then_here(tmp_path, monkeypatch):
    beside, here = tmp_path / "studies", tmp_path / "here"
    for folder, n in ((beside, 12), (here, 14)):
        folder.mkdir()
        varied(n).to_csv(folder / "t.csv", index=False)
    varied(16).to_csv(here / "other.csv", index=False)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    for name, base, n in (
        ("t.csv", beside, 12),
        ("t.csv", None, 14),
        ("other.csv", beside, 16),
        ("~/other.csv", beside, 16),
        (beside / "t.csv", None, 12),
    ):
        assert len(load_dataset(DataSettings(name=f"csv:{name}", target="y"), base=base).x) == n


@pytest.mark.skipif(not SKLEARN.is_dir(), reason="scikit-learn keeps its tables elsewhere")
def test_a_published_table_loads_and_splits(tmp_path):
    _, *lines = (SKLEARN / "breast_cancer.csv").read_text().splitlines()
    names = [f"f{i}" for i in range(30)]
    assert len(lines) == 569
    data = load(tmp_path, "\n".join([",".join([*names, "y"]), *lines]))
    assert data.notes == ("569 rows; 30 numeric; target 'y': 2 classes (0, 1)",)
    problem = make_problem(data, DataSettings(name="t", stratify=True), seed=0)
    assert (len(problem.dataset.x_test), len(problem.folds[0].validation), len(problem.folds[0].train)) == (
        114,
        91,
        364,
    )


GOOD = many("#,1#,#")
BAD = {
    "empty": (b"", {}, "empty"),
    "blank lines only": (b"\n\n  \n", {}, "empty"),
    "binary": (bytes(range(256)) * 4, {}, "not a text file"),
    "utf-16": (GOOD.encode("utf-16"), {}, "not a text file"),
    "latin-1": (GOOD.replace("\n3,", "\ncaf\xe9,").encode("latin-1"), {}, "table.csv:5: not UTF-8 text: byte 0xe9"),
    "long row": (many("#,1,#") + "1,2,3,4\n", {}, "table.csv:14: each row must have as many fields"),
    "short row": (many("#,1,#") + "1,2\n", {}, "got 2 with 3 columns"),
    "all rows longer": (many("#,1,2,#"), {}, "table.csv:2: each row must have as many fields"),
    "open quote": (many("#,1,#") + '"1,2,3\n', {}, "table.csv:14: can't be read as CSV"),
    "header only": ("a,b,y\n", {}, "10 rows at least, got 0"),
    "few rows": (many("#,1#,#", n=9), {}, "10 rows at least, got 9"),
    "no target named": (GOOD, {"target": None}, "data.target must name the column to predict: a, b, y"),
    "misspelt target": (many("#,#,#", head="a,b,price"), {"target": "prise"}, "no column 'prise' in this table (did you mean 'price'?)"),
    "duplicate names": (many("#,#,#", head="a,a,y"), {}, "column names must differ, got 'a' 2 times"),
    "only the target": (many("#", head="y"), {}, "no input columns left"),
    "only constants": (many("1,x,#"), {}, "no input columns left beside 'y'; left out: constant column 'a', constant column 'b'"),
    "missing inputs": (many("#,1#,#") + ",,3\n", {}, "values are missing in a (1), b (1)"),
    "missing target": (many("#,1#,#") + "1,2,\n", {}, "target 'y' has 1 missing value(s), the first in row 13"),
    "infinite target": (many("#,1#,#.5") + "1,2,inf\n", {}, "target 'y' has 1 infinite value(s), the first in row 13"),
    "infinite input": (many("#,1#,#") + "-inf,2,3\n", {}, "'a' has an infinite value, or one beyond float32, in row 13"),
    "huge input": (many("#,1#,#") + "1e39,2,3\n", {}, "beyond float32"),
    "endless input": (many("#,1#,#") + f"{'9' * 400},2,3\n", {}, "'a' has a value beyond float32"),
    "huge target": (many("#,1#,#.5") + "1,2,1e39\n", {}, "target 'y' has a value beyond float32 in row 13"),
    "one class": (many("#,1#,yes"), {}, "2 different values at least, got 'yes' only"),
    "one number": (many("#,1#,2.5"), {}, "got '2.5' only"),
    "a class a row": (many("#,1#,name#"), {}, "12 different values in 12 rows: too many for classes"),
    "text to regress on": (many("#,1#,name#"), {"task": "regression"}, "must hold numbers for regression, got text such as 'name0'"),
    "free text": (many("#,user#,#", n=60), {}, "'b' is text with 60 different values, more than 50"),
    "dates": (many("#,2024-01-1#,#", n=10), {}, "'b' holds dates or times"),
    "stray text": (many("#,1#,#", n=20) + "1,?,3\n", {}, "'b' holds numbers but for '?' in row 21"),
    "not parquet": (b"PAR1 no such thing", {"kind": "parquet"}, "can't be read as Parquet"),
    "csv called parquet": (GOOD, {"kind": "parquet"}, "can't be read as Parquet"),
    "parquet dates": (varied(when=pd.date_range("2024-01-01", periods=12)), {"kind": "parquet"}, "'when' holds dates or times"),
    "parquet days": (varied(when=[datetime.date(2024, 1, i + 1) for i in range(12)]), {"kind": "parquet"}, "'when' holds dates or times"),
    "parquet spans": (varied(when=pd.timedelta_range("1h", periods=12)), {"kind": "parquet"}, "'when' holds dates or times"),
    "parquet lists": (varied(deep=[[1, i] for i in range(12)]), {"kind": "parquet"}, "'deep' holds values of type"),
    "parquet bytes": (varied(raw=[b"x%d" % i for i in range(12)]), {"kind": "parquet"}, "'raw' holds values of type bytes"),
    "parquet target dates": (varied(y=pd.date_range("2024-01-01", periods=12)), {"kind": "parquet"}, "'y' holds dates or times"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=[case.replace(" ", "_") for case in BAD])
def test_a_bad_data_file_is_refused_in_one_line(tmp_path, case):
    content, given, telling = BAD[case]
    kind = given.get("kind", "csv")
    with pytest.raises(DataError) as caught:
        load(tmp_path, content, **given)
    message = str(caught.value)
    assert telling in message
    assert f"table.{kind}" in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(tmp_path))


def test_too_few_rows_after_dropping_says_so(tmp_path):
    text = rows(*(f"{i},{i if i > 3 else ''},{i}" for i in range(12)))
    with pytest.raises(DataError, match=r"10 rows at least, got 8; 4 row\(s\) with missing values dropped"):
        load(tmp_path, text, missing="drop")


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("csv:nowhere.csv", "no such file"),
        ("csv:folder", "expected a file, got a folder"),
        ("csv:", "expected csv:FILE"),
        ("parquet:", "expected parquet:FILE"),
        ("nowhere.csv", "did you mean 'csv:nowhere.csv'?"),
    ],
)
def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path, name, telling):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError) as caught:
        load_dataset(DataSettings(name=name, target="y"), base=tmp_path)
    assert telling in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(DataError, match=r"table\.csv: can't be read: Permission denied"):
        load(tmp_path, GOOD)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, kind):
    os.mkfifo(tmp_path / f"pipe.{kind}")
    for file, telling in ((f"pipe.{kind}", "a pipe"), ("/dev/zero", "a device"), ("/dev/stdin", "a device|a pipe")):
        with pytest.raises(DataError, match=rf"{file}: can't be read: ({telling}), where a regular file is needed$"):
            load_dataset(DataSettings(name=f"{kind}:{file}", target="y"), base=tmp_path)


def test_quoted_text_over_several_lines_is_kept_on_one(tmp_path):
    lines = (f'{i},"x, ""{i % 2}""\n line",{i % 2}' for i in range(12))
    data = load(tmp_path, rows(*lines))
    assert data.features == ("a", 'b=x, "0" line', 'b=x, "1" line')


def test_true_and_false_with_gaps_are_numbers(tmp_path):
    data = load(tmp_path, rows(*(f"{i},{'' if i == 3 else i % 3 == 0},{i % 2}" for i in range(12))), missing="fill")
    assert data.features == ("a", "b")
    assert data.x[0].tolist() == [0, 1]
    assert np.isnan(data.x[3, 1])
