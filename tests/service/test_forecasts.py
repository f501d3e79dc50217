"""Forecasts in a service: measured one at a time in a process of their own, within a limit of time, and remembered."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.service.services import eventually, submission
from tune_mlp.service.forecasting import Forecasts
from tune_mlp.service.messages import Forecast
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.submissions import CheckedStudy, DataRules, check

MEASURED = Forecast(study="s", trials=3, seconds=4.5, lines=("wall time: about 4 s",))


def checked(trials: int = 3) -> CheckedStudy:
    return check(submission(trials=trials), DataRules(None))


def program(folder: Path, text: str) -> tuple[str, ...]:
    """Return a program in place of the one that measures: a shell script."""
    path = folder / "measure.sh"
    path.write_text(f"echo $$ >> {folder}/begun\n{text}\n")
    return ("/bin/sh", str(path))


def begun(folder: Path) -> list[int]:
    path = folder / "begun"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_forecast_is_measured_once_and_remembered(tmp_path: Path) -> None:
    forecasts = Forecasts(ServiceOptions(), program(tmp_path, f"echo progress; echo '{MEASURED.model_dump_json()}'"))
    assert forecasts.of(checked()) == MEASURED
    assert forecasts.of(checked()) == MEASURED
    assert len(begun(tmp_path)) == 1
    forecasts.of(checked(trials=4))
    assert len(begun(tmp_path)) == 2


def test_a_study_that_cant_be_run_gets_the_reason_and_is_measured_again(tmp_path: Path) -> None:
    forecasts = Forecasts(ServiceOptions(), program(tmp_path, "echo the data are missing >&2; exit 2"))
    for _ in range(2):
        found = forecasts.of(checked())
        assert (found.trials, found.seconds, found.lines) == (3, None, ("can't be run: the data are missing",))
    assert len(begun(tmp_path)) == 2


def test_a_forecast_that_takes_too_long_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    forecasts = Forecasts(
        ServiceOptions(plan_seconds=0.5), program(tmp_path, f"sleep 60 & echo $! >> {tmp_path}/begun; wait")
    )
    assert forecasts.of(checked()).lines == ("not measured: it takes longer than 0.5 s",)
    for pid in begun(tmp_path):
        eventually(lambda pid=pid: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_one_forecast_is_made_at_a_time_and_few_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_mlp.service.forecasting.MOST_WAITING", 3)
    script = f"mkdir {tmp_path}/alone || exit 9; sleep 0.2; rmdir {tmp_path}/alone; echo '{MEASURED.model_dump_json()}'"
    forecasts = Forecasts(ServiceOptions(), program(tmp_path, script))
    found: list[Forecast] = []
    threads = [threading.Thread(target=lambda n=n: found.append(forecasts.of(checked(n)))) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measured = [one for one in found if one == MEASURED]
    assert 3 <= len(measured) < 6
    assert all("many other forecasts" in one.lines[0] for one in found if one != MEASURED)


def test_a_service_that_ends_ends_its_forecast(tmp_path: Path) -> None:
    forecasts = Forecasts(ServiceOptions(), program(tmp_path, "exec sleep 60"))
    found: list[Forecast] = []
    thread = threading.Thread(target=lambda: found.append(forecasts.of(checked())))
    thread.start()
    (pid,) = eventually(lambda: begun(tmp_path))
    forecasts.close()
    thread.join(30)
    assert not alive(pid)
    assert found[0].seconds is None
    assert forecasts.of(checked()).seconds is None, "none is begun any more"
    assert begun(tmp_path) == [pid]
