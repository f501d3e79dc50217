"""One driver a run on an object store: a small file there that its driver writes anew every few seconds.

A store has no locks, and not all have conditional writes, so this is a good guess and no guarantee: two drivers that begin
within the same second, or one that was silent for a minute and comes back, are noticed only after some seconds. Until then
both may have written; each has all of its own run in its own folder.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from tune_mlp.errors import LostRun, RunFolderError
from tune_mlp.results.storage import ObjectStore

NAME = "driver.json"
SECONDS = 60.0
"""Who wasn't heard of for so long is gone."""
BEAT_SECONDS = 10.0
SETTLE_SECONDS = 1.0
"""If two drivers begin at once, the later writer wins, and the other one sees that after this time."""


class StoreLease:
    """The lease of a run on an object store, from the start of its driver to its end."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self._store = store
        self._mine = {"host": socket.gethostname(), "folder": str(folder), "token": secrets.token_hex(8)}
        self._beaten = 0.0

    def take(self) -> None:
        """Take the lease; refuse while another driver holds it. A driver of this machine in the same folder doesn't count,
        since the journal's lock stops that one."""
        holder = self._holder()
        ours = all(holder.get(name) == self._mine[name] for name in ("host", "folder"))
        if holder and not ours and (age := self._age()) < SECONDS:
            raise RunFolderError(
                f"{self._store}: a driver on {holder.get('host')} is at work on it, last heard of {age:.0f} s ago; if it "
                f"is lost, try again in {SECONDS - age:.0f} s"
            )
        self._write()
        time.sleep(SETTLE_SECONDS)
        if (holder := self._holder()).get("token") != self._mine["token"]:
            raise RunFolderError(f"{self._store}: a driver on {holder.get('host')} has begun with it at the same time")

    def beat(self) -> None:
        """Renew the lease if it is time to. A lease that another driver has taken is left alone."""
        if time.monotonic() - self._beaten < BEAT_SECONDS:
            return
        holder = self._holder()
        if holder and holder.get("token") != self._mine["token"]:
            raise LostRun(f"{self._store}: a driver on {holder.get('host')} has taken it over")
        self._write()

    def give_back(self) -> None:
        """Remove the lease, so that others need not wait."""
        if self._holder().get("token") == self._mine["token"]:
            self._store.remove(NAME)

    def _write(self) -> None:
        self._store.write(NAME, json.dumps(self._mine).encode())
        self._beaten = time.monotonic()

    def _holder(self) -> dict[str, Any]:
        content = self._store.read(NAME)
        try:
            holder = json.loads(content or b"{}")
        except ValueError:
            holder = {}
        return holder if isinstance(holder, dict) else {}

    def _age(self) -> float:
        """Return the lease's age by the store's own clock, so that no other clock need be right."""
        clock = f".clock-{self._mine['token']}"
        self._store.write(clock, b"")
        try:
            now, then = self._store.written_at(clock), self._store.written_at(NAME)
        finally:
            self._store.remove(clock)
        return max(0.0, (now - then).total_seconds()) if now and then else 0.0
