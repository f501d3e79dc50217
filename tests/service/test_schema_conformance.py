"""The API keeps to its own description: schemathesis makes requests from the OpenAPI schema, right and wrong ones, and checks each answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.pages import a_reported_run
from tests.service.apps import TOKENS, USERS, opened, trained_runs
from tests.service.servers import serving

SETTINGS = Path(__file__).with_name("schemathesis.toml")
ENDLESS = "/events$"
"""A stream has no end, so schemathesis can't read one; tests/service/test_api_events.py has its tests."""


def checked(root: Path, examples: int, seed: int) -> int:
    """Check the API with all of schemathesis' checks; returns the number of requests that it made."""
    for name in ("made", "other", "changed"):
        a_reported_run(root / name, trials=12)
    trained_runs(root)
    st = Path(sys.executable).with_name("st")
    with opened(root, USERS, data_dir=root, concurrent_studies=1) as (app, _), serving(app) as url:
        command: list[str | Path] = [st, "--config-file", SETTINGS, "run", f"{url}/api/openapi.json", "--checks", "all"]
        command += ["--header", f"Authorization: Bearer {TOKENS['root']}", "--exclude-path-regex", ENDLESS]
        command += ["--request-timeout", "60"]  # the first prediction imports PyTorch
        command += ["--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none", "--no-color"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=7200)
    assert done.returncode == 0, "\n".join(line[:300] for line in done.stdout.splitlines())
    found = re.search(r"Test cases:\s+(\d+) generated, \1 passed|Test cases:\s+(\d+) generated", done.stdout)
    assert found, done.stdout[-2000:]
    return int(found[1] or found[2])


@pytest.mark.timeout(600)
def test_a_thousand_requests_find_no_fault_of_the_server_and_no_answer_beside_the_schema(tmp_path: Path) -> None:
    assert checked(tmp_path, examples=4, seed=1) >= 1000


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_requests_find_none_either(tmp_path: Path) -> None:
    assert checked(tmp_path, examples=300, seed=2) >= 10_000
