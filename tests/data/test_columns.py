"""Columns: names that clash or look alike, wide tables, and numbers that float32 can't tell apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data import delimited, table_files
from tune_mlp.data import table as tables
from tune_mlp.data.arrays import lost_column
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import CsvFormat, DataSettings
from tune_mlp.errors import DataError

N = 20
NUMBERS = [i * 1.5 for i in range(N)]
CLASSES = ["no", "yes"] * (N // 2)


def load(folder: Path, table: pd.DataFrame | str, kind: str = "csv", **settings: Any) -> Dataset:
    path = folder / f"table.{kind}"
    if isinstance(table, str):
        path.write_text(table, encoding="utf-8")
    elif kind == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return load_dataset(DataSettings(name=f"{kind}:{path}", **{"target": "y", **settings}))


def refused(folder: Path, table: pd.DataFrame | str, kind: str = "csv", **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(folder, table, kind, **settings)
    assert str(caught.value).isprintable()
    return str(caught.value)


def text_of(names: Sequence[str], separator: str = ",") -> str:
    """Return a CSV text with these columns, the last of which holds classes."""
    rows = [[f"{i * (place + 2) % 7 + i}" for place in range(len(names) - 1)] + [CLASSES[i]] for i in range(N)]
    return "".join(separator.join(row) + "\n" for row in [list(names), *rows])


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (pd.Index(range(N), name="b"), "the index has the name of a column, 'b': rename one of the two"),
        (pd.Index(range(N), name="y"), "the index has the name of a column, 'y'"),
        (pd.MultiIndex.from_arrays([range(N), range(N)], names=["k", "b"]), "has the name of a column, 'b'"),
    ],
)
def test_an_index_with_a_columns_name_is_refused_with_the_remedy(tmp_path: Path, index: pd.Index, said: str) -> None:
    frame = pd.DataFrame({"b": NUMBERS, "y": CLASSES}, index=range(N))
    frame.index = index
    error = refused(tmp_path, frame, "parquet")
    assert said in error
    assert error.endswith("or write the file with index=False")
    frame.to_parquet(tmp_path / "plain.parquet", index=False)
    assert load_dataset(DataSettings(name=f"parquet:{tmp_path}/plain.parquet", target="y")).features == ("b",)


def test_an_index_with_a_name_of_its_own_is_a_column_and_one_without_is_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": NUMBERS, "y": CLASSES}, index=pd.Index(range(N), name="k"))
    assert load(tmp_path, frame, "parquet").features == ("k", "b")
    frame.index = pd.MultiIndex.from_arrays([range(N), range(N)], names=["k", None])
    assert load(tmp_path, frame, "parquet").features == ("k", "b")
    frame.index = pd.Index([f"r{i}" for i in range(N)])
    assert load(tmp_path, frame, "parquet").features == ("b",)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_inputs_of_one_name_are_refused(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"a": ["u", "v"] * (N // 2), "a=u": NUMBERS, "y": CLASSES})
    assert refused(tmp_path, frame, kind).endswith("2 inputs would have the name 'a=u': rename a column")


def test_what_is_left_out_is_named_by_the_first_few_and_the_count(tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": NUMBERS, "y": CLASSES, **{f"c{i}": [7] * N for i in range(5000)}})
    *_, note = load(tmp_path, frame, "parquet").notes
    assert note.startswith("left out: constant column 'c0', constant column 'c1', ")
    assert note.endswith("constant column 'c9' and 4990 more")


def test_reading_a_table_takes_work_in_proportion_to_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading doesn't compare each name with all others, which took 6 seconds for 20,000 columns."""

    class Name(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

    read = table_files.READERS["csv"]

    def counted(path: Path, content: bytes, form: CsvFormat) -> tuple[pd.DataFrame, str]:
        frame, separated = read(path, content, form)
        frame.columns = pd.Index([Name(name) for name in frame.columns], dtype=object)
        return frame, separated

    monkeypatch.setitem(table_files.READERS, "csv", counted)
    monkeypatch.setattr(tables, "str", Name, raising=False)  # what makes the names of the frame's
    width = 1000
    assert len(load(tmp_path, text_of([*(f"c{i}" for i in range(width)), "y"])).features) == width
    assert Name.compared < 50 * width


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "|")])
def test_the_separator_that_was_found_is_named(tmp_path: Path, separator: str, word: str) -> None:
    text = text_of(["a", "b", "y"], separator)
    data = load(tmp_path, text)
    assert data.features == ("a", "b")
    assert data.notes[0].startswith(f"{N} rows separated by {word}; 2 numeric")
    assert f"got 2 with 3 columns separated by {word}" in refused(tmp_path, f"{text}1{separator}2\n")
    assert f"no column 'price' in this table separated by {word} (known: a, b, y)" in refused(
        tmp_path, text, target="price"
    )


