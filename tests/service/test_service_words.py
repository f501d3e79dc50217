"""The words submit, list, watch and stop, and doctor --server, against a real service with quick drivers."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.service.servers import FREELY, serving
from tests.service.services import service, text
from tests.terminal import Terminal
from tune_mlp import cli
from tune_mlp.service.access import Access, digest_of
from tune_mlp.service.app import make_app
from tune_mlp.service.client import Client
from tune_mlp.service.study_events import TrialDrawn
from tune_mlp.service.users import User

TOKEN = "t" * 30


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a root with quick drivers, to ada alone."""
    access = Access({digest_of(TOKEN): User("ada")})
    with service(tmp_path_factory.mktemp("root")) as opened, serving(make_app(opened, access, FREELY)) as found:
        yield found


@pytest.fixture(autouse=True)
def _environment(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNE_MLP_SERVER", url)
    monkeypatch.setenv("TUNE_MLP_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text(trials=2))


def test_submit_prints_the_address_and_watch_shows_what_a_search_shows(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["submit", "--space", "mine.yaml", "--set", "lr=0.01", "--trials", "3", "--name", "first"]) == 0
    assert capsys.readouterr().out == f"{url}/studies/first\n"
    assert cli.main(["watch", "first"]) == 0
    said = capsys.readouterr().out
    assert "first: small on digits; random search, fifo" in said
    assert [line[:5] for line in said.splitlines() if line.startswith("[")] == ["[1/3]", "[2/3]", "[3/3]"]
    assert "Best 3 of 3 trials" in said
    assert (
        len(
            re.findall(
                r"^\[\d/3\] trial \d finished after 3 epochs  val_accuracy 0\.\S+  lr \S+, width", said, re.MULTILINE
            )
        )
        == 3
    )
    assert f"{url}/api/studies/first/trials.csv" in said


def test_a_study_is_submitted_and_watched_in_one_go(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["submit", "--space", "mine.yaml", "--metric", "val_loss", "--seed", "7", "--watch", "--key", "the-same"]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    assert "Best 2 of 2 trials" in first
    assert cli.main(words) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[0] == first.splitlines()[0], "the same key is the same study"


def test_list_answers_as_text_json_csv_and_markdown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["submit", "--space", "mine.yaml", "--name", "listed", "--watch"]) == 0
    capsys.readouterr()
    said = {}
    for form in ("text", "json", "csv", "markdown"):
        assert cli.main(["list", "--search", "listed", "--state", "finished", "--to", form]) == 0
        said[form] = capsys.readouterr().out
    assert said["text"].startswith("1 study that matches: 1 finished\n")
    answer = json.loads(said["json"])
    (row,) = answer["rows"]
    assert answer["server"] == url
    assert (row["study"], row["state"], row["owner"], row["trials"], row["ended_trials"]) == (
        "listed",
        "finished",
        "ada",
        2,
        2,
    )
    assert row["metric"] == "val_accuracy"
    table = pd.read_csv(io.StringIO(said["csv"]))
    assert table.loc[0, "study"] == "listed"
    assert table.loc[0, "best"] == row["best"]
    assert "| listed " in said["markdown"]
    assert cli.main(["list", "--search", "no such study"]) == 0
    assert capsys.readouterr().out == "0 studies that match\n"


def test_stop_ends_a_study_and_watch_ends_as_a_search_that_was_stopped(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "30")
    assert cli.main(["submit", "--space", "mine.yaml", "--name", "slow"]) == 0
    with Client(url, TOKEN) as client:
        next(event for event in client.follow("slow") if isinstance(event, TrialDrawn))
    assert cli.main(["stop", "slow", "nowhere"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[1] in ("slow: stopping", "slow: stopped")
    assert said.err.count("\n") == 1
    assert "nowhere" in said.err
    assert cli.main(["watch", "slow"]) == 143
    assert f"{url}/studies/slow can resume it" in capsys.readouterr().err
    assert cli.main(["list", "--state", "stopped", "--to", "csv"]) == 0
    assert "\nslow,stopped," in capsys.readouterr().out


def test_watch_ends_as_a_search_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["submit", "--space", "mine.yaml", "--set", "description=refuse", "--name", "refused", "--watch"]
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert said == "tune-mlp: refused failed: quick: this study is refused\n"


def test_a_study_that_was_deleted_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["watch", "nowhere"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nowhere" in said


def test_a_terminal_shows_a_live_view_while_a_study_is_watched(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "4")
    assert cli.main(["submit", "--space", "mine.yaml", "--name", "live"]) == 0
    seen: list[list[str]] = []
    terminal = Terminal(columns=100, lines=30)
    assert terminal.run([sys.executable, "-m", "tune_mlp", "watch", "live"], tmp_path, watch=seen.append) == 0
    live = [line for lines in seen for line in lines]
    assert any("epoch 2/3" in line for line in live)
    assert any("best so far" in line for line in live)
    assert any("Best 2 of 2 trials" in line for line in terminal.lines)
    assert not any("epoch 2/3" in line for line in terminal.lines), "the live view is gone at the end"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["submit", "--space", "mine.yaml", "--set", "lr=wide"], "--set lr=wide: must be a number"),
        (["submit", "--space", "no_such_space"], "no shipped space is named"),
        (["submit", "--space", "mine.yaml", "--name", "../up"], "name"),
        (["submit", "--space", "mine.yaml", "--token-file", "none"], "--token-file none: can't read it"),
        (["list", "--state", "runing"], "did you mean 'running'"),
        (["list", "--server", "ftp://x"], "the service's address must be like"),
        (["list", "--server", "http://127.0.0.1:1"], "no service answers at http://127.0.0.1:1"),
        (["watch", "a b"], "no study can have the name"),
        (["stop"], "NAME"),
    ],
)
def test_a_mistake_is_answered_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        assert cli.main(words) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1, error


def test_the_token_comes_from_a_file_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNE_MLP_TOKEN", "x" * 30)
    assert cli.main(["list"]) == 2
    assert capsys.readouterr().err == "tune-mlp: the token is wrong\n"
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert cli.main(["list", "--token-file", "token"]) == 0
