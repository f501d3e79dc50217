"""The ledger: what was accepted is on the disk, whole or not at all, also where the disk is full."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from tests.service.services import ADA, BOB
from tune_mlp.errors import StorageError
from tune_mlp.service.faults import Conflict, NoSpaceLeft, Refused
from tune_mlp.service.ledger import Ledger, Transaction
from tune_mlp.service.requests import ChangeRequest, Requests


def added(transaction: Transaction, name: str, text: str = "") -> tuple[int, str, str]:
    number = transaction.insert(
        "studies", name=name, owner="ada", space="s", description="", dataset="digits", text=text, cpus=1.0, gpus=0.0
    )
    return number, name, ""


def counts(ledger: Ledger) -> dict[str, int]:
    with ledger.reading() as transaction:
        return {
            table: transaction.all(f"SELECT count(*) FROM {table}")[0][0] for table in ("studies", "requests", "audit")
        }


def test_a_change_that_fails_leaves_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    requests = Requests(ledger)

    def fails(transaction: Transaction) -> tuple[int, str, str]:
        added(transaction, "one")
        raise Conflict("no")

    with pytest.raises(Conflict):
        requests.once(ChangeRequest(ADA, "k", "submit", ""), fails)
    assert counts(ledger) == {"studies": 0, "requests": 0, "audit": 0}
    ledger.close()


def test_the_same_key_gives_the_same_study_from_twenty_threads(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    requests, found, together = Requests(ledger), [], threading.Barrier(20)

    def ask(number: int) -> None:
        together.wait()
        found.append(requests.once(ChangeRequest(ADA, "k", "submit", ""), lambda tx: added(tx, f"one-{number}")))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == 1
    assert counts(ledger) == {"studies": 1, "requests": 1, "audit": 1}
    ledger.close()


def test_a_key_is_a_users_own_and_stands_for_one_request(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    requests = Requests(ledger)
    first = requests.once(ChangeRequest(ADA, "k", "submit", "", {"a": 1}), lambda tx: added(tx, "one"))
    assert requests.known(ChangeRequest(ADA, "k", "submit", "", {"a": 1})) == first
    assert requests.known(ChangeRequest(BOB, "k", "submit", "", {"a": 1})) is None
    for other in (ChangeRequest(ADA, "k", "submit", "", {"a": 2}), ChangeRequest(ADA, "k", "stop", "one")):
        with pytest.raises(Conflict, match="used for another request, submit"):
            requests.once(other, lambda tx: added(tx, "two"))
    for key in ("", "x" * 201, "a\nb", "é"):
        with pytest.raises(Refused, match="Idempotency-Key"):
            requests.known(ChangeRequest(ADA, key, "submit", ""))
    ledger.close()


def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    first = Requests(ledger).once(ChangeRequest(ADA, "k", "submit", ""), lambda tx: added(tx, "one"))
    ledger.close()
    again = Ledger(tmp_path / "l.sqlite")
    assert Requests(again).known(ChangeRequest(ADA, "k", "submit", "")) == first
    assert Requests(again).study(first).name == "one"
    again.close()


def test_a_full_disk_is_said_and_nothing_half_made_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    requests = Requests(ledger)
    pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._writer.execute(f"PRAGMA max_page_count = {pages + 20}")

    def accept(number: int) -> int:
        return requests.once(
            ChangeRequest(ADA, f"k{number}", "submit", ""), lambda tx: added(tx, f"s{number}", "x" * 5000)
        )

    accepted = 0
    with pytest.raises(NoSpaceLeft, match="nothing of this was kept"):  # noqa: PT012  # which one fails is SQLite's to say
        while True:
            accept(accepted)
            accepted += 1
    assert accepted > 2
    assert counts(ledger) == {"studies": accepted, "requests": accepted, "audit": accepted}
    ledger._writer.execute(f"PRAGMA max_page_count = {pages + 1000}")  # room again: the same request is met
    accept(accepted)
    assert counts(ledger)["studies"] == accepted + 1
    ledger.close()


def test_a_ledger_of_another_version_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="another version"):
        Ledger(path)
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Ledger(path)