def test_a_comma_goes_without_saying(tmp_path: Path) -> None:
    text = text_of(["a", "b", "y"])
    assert "separated" not in load(tmp_path, text).notes[0]
    assert refused(tmp_path, f"{text}1,2\n").endswith("got 2 with 3 columns")


def test_a_separator_that_is_none_of_ours_is_seen_by_the_one_column_it_leaves(tmp_path: Path) -> None:
    said = refused(tmp_path, text_of(["a", "b", "y"], "^"))
    assert "no column 'y': the first line holds one column, 'a^b^y'; separate columns by a comma" in said


def test_a_quoted_name_may_hold_another_separator(tmp_path: Path) -> None:
    text = text_of(['"a;b;c;d"', "b", "y"])
    assert load(tmp_path, text).features == ("a;b;c;d", "b")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("written", "asked"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])
def test_a_name_is_found_in_either_form_of_unicode(tmp_path: Path, kind: str, written: Any, asked: Any) -> None:
    name = "größe café"
    frame = pd.DataFrame(
        {unicodedata.normalize(written, "préis"): NUMBERS, unicodedata.normalize(written, name): CLASSES}
    )
    data = load(tmp_path, frame, kind, target=unicodedata.normalize(asked, name))
    assert data.features == (unicodedata.normalize("NFC", "préis"),)
    assert data.classes == ("no", "yes")


