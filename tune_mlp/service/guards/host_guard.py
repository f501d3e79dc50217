"""The guard of the Host header: a name that isn't this service's is refused, so that no foreign page can reach it by its own name.

A page whose name is made to point at this machine (DNS rebinding) would count as the same origin for a browser, but its name stands in the
Host header. An address in digits can't be made to point elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.errors import clipped, escaped
from tune_mlp.service.guards.refusal import refusal

LOOPBACK_NAMES = ("localhost",)


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach this address."""
    if host in LOOPBACK_NAMES:
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def name_in(header: str) -> str | None:
    """Return the name in a Host header without its port; None where the header isn't one."""
    name, bracket, rest = header.partition("]") if header.startswith("[") else ("", "", "")
    if bracket:
        port = rest
        name = name[1:]
    else:
        name, colon, number = header.partition(":")
        port = colon + number
    if port and not (port.startswith(":") and port[1:].isascii() and port[1:].isdigit()):
        return None
    return name.lower().rstrip(".") or None


class HostGuard:
    """Lets requests through whose Host is one of the service's own names."""

    def __init__(self, app: ASGIApp, host: str, allowed: Collection[str] = ()) -> None:
        """`host` is the address that the server listens on; `allowed` are further names."""
        self._app = app
        self._loopback = is_loopback(host)
        own = () if self._loopback else (host, socket.gethostname(), socket.getfqdn())
        self._names = {name.lower().rstrip(".") for name in (*LOOPBACK_NAMES, *own, *allowed)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not self._is_own(hosts[0]):
                said = escaped(clipped(hosts[0])) if hosts else "nothing"
                answer = refusal(
                    403, f"the Host header names {said}, which isn't a name of this service; see --allow-host"
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_own(self, header: str) -> bool:
        name = name_in(header)
        if name is None:
            return False
        if name in self._names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or not self._loopback)


@lru_cache(maxsize=64)  # each request names a host, and mostly the same
def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
