"""Access to the service: which token is whose."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from tune_mlp.service.users import User

LOCAL = User("local", admin=True)
"""The one user of a service on loopback without tokens: whoever is at this machine."""


@dataclass(frozen=True)
class Access:
    """Who may use the service. Without users it is whoever can reach it, which loopback alone may allow."""

    users: Mapping[str, User] = field(default_factory=dict)
    """Each user by the SHA-256 of their token."""

    @property
    def needs_token(self) -> bool:
        """Whether a request has to prove whose it is."""
        return bool(self.users)

    def user_of(self, token: str | None) -> User | None:
        """Return whose token it is, in a time that doesn't depend on how much of it is right."""
        if not self.users:
            return LOCAL
        digest = digest_of(token or "")
        found = [user for known, user in self.users.items() if hmac.compare_digest(known, digest)]
        return found[0] if found else None


def digest_of(token: str) -> str:
    """Return what is kept of a token. A token is 32 random bytes, so one round of SHA-256 hides it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