def test_two_columns_that_look_the_same_are_refused(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    assert "column names must differ, got 'é' 2 times" in refused(tmp_path, text_of([*names, "y"]))


def test_names_and_values_are_shown_escaped(tmp_path: Path) -> None:
    text = text_of(["a\x1b[31m", "b", "y"]).replace("yes", "y\u202ees")
    data = load(tmp_path, text + "0,,no\n", missing="fill")
    assert all(note.isprintable() for note in data.notes)
    assert r"y\u202ees" in data.notes[0]
    assert r"\x1b" in refused(tmp_path, text_of(["a\x1b[31m", "b", "y"]), target="z")


TINY = [1e-300 * (i + 1) for i in range(N)]
SMALL = [1e-40 * (i + 1) for i in range(N)]
CLOSE = [10**18 + 1000 * i for i in range(N)]
SECONDS = [1_700_000_000 + i for i in range(N)]
LOST = {"tiny": TINY, "small": SMALL, "close": CLOSE, "seconds": SECONDS}


@pytest.mark.parametrize("normalize", ["standard", "unit", "symmetric"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("case", LOST)
def test_differences_that_float32_would_lose_are_learnt_from_in_a_table(
    tmp_path: Path, case: str, kind: str, normalize: Any
) -> None:
    data = load(tmp_path, pd.DataFrame({"a": NUMBERS, "b": LOST[case], "y": CLASSES}), kind)
    inputs = (
        make_problem(data, DataSettings(name="t", test=0, normalize=normalize), seed=0).folds[0].inputs.apply(data.x)
    )
    rounding = 0.02 if case == "close" else 1e-5  # float64 holds 1e18 to within 128
    np.testing.assert_allclose(inputs[:, 1], inputs[:, 0], atol=rounding, err_msg="both columns grow in equal steps")


@pytest.mark.parametrize("case", LOST)
def test_differences_that_float32_would_lose_are_refused_in_a_tables_target(tmp_path: Path, case: str) -> None:
    values = LOST[case]
    ends = f"runs from {float(values[0]):.17g} to {float(values[-1]):.17g}: float32, which nets are trained in"
    frame = pd.DataFrame({"a": NUMBERS, "b": values, "y": NUMBERS})
    assert f"target 'b' {ends}" in refused(tmp_path, frame, "parquet", target="b", task="regression")


@pytest.mark.parametrize("case", LOST)
def test_differences_that_float32_would_lose_are_refused_in_arrays(case: str) -> None:
    from tune_mlp.data.arrays import from_arrays

    good, lost = np.array([NUMBERS, NUMBERS]).T, np.array([NUMBERS, LOST[case]]).T
    with pytest.raises(DataError, match=r"made: input 1 runs from .*: float32, which nets are trained in"):
        from_arrays("made", (lost, good), "regression", "made")
    with pytest.raises(DataError, match=r"made: target 1 runs from .*: float32, which nets are trained in"):
        from_arrays("made", (good, lost), "regression", "made")
    few = lost[:3]  # a test part is scaled as the training part is: its own range means nothing
    assert len(from_arrays("made", (good, good, few, good[:3]), "regression", "made").x_test) == 3


def test_a_target_beyond_float32_is_refused_in_arrays() -> None:
    from tune_mlp.data.arrays import from_arrays

    x = np.array([NUMBERS]).T
    with pytest.raises(DataError, match="made: targets must fit into float32, got a larger number in sample 19"):
        from_arrays("made", (x, np.array([*NUMBERS[:-1], 1e39])), "regression", "made")


@pytest.mark.parametrize(
    "values",
    [
        NUMBERS,
        [0.0] * N,
        [1e-300] * N,
        [1e18] * N,
        [0.0, 1.0, *[1e-200] * (N - 2)],
        [1e-25 * i for i in range(N)],
        [1_700_000_000 + 86_400 * i for i in range(N)],
        [1990 + i for i in range(N)],
        [-1e38, 1e38] * (N // 2),
        [np.nan, 1.0, 2.0] + [np.nan] * (N - 3),
        [np.nan] * N,
    ],
    ids=str,
)
def test_other_columns_keep_their_differences(values: list[float]) -> None:
    assert lost_column(np.array(values, dtype=np.float64)[:, None]) is None


def test_a_lost_column_is_found_beyond_the_first_rows() -> None:
    values = np.zeros((10_000, 3))
    values[:, 0] = np.arange(10_000)
    values[9_000, 2] = 1e-35
    assert lost_column(values) == 2


ODD_CSV = [
    'a,b\n1,"x, y"\n2," z"\n',
    'a, b\n1, "x"\n2,y \n',
    'a,b\r\n1,"line\r\nbreak"\r\n\r\n2,"say ""hi"""\r\n',
    "a,b\r1,x\r2,y\r",
    'a;b\n"1";x\n;\n',
    "\n\na,b\n1,x\n\n2,y",
    "a\tb\n1\t\n\t\n",
    'a|b\n"|"|"x"\n',
    "\ufeffa,b\n1,é\n2,\u00a0\n",
]


@pytest.mark.parametrize("text", ODD_CSV)
def test_few_cells_are_read_as_many_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, said = delimited.read_csv("t.csv", text.encode(), CsvFormat())
    monkeypatch.setattr(delimited, "FEW_CELLS", -1)
    many, also_said = delimited.read_csv("t.csv", text.encode(), CsvFormat())
    assert said == also_said
    assert list(few.columns) == list(many.columns)
    assert few.astype(object).to_numpy().tolist() == many.astype(object).to_numpy().tolist()


def test_bytes_are_no_text_even_where_they_look_like_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [str(i).encode() for i in range(N)], "b": range(N), "y": ["u", "v"] * (N // 2)})
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'a'"):
        load_dataset(DataSettings(name="parquet:t.parquet", target="y"), base=tmp_path)
