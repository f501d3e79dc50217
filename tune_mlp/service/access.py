"""Access to the service: which token is whose, and the files that tokens are kept in.

A token is 32 random bytes as text. The token file holds that of the admin as it is, for the person who started the service. The file of
users holds a line `NAME:admin|user:HASH` for each user, with the SHA-256 of a token. Both are their owner's alone to read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from tune_mlp.errors import RunFolderError, StorageError, UsageError
from tune_mlp.regular_files import read_regular, user_id
from tune_mlp.results.export import write_aside
from tune_mlp.service.users import User

LOCAL = User("local", admin=True)
"""The one user of a service on loopback without tokens: whoever is at this machine."""
ADMIN = User("admin", admin=True)
"""The user whose token is in the token file."""
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
ROLES = {"admin": True, "user": False}
LEAST_CHARACTERS = 20
"""The length of a token that somebody wrote by hand."""
MOST_BYTES = 1_000_000
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Access:
    """Who may use the service."""

    def __init__(self, users: Mapping[str, User] | None = None) -> None:
        """`users` are by the SHA-256 of their tokens. None lets in whoever can reach the service, which loopback alone may allow."""
        self._users = users

    @property
    def users(self) -> Mapping[str, User] | None:
        """Each user by the SHA-256 of their token; None where no token is needed."""
        return self._users

    @property
    def needs_token(self) -> bool:
        """Whether a request has to prove whose it is."""
        return self.users is not None

    def user_of(self, token: str | None) -> User | None:
        """Return whose token it is, in a time that doesn't depend on how much of it is right."""
        users = self.users
        if users is None:
            return LOCAL
        digest = digest_of(token or "")
        found = [user for known, user in users.items() if hmac.compare_digest(known, digest)]
        return found[0] if found else None


def load_access(token_file: Path | None, users_file: Path) -> Access:
    """Return who may use the service by these files. A token file that isn't there is made. Tokens are needed once there is either,
    also after the last user was removed."""
    if token_file is None and not users_file.exists():
        return Access()
    return Access({**_users_so_far(users_file), **admin_of(token_file)})


def admin_of(token_file: Path | None) -> dict[str, User]:
    """Return the admin by the SHA-256 of the token in the token file; nobody where there is none."""
    return {} if token_file is None else {digest_of(_token_in(token_file)): ADMIN}


def add_user(users_file: Path, name: str, admin: bool) -> str:
    """Add a user, and return their token, which is kept nowhere."""
    if not USER_NAME.fullmatch(name) or name in (LOCAL.name, ADMIN.name):
        raise UsageError(f"user {name!r:.80}: a name has letters, digits and ._@- only, and is neither local nor admin")
    users = _users_so_far(users_file)
    if any(user.name == name for user in users.values()):
        raise UsageError(f"user {name}: is there already; remove the user first for a new token")
    token = secrets.token_urlsafe(32)
    _write_users(users_file, {**users, digest_of(token): User(name, admin)})
    return token


def remove_user(users_file: Path, name: str) -> None:
    """Remove a user, whose token is worth nothing from then on."""
    users = _users_so_far(users_file)
    left = {digest: user for digest, user in users.items() if user.name != name}
    if len(left) == len(users):
        raise UsageError(f"user {name!r:.80}: there is no such user in {users_file}")
    _write_users(users_file, left)


def digest_of(token: str) -> str:
    """Return what is kept of a token. A token is 32 random bytes, so one round of SHA-256 hides it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _token_in(path: Path) -> str:
    """Return the token in a file, which is made with a new one where there is none."""
    token = secrets.token_urlsafe(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
    except FileExistsError:
        token = _private_text(path).strip()
    except OSError as error:
        raise UsageError(f"--token-file {path}: can't be made: {error.strerror or error}") from None
    if len(token) < LEAST_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"--token-file {path}: must hold one token of at least {LEAST_CHARACTERS} characters in one line"
        )
    return token


def _private_text(path: Path) -> str:
    """Return the text of a file that its owner alone may read; any other is refused."""
    try:
        found = path.stat()
        if found.st_mode & OTHERS or found.st_uid not in (user_id(), 0):
            raise UsageError(f"{path}: others may read or change it; chmod 600 makes it its owner's alone")
        return read_regular(path, MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None


def _users_so_far(path: Path) -> dict[str, User]:
    return read_users(path) if path.exists() else {}


def read_users(path: Path) -> dict[str, User]:
    """Return the users of a file by the SHA-256 of their tokens; a file that isn't there, or isn't whole, is an error."""
    users: dict[str, User] = {}
    for number, line in enumerate(_private_text(path).splitlines(), start=1):
        name, _, rest = line.partition(":")
        role, _, digest = rest.partition(":")
        if not USER_NAME.fullmatch(name) or role not in ROLES or not re.fullmatch("[0-9a-f]{64}", digest):
            raise RunFolderError(f"{path}:{number}: must be NAME:admin:HASH or NAME:user:HASH")
        users[digest] = User(name, ROLES[role])
    return users


def _write_users(path: Path, users: Mapping[str, User]) -> None:
    roles = {admin: role for role, admin in ROLES.items()}
    text = "".join(f"{user.name}:{roles[user.admin]}:{digest}\n" for digest, user in users.items())

    def write(aside: Path) -> None:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: can't be made: {error.strerror or error}") from None
    write_aside(path, write)
