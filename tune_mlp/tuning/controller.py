"""Ray Tune's controller, mended where a lost worker would cost a trial."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ray.exceptions import RayActorError
from ray.tune import tune as ray_tune
from ray.tune.execution.tune_controller import TuneController


class Controller(TuneController):  # type: ignore[misc]  # ray ships no types
    """Ray's own forgets that a worker was lost while it was handed its next trial: it hears of it twice, from the actor and
    from the task, and the second time gives the trial up that it has just put back into the queue."""

    def _schedule_trial_task(self, trial: Any, method_name: str, *args: Any, **kwargs: Any) -> Any:
        if method_name == "reset":
            kwargs["on_error"] = self._reset_failed
        return super()._schedule_trial_task(trial, method_name, *args, **kwargs)

    def _reset_failed(self, trial: Any, exception: Exception) -> None:
        self._resetting_trials.discard(trial)
        if not isinstance(exception, RayActorError):  # what the actor's loss asks for is done by now
            self._trial_task_failure(trial, exception)


@contextlib.contextmanager
def mended_controller() -> Iterator[None]:
    """tune.run takes the controller from its module."""
    before, ray_tune.TuneController = ray_tune.TuneController, Controller
    try:
        yield
    finally:
        ray_tune.TuneController = before


def one_folder(trial: Any) -> str:
    """One for all trials of a study: Ray makes three for each, and leaves them, though ours put nothing there. Only those
    that can be set aside need any of their own."""
    trial.relative_logdir = trial.storage.trial_dir_name = "trial"
    return "trial"
