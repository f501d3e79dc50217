"""The checks of a submission: what a study from a network may name, and where an error stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.service.services import text
from tune_mlp.errors import StudyError
from tune_mlp.service.messages import Submission
from tune_mlp.service.submissions import CheckedStudy, DataRules, check, line_of, path_of
from tune_mlp.space.files import shipped
from tune_mlp.study.study import Study


@pytest.fixture
def rules(tmp_path: Path) -> DataRules:
    """Return rules with a data folder that has tables, links that lead out of it, and a secret beside it."""
    data = tmp_path / "data"
    (data / "parts").mkdir(parents=True)
    (data / "linked_parts").mkdir()
    for name in ("table.csv", "parts/a.csv", "../secret.csv"):
        (data / name).write_text("a,b\n1,2\n")
    (data / "out.csv").symlink_to(tmp_path / "secret.csv")
    (data / "up").symlink_to(tmp_path)
    (data / "linked_parts" / "a.csv").symlink_to(tmp_path / "secret.csv")
    (data / "inside.csv").symlink_to(data / "table.csv")
    return DataRules(data, ("s3://bucket/tables/",))


def named(name: str, rules: DataRules, field: str = "name") -> CheckedStudy:
    data: dict[str, Any] = {"name": "digits", field: name}
    return check(Submission(study={"data": data, "space": {}}), rules)


@pytest.mark.parametrize("name", ["digits", "mnist", "csv:table.csv", "csv:inside.csv", "csv:parts", "xlsx:table.csv"])
def test_data_that_ship_and_tables_below_the_data_folder_may_be_named(name: str, rules: DataRules) -> None:
    checked = named(name, rules)
    kind, colon, file = name.partition(":")
    assert rules.data_dir is not None
    expected = f"{kind}:{(rules.data_dir / file).resolve()}" if colon else name
    assert Study.from_text(checked.text).data.name == expected


@pytest.mark.parametrize("field", ["name", "offline"])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("os:system", "can't name code"),
        ("tests.canary:sing", "can't name code"),
        ("CSV:table.csv", "can't name code"),
        ("csv:/etc/passwd", "below the service's data folder"),
        ("csv:../secret.csv", "below the service's data folder"),
        ("csv:parts/../../secret.csv", "below the service's data folder"),
        ("csv:out.csv", "below the service's data folder"),
        ("csv:up/secret.csv", "below the service's data folder"),
        ("csv:linked_parts", "is a link"),
        ("csv:~/secret.csv", "below the service's data folder"),
        ("csv:", "below the service's data folder"),
        ("csv:table.csv\0", "below the service's data folder"),
        ("csv:" + "a/" * 3000, "data folder"),
        ("csv:nothing.csv", "there is no 'nothing.csv'"),
        ("parquet:file:///etc/passwd", "below s3://bucket/tables/"),
        ("parquet:file:/etc/passwd", "below s3://bucket/tables/"),
        ("parquet:s3://other/tables/x.parquet", "below s3://bucket/tables/"),
        ("parquet:s3://bucket/tables/../x.parquet", "below s3://bucket/tables/"),
        ("parquet:s3://bucket/tables/x.parquet?endpoint_override=evil", "below s3://bucket/tables/"),
        ("parquet:s3://key:secret@bucket/tables/x.parquet", "below s3://bucket/tables/"),
        ("nothing", "unknown dataset"),
    ],
)
def test_any_other_data_are_refused_with_their_path(name: str, rule: str, field: str, rules: DataRules) -> None:
    with pytest.raises(StudyError, match=rule) as caught:
        named(name, rules, field)
    assert path_of(caught.value) == f"data.{field}"
    assert "secret@" not in str(caught.value)


def test_a_store_that_the_service_was_started_with_may_be_read(rules: DataRules) -> None:
    assert (
        named("parquet:s3://bucket/tables/x.parquet", rules).study.data.name == "parquet:s3://bucket/tables/x.parquet"
    )
    with pytest.raises(StudyError, match="reads from no object store"):
        named("parquet:s3://bucket/tables/x.parquet", DataRules(rules.data_dir))


def test_without_a_data_folder_no_table_of_ones_own_is_read() -> None:
    with pytest.raises(StudyError, match="without a data folder"):
        named("csv:/etc/passwd", DataRules(None))


def test_every_shipped_study_may_be_submitted_by_its_name() -> None:
    for name in shipped():
        checked = check(Submission(study=name), DataRules(None))
        assert Study.from_text(checked.text).dump() == checked.text
    with pytest.raises(StudyError, match="did you mean 'digits_quick'"):
        check(Submission(study="digits_quik"), DataRules(None))


def test_changes_are_applied_in_order_and_an_error_names_them() -> None:
    rules = DataRules(None)
    checked = check(Submission(study=text(), changes=("trials=9", "lr=0.5", "trials=7")), rules)
    assert checked.study.number_of_trials == 7
    assert checked.study.space["lr"] == 0.5
    for change, said in (
        ("trials", "PATH=VALUE"),
        ("trials=-1", "trials=-1"),
        ("data.name=os:system", "can't name code"),
    ):
        with pytest.raises(StudyError, match=said):
            check(Submission(study=text(), changes=(change,)), rules)


@pytest.mark.parametrize(
    ("study", "line", "path"),
    [
        ("data: {name: digits}\nspace:\n  lr: {log: [0.1, 0.01]}\n", 3, "space.lr"),
        ("data: {name: digits}\nspace: {}\n\ntrials: many\n", 4, "trials"),
        ("data: {name: digits}\nspace: [\n", 3, None),
        ("data: {name: 'os:system'}\nspace: {}\n", 1, "data.name"),
        ({"data": {"name": "digits"}, "space": {"lr": {"log": [1, 0.1]}}}, None, "space.lr"),
    ],
)
def test_an_error_stands_at_its_line_and_path(
    study: str | Mapping[str, Any], line: int | None, path: str | None
) -> None:
    with pytest.raises(StudyError) as caught:
        check(Submission(study=study), DataRules(None))
    assert (line_of(caught.value), path_of(caught.value)) == (line, path)


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "[" * 100_000,
        "{a: " * 20_000,
        "? " * 50_000,
        "a: !!python/object/apply:os.system [true]\n",
        "a: 1" + "0" * 200_000,
        "- " * 100_000 + "x",
        "a: |\n" + "  x\n" * 60_000,
        "data: {name: digits}\nspace: {lr: {list: {choice: [1]}, length: 1000000000}}\n",
        "data: {name: digits}\nspace: {widths: {list: {choice: [8]}, length: {int: [0, 999999999]}}}\n",
    ],
)
@pytest.mark.timeout(60)
def test_a_bomb_is_refused_in_one_line(bomb: str) -> None:
    with pytest.raises(StudyError) as caught:
        check(Submission(study=bomb), DataRules(None))
    assert len(str(caught.value)) < 500


def test_what_a_study_takes_at_once_is_counted() -> None:
    checked = check(Submission(study=text(20, "resources: {cpu: 2, gpu: 0.5}\nconcurrent: 3\n")), DataRules(None))
    assert (checked.cpus, checked.gpus) == (6.0, 1.5)
    few = check(Submission(study=text(2, "resources: {cpu: 2}\nconcurrent: 8\n")), DataRules(None))
    assert few.cpus == 4.0


@pytest.mark.parametrize("source", ["runs/mine", "/etc/passwd", "s3://bucket/tables/a.parquet"])
def test_a_warm_start_from_files_of_the_services_machine_is_refused(source: str, rules: DataRules) -> None:
    study = f"data: {{name: digits}}\nspace: {{lr: {{log: [0.001, 0.1]}}}}\nwarm_start: {source}\n"
    with pytest.raises(StudyError, match="can't start from a run or a table of its machine") as caught:
        check(Submission(study=study), rules)
    assert line_of(caught.value) == 3
