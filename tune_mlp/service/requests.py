"""Requests: each change is one transaction with its audit line, and the same user and key give the same study for ever."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tune_mlp.errors import clipped
from tune_mlp.service.faults import Conflict, Refused
from tune_mlp.service.ledger import Ledger, Transaction
from tune_mlp.service.rows import StudyRow, studies
from tune_mlp.service.users import User

MOST_KEY = 200


class ChangeRequest(NamedTuple):
    """What somebody asks for."""

    user: User
    key: str | None
    action: str
    name: str
    """The study's name; empty where it isn't known yet."""
    about: Any = None
    """What is asked for, as JSON values: the same key may not be used for anything else."""

    @property
    def fingerprint(self) -> str:
        """A digest of what is asked for."""
        text = json.dumps([self.action, self.name, self.about], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Requests:
    """Carries requests out, each once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def known(self, request: ChangeRequest) -> int | None:
        """Return the study of a request that was carried out before, or None."""
        _check_key(request.key)
        if request.key is None:
            return None
        with self._ledger.reading() as transaction:
            return _known(transaction, request)

    def once(self, request: ChangeRequest, work: Callable[[Transaction], tuple[int, str, str]]) -> int:
        """Carry a request out unless that was done before, and return its study's number.

        `work` returns the study's number and name, and a detail for the audit line. All that it writes is there afterwards with the
        key and the audit line, or, if it raises an error, nothing of it.
        """
        _check_key(request.key)
        with self._ledger.writing() as transaction:
            if request.key is not None and (before := _known(transaction, request)) is not None:
                return before
            number, name, detail = work(transaction)
            if request.key is not None:
                transaction.insert(
                    "requests",
                    user=request.user.name,
                    key=request.key,
                    action=request.action,
                    fingerprint=request.fingerprint,
                    study=number,
                    at=time.time(),
                )
            write_audit(transaction, request.user, request.action, name, detail)
        return number

    def study(self, number: int) -> StudyRow:
        """Return a study by its number, also one in the trash."""
        with self._ledger.reading() as transaction:
            return studies(transaction, "studies.id = ?", number)[0]


def write_audit(transaction: Transaction, user: User, action: str, study: str, detail: str) -> None:
    """Write who did what, when and from where."""
    transaction.insert(
        "audit",
        at=time.time(),
        user=user.name,
        address=user.address,
        action=action,
        study=study,
        detail=clipped(detail, 1000),
    )


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= MOST_KEY and key.isprintable() and key.isascii()):
        raise Refused(f"Idempotency-Key: must be 1 to {MOST_KEY} printable ASCII characters, got {clipped(key)!r}")


def _known(transaction: Transaction, request: ChangeRequest) -> int | None:
    row = transaction.one(
        "SELECT fingerprint, action, study FROM requests WHERE user = ? AND key = ?", request.user.name, request.key
    )
    if row is None:
        return None
    if row["fingerprint"] != request.fingerprint:
        raise Conflict(
            f"the key {clipped(str(request.key))!r} was used for another request, {row['action']}; use a new one"
        )
    return int(row["study"])
