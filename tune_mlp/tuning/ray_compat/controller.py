"""Ray Tune's controller with two corrections, so that the loss of a worker costs no trial."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune import tune as ray_tune
from ray.tune.execution import class_cache, tune_controller

from tune_mlp.tuning.ray_compat.patching import changed


class ActorManager(RayActorManager):  # type: ignore[misc]  # ray ships no types
    """Keeps the study going when Ray's memory monitor ends a worker; Ray's own manager would give up the whole study."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


class Controller(tune_controller.TuneController):  # type: ignore[misc]  # ray ships no types
    """Keeps a trial whose worker is lost just when it is given that trial.

    Ray's controller is told of such a loss twice, by the actor and by its task. The first time it puts the trial back into the queue,
    and the second time it gives the trial up.
    """

    def _schedule_trial_task(self, trial: Any, method_name: str, *args: Any, **kwargs: Any) -> Any:
        if method_name == "reset":
            kwargs["on_error"] = self._reset_failed
        return super()._schedule_trial_task(trial, method_name, *args, **kwargs)

    def _process_trial_failure(self, trial: Any, exception: Exception) -> None:
        trial.lost_to = exception  # Ray writes it to a file, and looks for it elsewhere
        super()._process_trial_failure(trial, exception)

    def _reset_failed(self, trial: Any, exception: Exception) -> None:
        self._resetting_trials.discard(trial)
        if not isinstance(exception, RayActorError):  # a lost actor was answered already
            self._trial_task_failure(trial, exception)


@contextlib.contextmanager
def mended_controller(own_ray: bool) -> Iterator[None]:
    """Make `tune.run` use the controller and the actor manager of this module.

    Ray Tune also gives its actors environment variables: one for PyTorch Lightning, and the driver's credentials. An actor with
    variables of its own can't use a worker that was started before. Workers of `own_ray` have the driver's environment anyway.
    """
    variables: dict[str, Any] = {"DEFAULT_ENV_VARS": {}} | ({"ENV_VARS_TO_PROPAGATE": ()} if own_ray else {})
    with (
        changed(ray_tune, TuneController=Controller),
        changed(tune_controller, RayActorManager=ActorManager),
        changed(class_cache, **variables),
    ):
        yield


def one_folder(trial: Any) -> str:
    """Use one folder for all trials of a study. Ray makes three folders for each trial and leaves them, although our trials put
    nothing there."""
    trial.relative_logdir = trial.storage.trial_dir_name = "trial"
    return "trial"
