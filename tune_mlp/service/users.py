"""A user of the service, as far as the service cares: a name, and whether all studies are theirs to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    """Who asks for a change."""

    name: str
    admin: bool = False
    """An admin may stop, resume and delete everybody's studies, and read the audit."""


LOCAL = User("local", admin=True)
"""The one user of a service on loopback without tokens: whoever is at this machine."""
