"""Tables: what is inferred of each column is right and is said, and bad files are refused in one line."""

from __future__ import annotations

import bz2
import datetime
import gzip
import importlib.util
import io
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import CsvFormat, DataSettings
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


def encoded(data, **settings):
    """Return the names of a net's inputs, and the rows as a net sees them."""
    problem = make_problem(data, DataSettings(name="t", test=0, **settings), seed=0)
    return problem.features(), problem.folds[0].inputs.apply(data.x)


def varied(n=12, **columns):
    return pd.DataFrame({"a": np.arange(n) * 1.5, "y": ["no", "yes"] * (n // 2)} | columns)


def test_columns_are_inferred_and_said(tmp_path):
    colours = ["red", "green", "blue"]
    lines = [f"{i * 0.5},{colours[i % 3]},{i % 2 == 0},7,{'mal' if i % 4 else 'ben'}" for i in range(12)]
    data = load(tmp_path, rows(*lines, head="size,colour,old,same,y"))
    assert data.features == ("size", "colour", "old")
    assert data.classes == ("ben", "mal")
    assert data.x.dtype == np.float64
    features, rows_of_a_net = encoded(data, normalize="unit")
    assert features == ("size", "colour=blue", "colour=green", "colour=red", "old")
    assert rows_of_a_net[1, 1:].tolist() == [0, 1, 0, 0]
    assert data.y[:5].tolist() == [0, 1, 1, 1, 0]
    assert data.y.dtype == np.int64
    assert data.notes == (
        "12 rows; 2 numeric, 1 text (3 values, one-hot); target 'y': 2 classes (ben, mal)",
        "left out: constant column 'same'",
    )
    assert len(data.x_test) == len(data.y_test) == 0
    assert data.x_test.shape == (0, 3)
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
    with pytest.raises(DataError, match=r"values are missing in a \(2\): set data.missing to fill, indicate or drop"):
        load(tmp_path, text)
    filled = load(tmp_path, text, missing="fill")
    assert np.isnan(filled.x[:2, 0]).all()
    assert filled.notes[1] == "missing values filled: a (2)"
    dropped = load(tmp_path, text, missing="drop")
    assert len(dropped.x) == 12
    assert dropped.notes[1] == "2 row(s) with missing values dropped"
    fold = make_problem(filled, DataSettings(name="t", missing="fill"), seed=0).folds[0]
    assert np.isfinite(fold.inputs.apply(filled.x)).all()


@pytest.mark.parametrize("how", ["fill", "indicate", "drop"])
def test_rows_without_a_target_are_left_out_where_missing_values_are_allowed(tmp_path, how):
    text = rows(*(f"{i},{'u' if i % 3 else 'v'},{i % 2 if i not in (3, 5) else ''}" for i in range(14)))
    with pytest.raises(DataError, match=r"has 2 missing value\(s\), the first in row 4"):
        load(tmp_path, text)
    data = load(tmp_path, text, missing=how)
    assert data.x[:, 0].tolist() == [0, 1, 2, 4, *range(6, 14)]
    assert any("2 row(s)" in note for note in data.notes)


def test_missing_text_is_a_category_of_its_own(tmp_path):
    data = load(tmp_path, rows(*(f"{i},{'' if i == 3 else 'u'},{i % 2}" for i in range(12))), missing="fill")
    features, rows_of_a_net = encoded(data, normalize="unit")
    assert features in (("a", "b=(missing)", "b=u"), ("a", "b=u"))  # as the training rows have it
    assert data.columns[1].categories == ("(missing)", "u")
    assert rows_of_a_net[3, -1] == 0


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


def zipped(*texts):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number, text in enumerate(texts):
            archive.writestr(f"{number}.csv", text)
    return content.getvalue()


GOOD = many("#,1#,#")
BAD = {
    "empty": (b"", {}, "empty"),
    "blank lines only": (b"\n\n  \n", {}, "empty"),
    "binary": (bytes(range(256)) * 4, {}, "not a text file"),
    "control character": (GOOD.replace("\n3,", "\n\x07\xff,").encode("latin-1"), {}, "not a text file: line 5 holds the control character 0x07"),
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
    "infinite input": (many("#,1#,#") + "-inf,2,3\n", {}, "'a' has an infinite value, or one that is too large, in row 13"),
    "huge input": (many("#,1#,#") + "1e309,2,3\n", {}, "'a' has an infinite value, or one that is too large, in row 13"),
    "endless input": (many("#,1#,#") + f"{'9' * 400},2,3\n", {}, "'a' has an infinite value, or one that is too large, in row 13"),
    "too wide": (many("#,1#,#") + "1.7e308,2,3\n-1.7e308,2,3\n", {}, "'a' runs from -1.7e+308 to 1.7e+308, which is too wide"),
    "huge target": (many("#,1#,#.5") + "1,2,1e39\n", {}, "target 'y' has a value beyond float32 in row 13"),
    "one class": (many("#,1#,yes"), {}, "2 different values at least, got 'yes' only"),
    "one number": (many("#,1#,2.5"), {}, "got '2.5' only"),
    "a class a row": (many("#,1#,name#"), {}, "12 different values in 12 rows: too many for classes"),
    "text to regress on": (many("#,1#,name#"), {"task": "regression"}, "must hold numbers for regression, got text such as 'name0'"),
    "free text": (many("#,user#,#", n=60), {}, "'b' is text that differs in nearly every row (60 values in 60 rows)"),
    "identifiers in few rows": (many("#,user#,#", n=12), {}, "leave it out with data.ignore"),
    "dates in two ways": (many("#,0#/02/2024,#", n=10).replace("00/", "01/"), {}, "'b' holds dates such as 01/02/2024, which can be read in two ways"),
    "numbers in two ways": (many("#,\"1,23#\",#", n=10), {}, "'b' holds numbers such as 1,230, which can be read in two ways: set data.csv.decimal"),
    "serial numbers": (rows(*(f"{i},1000000000000000000{i:02d},{i}" for i in range(12))), {}, "'b' holds whole numbers of so many digits that some become equal"),
    "an unknown input": (GOOD, {"inputs": ("a", "c")}, "data.inputs: no column 'c'"),
    "an unknown column to ignore": (GOOD, {"ignore": ("x_*",)}, "data.ignore: no column 'x_*'"),
    "all inputs ignored": (GOOD, {"ignore": ("*",)}, "no input columns left beside 'y'; left out: column 'a' (data.ignore)"),
    "an unknown encoding": (GOOD, {"csv": CsvFormat(encoding="latin-99")}, "data.csv.encoding: unknown encoding 'latin-99'"),
    "another encoding": ("a,b,y\n\u20ac".encode(), {"csv": CsvFormat(encoding="ascii")}, "data.csv.encoding: the text isn't ascii"),
    "half a gzip": (gzip.compress(GOOD.encode())[:30], {}, "can't be unpacked as gzip"),
    "two files in a zip": (zipped(GOOD, GOOD), {}, "the archive must hold one file, got 2"),
    "several faults": (many("user#,\"1,23#\",#", n=10), {}, "column 'b' holds numbers such as 1,230"),
    "several faults, the other": (many("user#,\"1,23#\",#", n=10), {}, "column 'a' is text that differs in nearly every row"),
    "stray text": (many("#,1#,#", n=20) + "1,?,3\n", {}, "'b' holds numbers but for '?' in row 21"),
    "not parquet": (b"PAR1 no such thing", {"kind": "parquet"}, "can't be read as Parquet"),
    "csv called parquet": (GOOD, {"kind": "parquet"}, "can't be read as Parquet"),
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
        ("csv:folder", "a folder must hold 1 to 100,000 files of the kind csv, got 0"),
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
    assert data.columns[1].categories == ('x, "0" line', 'x, "1" line')


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (gzip.compress, "12 rows unpacked from gzip"),
        (bz2.compress, "12 rows unpacked from bzip2"),
        (lzma.compress, "12 rows unpacked from xz"),
        (lambda content: zipped(content.decode()), "12 rows unpacked from zip"),
        (lambda content: content.decode().encode("utf-16"), "12 rows read as UTF-16;"),
        (lambda content: content.decode().encode("utf-16-le"), "12 rows read as UTF-16-LE"),
        (lambda content: content.decode().encode("utf-16-be"), "12 rows read as UTF-16-BE"),
        (lambda content: content.decode().encode("utf-32"), "12 rows read as UTF-32"),
        (lambda content: content.replace(b"a,b", b"\xe9,b"), "12 rows read as Latin-1"),
        (lambda content: content.replace(b"a,b", b"\x81,b"), "12 rows read as Latin-1"),
    ],
)
def test_packed_files_and_other_encodings_are_read_and_said(tmp_path, pack, said):
    data = load(tmp_path, pack(GOOD.encode()))
    assert data.notes[0].startswith(said)
    assert len(data.features) == 2
    assert data.x[:, 0].tolist() == list(range(12))


def test_a_packed_file_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tune_mlp.data.delimited.MAX_UNPACKED_BYTES", 10**6)
    with pytest.raises(DataError, match="is larger than 1 MB when it is unpacked"):
        load(tmp_path, gzip.compress(b"0" * 10**7))


def test_the_format_of_a_csv_file_can_be_given(tmp_path):
    text = many("#^1#^#", head="a^b^y")
    data = load(tmp_path, text.encode("utf-16-le"), csv=CsvFormat(separator="^", encoding="utf-16-le"))
    assert data.notes[0].startswith("12 rows separated by ^, read as UTF-16-LE; 2 numeric")


def test_a_european_export_is_read(tmp_path):
    data = load(tmp_path, many("1.00#;#,5;#", n=10, head="a;b;y"))
    assert data.x[2].tolist() == [1002.0, 2.5]
    assert data.notes[1] == "read as numbers or dates: a (decimal commas), b (decimal commas)"


def test_columns_are_chosen_by_name_and_pattern(tmp_path):
    text = rows(*(f"u{i},{i},{2 * i},{3 * i},{i % 2}" for i in range(12)), head="id,s_1,s_2,t,y")
    assert load(tmp_path, text, ignore=("id",)).features == ("s_1", "s_2", "t")
    assert load(tmp_path, text, inputs=("s_*", "y")).features == ("s_1", "s_2")
    chosen = load(tmp_path, text, inputs=("s_*", "t"), ignore=("*_2",))
    assert chosen.features == ("s_1", "t")
    assert chosen.notes[-1] == "left out: column 's_2' (data.ignore)"


def test_a_missing_target_is_dropped_with_its_row(tmp_path):
    data = load(tmp_path, many("#,1#,#") + "1,2,\n", missing="drop")
    assert len(data.x) == 12
    assert "1 row(s) with missing values dropped" in data.notes


def test_words_for_missing_values_are_named_and_can_be_changed(tmp_path):
    lines = (f"{i},{'NA' if i % 3 else 'US'},{'-' if i == 5 else i * i},{i % 2}" for i in range(24))
    text = rows(*lines, head="a,country,n,y")
    with pytest.raises(DataError, match=r"'n' holds numbers but for '-' in row 6: .* set data.na_values to \['-'\]"):
        load(tmp_path, text, missing="fill")
    data = load(tmp_path, text, missing="fill", na_values=("-",))
    assert data.columns[1].categories == ("NA", "US"), "Namibia and the United States"
    assert np.isnan(data.x[5, 2])
    assert data.notes[1] == "read as missing: '-' in n (1); data.na_values changes that"
    usual = load(tmp_path, text, missing="fill", ignore=("n",))
    assert usual.columns[1].categories == ("(missing)", "US")
    assert "read as missing: 'NA' in country (16)" in usual.notes[1]


@pytest.mark.parametrize(
    ("dates", "features"),
    [
        ("parts", ("a", "b.month", "b.day", "b.weekday")),
        ("ordinal", ("a", "b.days")),
        (
            "cyclic",
            ("a", "b.month sine", "b.month cosine", "b.day sine", "b.day cosine", "b.weekday sine", "b.weekday cosine"),
        ),
        ("ignore", ("a",)),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_dates_become_numbers(tmp_path, kind, dates, features):
    when = [datetime.date(2024, 1, 1) + datetime.timedelta(days=9 * i) for i in range(12)]
    frame = pd.DataFrame({"a": np.arange(12) * 1.5, "b": when, "y": ["no", "yes"] * 6})
    content = frame if kind == "parquet" else frame.to_csv(index=False)
    data = load(tmp_path, content, kind, dates=dates)
    assert data.features == features
    if dates == "parts":
        assert data.x[1, 1:].tolist() == [1, 10, 2], "the tenth of January 2024 was a Wednesday"
    if dates == "ordinal":
        assert data.x[1, 1] - data.x[0, 1] == 9


def test_parquets_spans_and_clocks_are_numbers(tmp_path):
    frame = varied(span=pd.timedelta_range("1h", periods=12), clock=[datetime.time(i, 30) for i in range(12)])
    data = load(tmp_path, frame, "parquet")
    assert data.features == ("a", "span", "clock.hour")
    assert data.x[2].tolist() == [3.0, 49 * 3600.0, 2.0]


def test_true_and_false_with_gaps_are_numbers(tmp_path):
    data = load(tmp_path, rows(*(f"{i},{'' if i == 3 else i % 3 == 0},{i % 2}" for i in range(12))), missing="fill")
    assert data.features == ("a", "b")
    assert data.x[0].tolist() == [0, 1]
    assert np.isnan(data.x[3, 1])
