"""A user of the service, as far as the studies need to know: a name, and whether the user is an admin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    """Somebody who asks for something."""

    name: str
    admin: bool = False
    """An admin may stop, extend and delete other users' studies, and read the audit lines."""
    address: str = ""
    """Where the request came from, for the audit lines: an IP address."""

    def may_change(self, owner: str) -> bool:
        """Say whether the user may change a study of this owner. A run that was made without the service has no owner, and is an
        admin's to change."""
        return self.admin or (owner != "" and owner == self.name)
