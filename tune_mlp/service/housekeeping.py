"""Housekeeping: studies that have been in the trash for long are removed for good, and so is what long-ended drivers said.

Each removal is written to the ledger, with its audit line, before it is done, and can be done again: a service that is killed in between
is followed by one that goes on from there.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable

from tune_mlp.errors import TuneMlpError, one_line
from tune_mlp.service.launcher import DriverState, Launcher
from tune_mlp.service.ledger import Ledger
from tune_mlp.service.requests import write_audit
from tune_mlp.service.root_folder import RootFolder
from tune_mlp.service.rows import ENDED, studies
from tune_mlp.service.run_summaries import writer_lives
from tune_mlp.service.users import User

LOG = logging.getLogger("tune_mlp.service")
EVERY_SECONDS = 3600.0
DAY = 24 * 3600.0
THE_SERVICE = User("")
"""The user of the audit lines of what the service does by itself."""
OVER = (DriverState.ENDED, DriverState.LOST, DriverState.ABSENT)
SHOWN = """
SELECT jobs.token FROM jobs JOIN studies ON studies.id = jobs.study WHERE jobs.state != ? OR jobs.ended >= ? OR (studies.purged IS NULL
AND (jobs.kind = 'replay' OR jobs.id = (SELECT max(id) FROM jobs AS own WHERE own.study = studies.id)))
"""
"""The drivers whose files stay: those at work, those that ended lately, and of each study the last one and its replays, which its pages
show."""


class Housekeeper:
    """A thread that looks at the start and then every hour for what may be removed. With 0 days everything is kept."""

    def __init__(
        self,
        ledger: Ledger,
        root: RootFolder,
        launcher: Launcher,
        keep_days: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger, self._root, self._launcher = ledger, root, launcher
        self._keep_days, self._clock = keep_days, clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._keep_days > 0:
            self._thread.start()

    def end(self) -> None:
        """End the thread."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                self.look()
            except (TuneMlpError, OSError) as error:
                LOG.warning("what is old can't be removed at the moment: %s", one_line(error))
            self._over.wait(EVERY_SECONDS)

    def look(self) -> None:
        """Remove what may be removed now."""
        before = self._clock() - self._keep_days * DAY
        self._give_up_studies(before)
        self._remove_folders()
        self._forget_drivers(before)

    def _give_up_studies(self, before: float) -> None:
        """Write down which studies can't be restored any longer."""
        with self._ledger.writing() as transaction:
            for row in studies(transaction, "trashed < ? AND purged IS NULL", before):
                if writer_lives(self._root.trashed(row.id)):
                    continue  # somebody goes on with it by hand
                transaction.change("studies", row.id, purged=self._clock())
                detail = f"it was in the trash for {self._keep_days:g} days"
                write_audit(transaction, THE_SERVICE, "remove", row.name, detail)

    def _remove_folders(self) -> None:
        """Remove the folders of studies that can't be restored."""
        for folder in self._root.trash.iterdir():
            if self._over.is_set() or not folder.name.isdecimal():
                continue
            with self._ledger.reading() as transaction:
                given_up = studies(transaction, "studies.id = ? AND purged IS NOT NULL", int(folder.name))
            if given_up:
                try:
                    shutil.rmtree(folder)
                except OSError as error:  # the next look tries again
                    LOG.warning("%s: can't be removed: %s", folder, one_line(error))

    def _forget_drivers(self, before: float) -> None:
        """Remove the files of drivers that ended long ago, unless a study shows them."""
        old = {token for token, changed in self._launcher.kept().items() if changed < before}
        with self._ledger.reading() as transaction:
            old -= {row["token"] for row in transaction.all(SHOWN, ENDED, before)}
        over = sorted(token for token in old if self._launcher.report(token).state in OVER)
        if not over:
            return
        with self._ledger.writing() as transaction:
            for token in over:
                write_audit(transaction, THE_SERVICE, "remove log", token.rpartition("-")[0], f"of the driver {token}")
        for token in over:
            self._launcher.forget(token)
