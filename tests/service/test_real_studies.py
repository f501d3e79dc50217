"""Real studies in a service: submitted, forecast, followed, stopped, resumed after a kill, extended, all with Ray."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.service.services import ADA, drivers, end_drivers, eventually
from tune_mlp.results.results import Results
from tune_mlp.service.local_launcher import LocalLauncher
from tune_mlp.service.messages import Extension, StudyState, Submission
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.studies import StudyService

pytestmark = pytest.mark.timeout(900)


def real(root: Path) -> StudyService:
    return StudyService(root, LocalLauncher(root / ".service" / "drivers"), ServiceOptions(concurrent_studies=1))


def test_a_real_study_is_run_stopped_and_goes_on(tmp_path: Path) -> None:
    try:
        with real(tmp_path) as opened:
            asked = Submission(study="digits_quick", name="one", changes=("trials=40", "epochs=3"))
            opened.submit(ADA, asked, "k")
            eventually(lambda: opened.get("one").ended_trials >= 1, 300)
            opened.stop(ADA, "one")
            stopped = eventually(lambda: one if (one := opened.get("one")).state is StudyState.STOPPED else None, 120)
            assert 1 <= stopped.ended_trials < 40
            assert "interrupted" in opened.log("one")
            assert opened.submit(ADA, asked, "k").state is StudyState.STOPPED
            assert not drivers(tmp_path)
            assert len(Results.load(tmp_path / "one").trials) >= stopped.ended_trials
    finally:
        end_drivers(tmp_path)


@pytest.mark.slow  # a minute of real searches
def test_a_real_driver_that_is_killed_is_resumed_and_then_extended_and_forecast(tmp_path: Path) -> None:
    try:
        with real(tmp_path) as opened:
            opened.submit(ADA, Submission(study="digits_quick", name="one", changes=("trials=30", "epochs=3")))
            eventually(lambda: opened.get("one").ended_trials >= 2, 300)
            os.kill(drivers(tmp_path)[0], signal.SIGKILL)
            eventually(lambda: opened.get("one").restarts == 1, 60)
            eventually(lambda: opened.get("one").state is StudyState.FINISHED, 600)
            assert opened.get("one").ended_trials == 30
            opened.extend(ADA, "one", Extension(trials=2))
            eventually(lambda: opened.get("one").state is StudyState.FINISHED, 600)
            assert len(Results.load(tmp_path / "one").trials) == 32
            opened.replay(ADA, "one", [0])
            eventually(
                lambda: opened.get("one").job == "replay" and opened.get("one").state is StudyState.FINISHED, 300
            )
            replayed = opened.replay_of("one", 0)
            assert replayed is not None
            assert replayed.verdict == "the same"
            assert replayed.answer is not None
            assert "bit for bit the same" in replayed.answer.sentence
            forecast = opened.validate(Submission(study="digits_quick"))
            assert forecast.seconds is not None
            assert forecast.seconds > 0
            assert any(line.startswith("wall time") for line in forecast.lines)
    finally:
        end_drivers(tmp_path)
