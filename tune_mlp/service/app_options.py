"""The limits of the web application: what a request may take, and how many a user may make."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rate:
    """How many requests are answered: `burst` at once, then `each_second`."""

    burst: int
    each_second: float


@dataclass(frozen=True)
class AppOptions:
    """The limits of the web application."""

    host: str = "127.0.0.1"
    """The address that the server listens on."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names that a request's Host may have, beside this machine's own."""
    behind_https: bool = False
    """Whether browsers reach the service through a proxy that speaks TLS, so that the cookie of a sign-in goes over https alone."""
    most_body_bytes: int = 4_000_000
    heavy_threads: int = 2
    """The threads that draw charts and work out answers."""
    most_streams: int = 1000
    """The number of streams of events that may be open at once."""
    body_seconds: float = 20.0
    """The time that a request's body may take to arrive."""
    reads: Rate = field(default=Rate(1000, 200.0))
    """The rate of each user's requests that change nothing."""
    changes: Rate = field(default=Rate(100, 5.0))
    """The rate of each user's requests that change something."""
    failures: Rate = field(default=Rate(20, 0.2))
    """The rate of wrong tokens from an address."""
