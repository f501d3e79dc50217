"""A pool of Ray actors of one class, on all nodes in turn, that answer questions at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import ray


class WorkerPool:
    """Actors that share one argument. The first few of them are spread over as many nodes as possible."""

    def __init__(self, kind: type[Any], shared: object, count: int, resources: Mapping[str, float]) -> None:
        reference = ray.put(shared)
        made = ray.remote(kind).options(**resources)
        self._actors = [made.remote(reference) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._actors)

    def prepare(self, method: str, argument: object, seconds: float) -> list[Any]:
        """Call a method of every actor and order the actors by node; a TimeoutError says that some weren't up in time."""
        asked = [getattr(actor, method).remote(argument) for actor in self._actors]
        try:
            answers: list[Any] = ray.get(asked, timeout=seconds)
        except ray.exceptions.GetTimeoutError as error:
            raise TimeoutError(str(error)) from None
        by_node: dict[str, list[Any]] = {}
        for actor in self._actors:
            by_node.setdefault(_node_of(actor), []).append(actor)
        self._actors = [actor for some in zip_longest(*by_node.values()) for actor in some if actor is not None]
        return answers

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method of the first actors at once, one for each tuple of arguments; returns their answers in order."""
        actors = self._actors[: len(arguments)]
        asked = [getattr(actor, method).remote(*given) for actor, given in zip(actors, arguments, strict=True)]
        answers: list[Any] = ray.get(asked)
        return answers


def _node_of(actor: Any) -> str:
    return str(ray.get(actor.__ray_call__.remote(lambda self: ray.get_runtime_context().get_node_id())))
