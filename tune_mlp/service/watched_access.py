"""Access by files that are watched: a running service knows of a user who was added or removed within a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tune_mlp.errors import TuneMlpError, one_line
from tune_mlp.service.access import Access, admin_of, load_access, read_users
from tune_mlp.service.users import User

LOG = logging.getLogger("tune_mlp.service")
LOOK_SECONDS = 1.0
"""How often the file of users is looked at, at most."""
Facts = tuple[int, ...] | None


class WatchedAccess(Access):
    """Who may use the service by its files. The file of users is read again when it has changed.

    A file that is gone, damaged, half-written or readable by others changes nothing: the users stay as they were, and the log says so
    once. A service that needs tokens therefore needs them until it ends.
    """

    def __init__(self, token_file: Path | None, users_file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = users_file, clock
        self._seen = _facts(users_file)  # before it is read, so that a change in between is seen
        self._looked = clock()
        self._admin = admin_of(token_file)
        super().__init__(load_access(token_file, users_file).users)

    @property
    def users(self) -> Mapping[str, User] | None:
        """Each user by the SHA-256 of their token, as the file of users said a second ago at the latest."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._users

    def _look(self) -> None:
        seen = _facts(self._file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            users = read_users(self._file)
        except TuneMlpError as error:
            LOG.warning("%s; the users stay as they were", one_line(error))
            return
        if self._users is None:
            LOG.warning("%s: there are users now, so each request needs a token from now on", self._file)
        self._users = {**users, **self._admin}


def _facts(path: Path) -> Facts:
    """Return what changes with a file; None if it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode
