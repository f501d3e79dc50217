"""The routes of the API, on a real server over the real service: each says what the service knows, in typed messages."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.report.pages import a_reported_run
from tests.results.journals import drawn, ended, record, started, trained, write
from tests.service.apps import client_of, submitted
from tests.service.services import eventually, text
from tune_mlp.results.results import Results
from tune_mlp.service.messages import Confirmation, Health, Replay, StudyList, StudySummary
from tune_mlp.service.result_messages import AnswerMessage, ChartMessage, StudiesCompared, TableRows, TrialDetail


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    a_reported_run(folder / "made", trials=30)
    a_reported_run(folder / "other", trials=12)
    study = folder / "other" / "study.yaml"
    study.write_text(study.read_text().replace("trials: 30", "trials: 12"))
    return folder


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[httpx.Client]:
    with client_of(root) as asked:
        yield asked


def get(client: httpx.Client, path: str, status: int = 200) -> Any:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def at_rest(client: httpx.Client, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        summary = get(client, f"/api/studies/{name}")
        return summary if summary["state"] in ("finished", "stopped", "failed", "interrupted") else None

    return eventually(look)


def test_the_service_says_who_it_is_and_who_asks(client: httpx.Client) -> None:
    assert Health.model_validate(get(client, "/api/health")).status == "ok"
    assert get(client, "/api/me") == {"name": "local", "admin": True}


def test_shipped_studies_and_the_schema_of_studies_are_told(client: httpx.Client) -> None:
    spaces = {space["name"]: space["description"] for space in get(client, "/api/spaces")}
    assert spaces["digits_quick"]
    assert "space:" in get(client, "/api/spaces/digits_quick")["text"]
    assert get(client, "/api/spaces/absent", 404)["error"]
    assert get(client, "/api/schema")["properties"]["trials"]


def test_runs_that_were_made_without_the_service_are_listed_and_told(client: httpx.Client, root: Path) -> None:
    found = StudyList.model_validate(get(client, "/api/studies?search=made&sort=name&descending=false"))
    assert {study.name for study in found.studies} >= {"made", "other"}
    made = StudySummary.model_validate(get(client, "/api/studies/made"))
    results = Results.load(root / "made")
    assert made.owner == ""
    assert made.best is not None
    assert made.best.trial == results.best["trial"]
    assert client.get("/api/studies/made/study").text.startswith("name: made")
    assert get(client, "/api/studies/absent", 404)["error"]


def test_a_page_of_the_table_is_that_of_the_run(client: httpx.Client, root: Path) -> None:
    trials = Results.load(root / "made").trials
    page = TableRows.model_validate(
        get(client, "/api/studies/made/trials?columns=trial,lr,state&sort=lr&descending=true&offset=5&limit=10")
    )
    wanted = trials.sort_values("lr", ascending=False).iloc[5:15]
    assert page.columns == ("trial", "lr", "state")
    assert [row[0] for row in page.rows] == wanted["trial"].tolist()
    assert page.total == len(trials)
    assert set(page.known) == set(trials.columns)
    filtered = TableRows.model_validate(get(client, "/api/studies/made/trials?filter=lr%3C0.01&limit=1"))
    assert filtered.total == (trials["lr"] < 0.01).sum()
    assert get(client, "/api/studies/made/trials?sort=absent", 422)["error"]
    assert get(client, "/api/studies/made/trials?limit=1001", 422)["path"] == "limit"


@pytest.mark.parametrize("table", ["trials", "epochs"])
def test_a_downloaded_table_is_that_of_the_run(client: httpx.Client, root: Path, table: str) -> None:
    wanted = getattr(Results.load(root / "made"), table)
    csv = client.get(f"/api/studies/made/{table}.csv")
    assert csv.headers["Content-Type"].startswith("text/csv")
    assert f'filename="made-{table}.csv"' in csv.headers["Content-Disposition"]
    assert len(pd.read_csv(io.BytesIO(csv.content))) == len(wanted)
    parquet = pd.read_parquet(io.BytesIO(client.get(f"/api/studies/made/{table}.parquet").content))
    wanted.attrs = parquet.attrs = {}
    pd.testing.assert_frame_equal(parquet, wanted, check_dtype=False)
    part = pd.read_csv(io.BytesIO(client.get(f"/api/studies/made/{table}.csv?filter=trial%3C3&columns=trial").content))
    assert list(part.columns) == ["trial"]
    assert set(part["trial"]) == {0, 1, 2}


def test_a_trial_has_its_curve_what_differs_from_the_best_and_why_it_ended(client: httpx.Client, root: Path) -> None:
    results = Results.load(root / "made")
    detail = TrialDetail.model_validate(get(client, "/api/studies/made/trials/2"))
    assert detail.row["trial"] == 2
    assert len(detail.epochs) == (results.epochs["trial"] == 2).sum()
    best = results.params[int(results.best["trial"])]
    assert {one.name for one in detail.differs} == {k for k, v in results.params[2].items() if v != best[k]}
    assert "stopped" in detail.why.sentence
    assert get(client, "/api/studies/made/trials/999", 404)["error"]


def test_answers_are_those_of_the_command_line(client: httpx.Client, root: Path) -> None:
    results = Results.load(root / "made")
    importance = AnswerMessage.model_validate(get(client, "/api/studies/made/importance"))
    assert importance.sentence == results.importance().attrs["sentence"]
    assert len(importance.rows) == len(results.importance())
    assert AnswerMessage.model_validate(get(client, "/api/studies/made/comparison")).rows
    advice = AnswerMessage.model_validate(get(client, "/api/studies/made/advice"))
    assert advice.sentence == results.advice().attrs["sentence"]


def test_charts_are_vega_lite_in_the_colours_of_a_look(client: httpx.Client) -> None:
    names = [chart["name"] for chart in get(client, "/api/studies/made/charts")]
    assert "learning_curves" in names
    light, dark = (
        ChartMessage.model_validate(get(client, f"/api/studies/made/charts/rungs?theme={theme}"))
        for theme in ("light", "dark")
    )
    assert light.specification is not None
    assert dark.specification is not None
    assert light.specification["config"]["background"] != dark.specification["config"]["background"]
    assert light.specification["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    absent = ChartMessage.model_validate(get(client, "/api/studies/made/charts/confirmed"))
    assert absent.specification is None
    assert absent.finding
    assert get(client, "/api/studies/made/charts/absent", 404)["error"]
    assert get(client, "/api/studies/made/charts/rungs?theme=pink", 422)["error"]


def test_studies_are_compared_by_what_differs(client: httpx.Client) -> None:
    found = StudiesCompared.model_validate(get(client, "/api/compare?study=made&study=other"))
    assert (found.metric, found.mode) == ("val_accuracy", "max")
    assert [(one.path, one.values) for one in found.settings] == [("trials", ("30", "12"))]
    for one in found.studies:
        scores = [point.best for point in one.course]
        assert scores == sorted(scores)
        assert scores[-1] == one.top[0]["best_val_accuracy"]
    assert get(client, "/api/compare?study=made", 422)["error"]
    assert get(client, "/api/compare?study=made&study=absent", 404)["error"]
    assert get(client, "/api/compare?" + "&".join(["study=made"] * 11), 422)["error"]


def test_a_study_is_submitted_watched_extended_deleted_and_restored(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        body = {"study": text(trials=2), "name": "first"}
        forecast = client.post("/api/studies/validate", json=body)
        assert forecast.status_code == 200
        assert forecast.json()["trials"] == 2
        answer = client.post("/api/studies", json=body, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 201
        assert answer.headers["Location"] == "/api/studies/first"
        again = client.post("/api/studies", json=body, headers={"Idempotency-Key": "one"})
        assert (again.status_code, again.json()["name"]) == (201, "first")
        assert client.post("/api/studies", json=body).status_code == 409
        assert at_rest(client, "first")["ended_trials"] == 2
        assert client.post("/api/studies/first/stop").status_code == 409
        extended = client.post("/api/studies/first/extend", json={"trials": 1}, headers={"Idempotency-Key": "two"})
        assert extended.status_code == 200, extended.text
        eventually(lambda: get(client, "/api/studies/first")["ended_trials"] == 3)
        assert at_rest(client, "first")["state"] == "finished"
        assert client.post("/api/studies/first/replay", json={"trials": [7]}).status_code == 422
        assert client.post("/api/studies/first/confirm", json={"top": 1, "seeds": 2}).status_code == 200
        assert at_rest(client, "first")["job"] == "confirm"
        assert client.delete("/api/studies/first").status_code == 200
        assert client.get("/api/studies/first").status_code == 404
        assert [one["name"] for one in get(client, "/api/trash")] == ["first"]
        assert client.post("/api/studies/first/restore").status_code == 200
        assert get(client, "/api/studies/first")["ended_trials"] == 3
        actions = [(line["action"], line["user"], line["address"]) for line in get(client, "/api/audit")]
        assert [action for action, _, _ in reversed(actions)] == [
            "submit",
            "extend",
            "confirm",
            "delete",
            "restore",
        ]
        assert {(user, address) for _, user, address in actions} == {("local", "127.0.0.1")}


def test_a_study_that_waits_or_runs_is_stopped_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "0.3")
    with client_of(tmp_path, concurrent_studies=1) as client:
        submitted(client, {"study": text(trials=100), "name": "long"})
        assert submitted(client, {"study": text(), "name": "waits"})["state"] == "queued"
        assert client.post("/api/studies/waits/stop").json()["state"] == "stopped"
        eventually(lambda: get(client, "/api/studies/long")["ended_trials"] >= 1)
        assert client.post("/api/studies/long/stop").json()["state"] == "stopping"
        assert at_rest(client, "long")["state"] == "stopped"
        assert client.post("/api/studies/waits/resume").json()["state"] in ("queued", "running")
        assert at_rest(client, "waits")["state"] == "finished"


def test_a_fault_in_a_study_is_told_with_its_line_and_its_setting(client: httpx.Client) -> None:
    wrong = text().replace("width: {choice: [8, 16]}", "width: {choice: [8, -16]}")
    fault = client.post("/api/studies/validate", json={"study": wrong})
    assert fault.status_code == 422
    said = fault.json()
    assert said["line"] == wrong.splitlines().index("  width: {choice: [8, -16]}") + 1
    assert said["path"].startswith("space.width")
    assert "\n" not in said["error"]
    assert client.post("/api/studies/validate", json={"study": wrong, "more": 1}).json()["path"] == "more"
    assert client.post("/api/studies", content="{", headers={"Content-Type": "application/json"}).status_code == 422


def test_a_study_without_results_has_none_to_tell(tmp_path: Path) -> None:
    with client_of(tmp_path, concurrent_studies=1) as client:
        submitted(client, {"study": text(trials=1), "name": "done"})
        at_rest(client, "done")
        assert "at least" in get(client, "/api/studies/done/importance")["sentence"]
        for path in ("comparison", "model", "best/model.onnx"):
            assert get(client, f"/api/studies/done/{path}", 409)["error"]
        assert get(client, "/api/studies/done/best/model.pt", 404)["error"]


def test_a_run_with_numbers_that_can_t_be_breaks_no_list(tmp_path: Path) -> None:
    a_reported_run(tmp_path / "made", trials=3)
    journal = tmp_path / "strange" / "journal.jsonl"
    a_reported_run(tmp_path / "strange", trials=3)
    journal.unlink()
    write(journal, [started(epochs=1), drawn(0, {"lr": 0.1}), trained(0, record(1, 1.0, 7.5, 1.0, 7.5)), ended(0)])
    with client_of(tmp_path) as client:
        found = {one["name"]: one for one in get(client, "/api/studies")["studies"]}
        assert set(found) == {"made", "strange"}
        assert (found["strange"]["best"]["value"], found["strange"]["best"]["low"]) == (7.5, None)


def test_the_api_is_described_by_a_page_of_our_own(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert page.count("<script") == page.count('<script src="/static/')
    assert "style=" not in page
    for path in get(client, "/api/openapi.json")["paths"]:
        assert path in page
    operations = [one for item in get(client, "/api/openapi.json")["paths"].values() for one in item.values()]
    assert all(one.get("description") for one in operations)
    assert "$ref" in json.dumps(operations)


def test_a_missing_route_and_a_wrong_method_are_faults(client: httpx.Client) -> None:
    assert get(client, "/api/absent", 404) == {"error": "Not Found", "line": None, "path": None}
    answer = client.put("/api/studies/made")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET"


@pytest.mark.parametrize("body", [{"top": "2"}, {"top": True}, {"top": 2.5}, {"top": 0.0}])
def test_what_is_no_whole_number_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    assert client.post("/api/studies/made/confirm", json=body).status_code == 422


def test_a_whole_number_may_be_written_as_json_schema_allows() -> None:
    assert Confirmation.model_validate_json('{"top": 2.0, "seeds": 3}') == Confirmation(top=2, seeds=3)
    assert Replay.model_validate_json('{"trials": [0.0, 4]}').trials == (0, 4)
