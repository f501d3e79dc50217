"""The connection of a client to a service: a request survives a lost connection without being doubled, and an error is one line."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from tune_mlp.errors import RunError, StudyError, TuneMlpError, UsageError
from tune_mlp.service.faults import Conflict, NoSpaceLeft, NotAllowed, Refused, ServiceFault, TooMany, UnknownStudy
from tune_mlp.service.messages import Fault
from tune_mlp.version import __version__

try:
    import httpx
    import httpx_sse
except ModuleNotFoundError as missing:
    raise UsageError(f"a client needs the package {missing.name}: pip install 'tune-mlp[service]'") from None

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""The seconds before each new attempt; the last is repeated."""
FAULTS: dict[int, type[TuneMlpError]] = {
    401: NotAllowed,
    **{kind.http: kind for kind in (NotAllowed, UnknownStudy, Conflict, Refused, TooMany, NoSpaceLeft)},
}
"""The error that each status of an answer becomes; any other one is a ServiceFault or a RunError."""
SILENCE = 60.0
"""The seconds after which a stream that says nothing, not even that it lives, is taken for lost."""

_Read = TypeVar("_Read", bound=BaseModel)


class ServiceUnreachable(RunError):
    """No service answers at an address, or it was lost for longer than the client waits."""


@dataclass(frozen=True)
class StreamedMessage:
    """A message of a stream, as it was sent."""

    name: str
    data: str
    id: str
    """Where the stream goes on after this message."""


class Connection:
    """Sends requests to a service. What it can't reach at first is an error at once; what it loses later, it tries again."""

    def __init__(self, url: str, token: str | None, patience: float, transport: httpx.BaseTransport | None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"the service's address must be like http://127.0.0.1:8642, got {url!r:.200}")
        if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
            raise UsageError("the token must be one line of printable ASCII characters")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._patience = patience
        self._reached = False
        headers = {"User-Agent": f"tune-mlp/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.strip()}"
        # An address on loopback is never asked for through a proxy of the environment.
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._client = httpx.Client(
            base_url=self.url, headers=headers, timeout=30.0, transport=transport, trust_env=not local
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        key: str | None = None,
        harmless: bool = False,
        source: str = "",
    ) -> httpx.Response:
        """Send a request, and return its answer.

        A request whose connection is lost is sent again if it is a question (`harmless`, as each GET is), or has a key: the server
        does what has one key once. `source` is the file of the study that is sent, for its errors.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        content = None
        if body is not None:
            content, headers["Content-Type"] = body.model_dump_json(exclude_unset=True).encode(), "application/json"
        pauses = self._pauses() if harmless or method == "GET" or key is not None else iter(())
        while True:
            try:
                response = self._client.request(method, path, params=_given(query), content=content, headers=headers)
            except httpx.TransportError as error:
                self._wait(error, pauses)
            else:
                self._reached = True
                _refuse_faults(response, source)
                return response

    def read(self, kind: type[_Read], method: str, path: str, **request: Any) -> _Read:
        """Send a request, and return its answer as a message of this kind."""
        return self.parse(kind, self.request(method, path, **request).content)

    def parse(self, kind: type[_Read], content: bytes | str) -> _Read:
        """Return what the service sent as a message of this kind."""
        try:
            return kind.model_validate_json(content)
        except ValidationError:
            raise ServiceFault(
                f"{self.url} answered with something that isn't a {kind.__name__}: is it a tune-mlp service of version {__version__}?"
            ) from None

    @contextmanager
    def download(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[Iterator[bytes]]:
        """Provide the content of a file in pieces."""
        try:
            with self._client.stream("GET", path, params=_given(query)) as response:
                self._reached = True
                _refuse_faults(response)
                yield response.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def messages(self, path: str, after: str) -> Iterator[StreamedMessage]:
        """Yield the messages of a stream after the one whose id is given. A stream that is lost or closed, as by a restart of the
        server, goes on after its last message. It never ends by itself.
        """
        last, pauses = after, self._pauses()
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            timeout = httpx.Timeout(30.0, read=SILENCE)
            try:
                with httpx_sse.connect_sse(self._client, "GET", path, headers=headers, timeout=timeout) as source:
                    self._reached = True
                    _refuse_faults(source.response)
                    for message in source.iter_sse():
                        last, pauses = message.id or last, self._pauses()
                        yield StreamedMessage(message.event, message.data, last)
                self._wait(httpx.RemoteProtocolError("it closes every stream at once"), pauses)
            except httpx_sse.SSEError:
                raise ServiceFault(f"{self.url}{path} is no stream of events: is it a tune-mlp service?") from None
            except httpx.TransportError as error:
                self._wait(error, pauses)

    def _wait(self, error: httpx.TransportError, pauses: Iterator[float]) -> None:
        """Wait before the next attempt. There is none where the service was never reached, or where patience is at its end."""
        never = isinstance(error, httpx.ConnectError) and not self._reached
        pause = None if never else next(pauses, None)
        if pause is None:
            raise self._unreachable(error) from None
        time.sleep(pause)

    def _pauses(self) -> Iterator[float]:
        """Yield the pauses between attempts, until their sum is the patience."""
        waited = 0.0
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            if waited >= self._patience:
                return
            yield pause
            waited += pause

    def _unreachable(self, error: Exception) -> ServiceUnreachable:
        reason = "it didn't answer in time" if isinstance(error, httpx.TimeoutException) else str(error)
        return ServiceUnreachable(f"no service answers at {self.url}: {reason or type(error).__name__}")


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    """Leave out what isn't given."""
    return {name: value for name, value in (query or {}).items() if value is not None}


def _refuse_faults(response: httpx.Response, source: str = "") -> None:
    """Raise the fault that an answer tells of, in the server's own line."""
    if response.is_success:
        return
    response.read()
    kind = FAULTS.get(response.status_code, ServiceFault if response.is_client_error else RunError)
    try:
        fault = Fault.model_validate_json(response.content)
    except ValidationError:
        said = f"{response.status_code} {response.reason_phrase}".strip()
        raise kind(f"{response.url.copy_with(query=None)} answered {said}: is it a tune-mlp service?") from None
    of_study = fault.line is not None or (fault.path or "") not in fault.error
    if kind is not Refused or not of_study:
        raise kind(fault.error)
    line = "" if fault.line is None else f"{source}:{fault.line}" if source else f"line {fault.line}"
    raise StudyError(fault.error, tuple((fault.path or "").split(".")) if fault.path else (), line or source)
