"""Answers of a made-up service for tests of the client: each request is met by the next answer of a list, or by a lost connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tune_mlp.service.client import Client
from tune_mlp.service.messages import StudyState, StudySummary

Reply = httpx.Response | Exception


class Answers(httpx.BaseTransport):
    """A transport that answers each request with the next reply, and remembers the requests."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def headers(self, name: str) -> list[str | None]:
        """Return this header of each request."""
        return [request.headers.get(name) for request in self.requests]


class Pieces(httpx.SyncByteStream):
    """A body that comes in pieces, and may end with a lost connection."""

    def __init__(self, pieces: list[str], lost: Callable[[], Exception] | None) -> None:
        self._pieces, self._lost = pieces, lost

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece.encode()
        if self._lost is not None:
            raise self._lost()


def client(*replies: Reply, patience: float = 1.0, token: str | None = None) -> tuple[Client, Answers]:
    """Return a client whose requests are met by these replies."""
    answers = Answers(*replies)
    return Client("http://service.example", token, patience=patience, transport=answers), answers


def summary(name: str = "first", state: StudyState = StudyState.RUNNING, **more: Any) -> StudySummary:
    """Return the summary of a study."""
    return StudySummary(name=name, space="digits_quick", state=state, job="search", owner="ada", **more)


def ok(message: Any, status: int = 200) -> httpx.Response:
    """Return an answer with a message."""
    return httpx.Response(status, content=message.model_dump_json())


def lost() -> Exception:
    """Return what a connection that breaks raises."""
    return httpx.ReadError("connection reset by peer")


def message(name: str, data: Any, number: int) -> str:
    """Write a message as a stream has it."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"id: {number}\nevent: {name}\ndata: {text}\n\n"


def stream(*pieces: str, lost: Callable[[], Exception] | None = None) -> httpx.Response:
    """Return a stream of messages, that is lost at its end or closed."""
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Pieces(list(pieces), lost))
