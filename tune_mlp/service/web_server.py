"""The web server: uvicorn on one address, which says where it listens, and ends its open streams when it is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from tune_mlp.errors import UsageError
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.guards.head_guard import MOST_HEAD_BYTES
from tune_mlp.service.messages import Fault
from tune_mlp.service.safety_headers import HEADERS

HEAD_SECONDS = 20.0
"""The time that a request's head may take to arrive."""
GRACE_SECONDS = 5
"""The time that requests may take to end once the server is asked to end."""
MOST_CONNECTIONS = 2000


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose head doesn't arrive in time, for which uvicorn alone would wait for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; the wait ends with the head."""
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what isn't HTTP in the form of every other fault; no guard has seen it. Uvicorn alone would answer in plain text."""
        content = Fault(error="the request can't be read: it isn't HTTP/1.1").model_dump_json().encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
            **HEADERS,
        }
        answer = h11.Response(status_code=400, reason=b"Bad Request", headers=list(headers.items()))
        for event in (answer, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._end_watch()

    def _watch(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._close)
        elif not waits:
            self._end_watch()

    def _end_watch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class WebServer(uvicorn.Server):
    """Serves an application on a socket until SIGINT or SIGTERM."""

    def __init__(self, app: FastAPI, listening: socket.socket, ready: Callable[[], None] = lambda: None) -> None:
        """`ready` is called once requests are answered."""
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            # It does the same with a third less of the processor's time, which a search beside it needs. There is none for Windows.
            loop="uvloop" if find_spec("uvloop") else "asyncio",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        self._app, self._listening, self._ready = app, listening, ready

    def serve_until_stopped(self) -> None:
        """Answer requests until a signal comes."""
        self.run(sockets=[self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which else would be waited for, and then everything."""
        self._app.state.ours.stopping.set()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that ask for an end. Uvicorn would raise them again afterwards, as if the end had failed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: {getattr(error, 'strerror', None) or error}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise UsageError(f"--port {port}: can't listen on {host}: {error.strerror or error}") from None
    return listening


def url_of(listening: socket.socket, options: AppOptions) -> str:
    """Return the address of the first page."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{host}:{listening.getsockname()[1]}/"
