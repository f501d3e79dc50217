"""Replays: what a trial's replay found is in the API and on the trial's page, and stays there until the trial is replayed again."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.service.apps import client_of, submitted
from tests.service.services import eventually, text
from tune_mlp.service.replays import answer_in
from tune_mlp.service.result_messages import TrialDetail, TrialReplay

HTML = {"Accept": "text/html"}


def replay_of(client: httpx.Client, trial: int) -> TrialReplay | None:
    return TrialDetail.model_validate(client.get(f"/api/studies/one/trials/{trial}").json()).replay


def ended(client: httpx.Client, job: str) -> None:
    def look() -> bool:
        study = client.get("/api/studies/one").json()
        return study["job"] == job and study["state"] in ("finished", "failed", "stopped")

    eventually(look)


def test_what_a_replay_found_is_in_the_api_and_on_the_trial_s_page(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        submitted(client, {"study": text(trials=3), "name": "one"})
        ended(client, "search")
        assert replay_of(client, 0) is None
        assert "Replay</h2>" not in client.get("/studies/one/trials/0", headers=HTML).text

        assert client.post("/api/studies/one/replay", json={"trials": [0, 1]}).status_code == 200
        ended(client, "replay")
        same, other, none = (replay_of(client, trial) for trial in range(3))
        assert none is None
        assert same is not None
        assert other is not None
        assert (same.verdict, other.verdict) == ("the same", "differs")
        assert same.answer is not None
        assert same.answer.sentence == "2 trials were compared."
        assert [row["trial"] for row in same.answer.rows] == [0, 1]
        assert same.answer.facts == {"differs": [], "tolerance": 0.1}
        assert (same.state.value, same.detail) == ("failed", "tune-mlp: trial 1 differs from epoch 2 on")
        assert same.ended is not None
        assert same.ended >= same.asked

        for path in ("/studies/one/trials/1", "/studies/one/parts/replay?trial=1"):
            page = client.get(path, headers=HTML).text
            assert "2 trials were compared." in page
            assert "val_loss, epoch 2" in page
            assert ">0.5<" in page
            assert ">0.25<" in page
            assert "tune-mlp: trial 1 differs from epoch 2 on" in page
            assert "every 2s" not in page
        assert "val_loss, epoch" not in client.get("/studies/one/trials/0", headers=HTML).text

        client.post("/api/studies/one/replay", json={"trials": [0]})
        eventually(lambda: (found := replay_of(client, 0)) and found.answer and len(found.answer.rows) == 1)
        again = replay_of(client, 0)
        assert again is not None
        assert (again.state.value, again.detail, again.verdict) == ("finished", "", "the same")
        assert replay_of(client, 1) == other


def test_a_replay_that_waits_or_was_stopped_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client_of(tmp_path, concurrent_studies=1) as client:
        submitted(client, {"study": text(trials=1), "name": "one"})
        ended(client, "search")
        monkeypatch.setenv("QUICK_SECONDS", "60")
        submitted(client, {"study": text(trials=9), "name": "other"})
        eventually(lambda: client.get("/api/studies/other").json()["state"] == "running")
        client.post("/api/studies/one/replay", json={"trials": [0]})
        waiting = replay_of(client, 0)
        assert waiting is not None
        assert (waiting.state.value, waiting.answer, waiting.verdict) == ("queued", None, None)
        page = client.get("/studies/one/trials/0", headers=HTML).text
        assert "waiting for its turn" in page
        assert "every 2s" in page
        client.post("/api/studies/one/stop")
        stopped = replay_of(client, 0)
        assert stopped is not None
        assert (stopped.state.value, stopped.answer) == ("stopped", None)
        page = client.get("/studies/one/trials/0", headers=HTML).text
        assert "ended without an answer: was taken out of the queue" in page


def test_an_answer_is_found_among_what_else_a_process_said() -> None:
    said = json.dumps({"sentence": "Yes.", "rows": [], "notes": [], "method": ["m"], "tolerance": 0.1}, indent=1)
    for around in (said, f"2026 a warning\n{{not JSON\n{{}}\n{said}\ntune-mlp: it differs\n"):
        found = answer_in(around)
        assert found is not None
        assert (found.sentence, found.facts) == ("Yes.", {"tolerance": 0.1})
    for nothing in ("", said[:-3], "[1]", '{"sentence": 1, "rows": 2, "notes": 3, "method": 4}', "{" * 100_000):
        assert answer_in(nothing) is None
