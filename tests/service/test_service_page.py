"""docs/service.md tells the truth: its Python and its curl commands run against a real study, and its table names every route."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.service.servers import FREELY, serving
from tune_mlp import Client, cli
from tune_mlp.service.access import Access
from tune_mlp.service.app import make_app
from tune_mlp.service.local_launcher import LocalLauncher
from tune_mlp.service.messages import StudyState
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.studies import StudyService

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
HERE = "http://127.0.0.1:8642"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve an empty root whose studies are real ones."""
    root = tmp_path_factory.mktemp("root")
    launcher = LocalLauncher(root / ".service" / "drivers")
    options = ServiceOptions(plan=False)
    with StudyService(root, launcher, options) as opened, serving(make_app(opened, Access(), FREELY)) as found:
        yield found
        with Client(found) as client:
            for study in client.list().studies:
                if study.state in (StudyState.QUEUED, StudyState.RUNNING, StudyState.STOPPING):
                    client.stop(study.name)
                    client.wait(study.name)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Return the page's commands of a program as words, without their comments."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{program} ")]


@pytest.fixture(scope="module")
def ran(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the page's Python, and keep what it made."""
    (code,) = blocks("python")
    folder = tmp_path_factory.mktemp("python")
    made: dict[str, Any] = {"print": lambda event: None}
    with contextlib.chdir(folder):
        exec(code.replace(HERE, url), made)  # the page's own text
    made["folder"] = folder
    yield made
    made["client"].close()


def test_the_python_of_the_page_runs_a_study_and_uses_its_model(ran: dict[str, Any]) -> None:
    summary = ran["client"].get("first")
    assert summary.state is StudyState.FINISHED
    assert summary.ended_trials == 6, "four, and two more"
    assert len(ran["client"].trials("first")) == 6
    assert (ran["folder"] / "model.pt").stat().st_size > 1000


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_commands_of_the_page_are_answered(url: str, ran: dict[str, Any], tmp_path: Path) -> None:
    asked = commands("curl")
    assert len(asked) >= 6
    for words in asked:
        command = [word.replace(HERE, url) for word in words]
        done = subprocess.run(
            [*command, "--silent", "--show-error", "--globoff", "--fail-with-body"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        timed_out = 28 if "--max-time" in words else 0
        assert done.returncode == timed_out, f"{command}: {done.stdout}{done.stderr}"
        assert "--output" in words or "-o" in words or done.stdout
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 6


def test_the_words_of_the_page_are_understood() -> None:
    asked = commands("tune-mlp")
    assert {words[1] for words in asked} == {"serve", "submit", "list", "watch", "stop", "doctor"}
    for words in asked:
        cli.make_parser().parse_args(words[1:])


def test_every_route_of_the_api_is_in_the_table_and_nothing_else(tmp_path: Path) -> None:
    service = StudyService(tmp_path, LocalLauncher(tmp_path), ServiceOptions())
    paths = make_app(service, Access()).openapi()["paths"]
    routes = {
        f"{method.upper()} {path.removeprefix('/api')}" for path, operations in paths.items() for method in operations
    }
    table = PAGE.partition("## The API")[2].partition("```sh")[0]
    named = re.findall(r"`((?:GET|POST|DELETE) [^`]+)`", table)
    assert sorted(named) == sorted(routes)


def test_every_method_of_the_client_is_on_the_page() -> None:
    methods = {name for name in vars(Client) if not name.startswith("_")} - {
        "url",
        "close",
        "health",
        "me",
        "study_text",
    }
    assert {name for name in methods if not re.search(rf"`{name}`|client\.{name}\(", PAGE)} == set()
