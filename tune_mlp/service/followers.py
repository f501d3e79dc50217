"""The followers: one thread reads on in the journals that somebody looks at or that grow, another one looks through the whole root."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from tune_mlp.errors import StorageError, TuneMlpError, one_line
from tune_mlp.service.faults import ServiceFault
from tune_mlp.service.followed import FollowedRun
from tune_mlp.service.ledger import Ledger
from tune_mlp.service.messages import StudyState, StudySummary
from tune_mlp.service.root_folder import RootFolder
from tune_mlp.service.run_summaries import FolderFacts, RunSummary, facts_from_json, facts_to_json, writer_lives
from tune_mlp.service.standings import KnownRun, Standings

SCAN_SECONDS = 2.0
"""How often the whole root is looked through."""
KEPT_SECONDS = 60.0
"""How long a run is kept in memory that nobody looks at and that doesn't grow."""
SUMMARY_SECONDS = 0.5
"""How often a run that grows is summed up."""
WRITTEN_AT_ONCE = 50
READ_AT_ONCE = 20_000_000
"""A journal of fewer bytes is read while somebody waits for it."""
AT_WORK = (StudyState.RUNNING, StudyState.STOPPING)


class Followers:
    """All readers of journals. There is at most one for each study."""

    def __init__(
        self,
        root: RootFolder,
        ledger: Ledger,
        standings: Standings,
        summary: Callable[[str], StudySummary],
        poll_seconds: float,
    ) -> None:
        self._root, self._ledger, self._standings = root, ledger, standings
        self._summary, self._poll_seconds = summary, poll_seconds
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._runs: dict[str, FollowedRun] = {}
        self._used: dict[str, float] = {}
        self._summed: dict[str, float] = {}
        self._over, self._scan_now = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="follow", daemon=True),
            threading.Thread(target=self._look_through, name="look through", daemon=True),
        ]

    def start(self) -> None:
        """Take what the ledger remembers of runs, look through the root, and begin to follow."""
        with self._ledger.reading() as transaction:
            rows = transaction.all("SELECT name, stamp, facts, summary FROM summaries")
        for row in rows:
            facts, summary = facts_from_json(row["facts"]), RunSummary.from_json(row["summary"])
            self._standings.learn(row["name"], KnownRun(row["stamp"], facts, summary))
        names = set(self._root.names())
        for row in rows:
            if row["name"] not in names:
                self._standings.learn(row["name"], None)
        for name in names:  # those that are new are known by name at once, and are read one after the other
            if self._root.stamp(name) and self._standings.run(name) is None:
                self._standings.learn(
                    name, KnownRun("", FolderFacts.read(self._root.run(name), whole=False), RunSummary())
                )
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End the threads."""
        self._over.set()
        self._scan_now.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def run(self, name: str) -> FollowedRun:
        """Return the reader of a study's journal, which has read all that is there."""
        with self._lock:
            run = self._runs.get(name)
            if run is None:
                run = self._runs[name] = FollowedRun(name, self._root.run(name), lambda: self._summary(name))
            self._used[name] = time.monotonic()
        if run.catch_up():
            self._sum_up(name, run)
        return run

    def read_on(self, name: str) -> None:
        """Read what a study has written by now: its driver has ended, and what the list says of it is to be whole."""
        with self._lock:
            run = self._runs.get(name)
        if run is None and self._root.size(name) < READ_AT_ONCE and self._root.stamp(name):
            self.run(name)
        elif run is not None:
            run.catch_up()
            self._sum_up(name, run)

    def changed(self, name: str) -> None:
        """Look at a study at once: it begins, is to stop, has ended, or is back from the trash."""
        with self._lock:
            run = self._runs.get(name)
        if run is None and self._standings.run(name) is None:
            self.read_on(name)
        else:
            self._learn(name)
        if run is not None:
            run.wake()
        self._scan_now.set()

    def forget(self, name: str) -> None:
        """Drop a study that was deleted, and tell its readers."""
        with self._lock:
            run = self._runs.pop(name, None)
            self._used.pop(name, None)
        with self._telling:
            self._standings.learn(name, None)
        if run is not None:
            run.end()

    def _tell(self, name: str, known: KnownRun) -> None:
        """Put what was read of a run where the list finds it, unless the study was deleted meanwhile: its folder goes before it is
        forgotten, so that nobody tells of it afterwards."""
        with self._telling:
            if self._root.run(name).exists():
                self._standings.learn(name, known)

    def _follow(self) -> None:
        while not self._over.wait(self._poll_seconds):
            # A root that can't be read for a moment, or a full disk: the next look may do better.
            with contextlib.suppress(OSError, TuneMlpError):
                self._look()

    def _look(self) -> None:
        """Read on in the journals that grow or that somebody looks at, and drop those that nobody needs."""
        at_work = {name for name, one in self._standings.all().items() if one.state in AT_WORK}
        with self._lock:
            for name in at_work - self._runs.keys():
                self._runs[name] = self._made(name)
            kept = list(self._runs.items())
        for name, run in kept:
            if run.catch_up(wait=False):
                self._sum_up(name, run, at_most=True)
            elif name in at_work or run.watched:
                self._used[name] = time.monotonic()
                self._sum_up(name, run, at_most=True, late=True)
            elif time.monotonic() - self._used.get(name, 0.0) > KEPT_SECONDS:
                with self._lock:
                    if not run.watched:
                        self._runs.pop(name, None)
                        self._used.pop(name, None)

    def _made(self, name: str) -> FollowedRun:
        self._used[name] = time.monotonic()
        return FollowedRun(name, self._root.run(name), lambda: self._summary(name))

    def _sum_up(self, name: str, run: FollowedRun, at_most: bool = False, late: bool = False) -> None:
        """Put what a run's journal says where the list finds it; `late` only where something is left to be summed up."""
        now = time.monotonic()
        known = self._standings.run(name)
        if late and known is not None and known.summary.offset == run.offset:
            return
        if at_most and now - self._summed.get(name, 0.0) < SUMMARY_SECONDS:
            return
        self._summed[name] = now
        folder = self._root.run(name)
        stamp = self._root.stamp(name)
        facts = (
            known.facts
            if known and _of_small_files(known.stamp) == _of_small_files(stamp)
            else FolderFacts.read(folder)
        )
        self._tell(name, KnownRun(stamp, facts, run.run_summary(), writer_lives(folder)))
        run.wake()

    def _learn(self, name: str) -> None:
        """Read a run's small files again."""
        known, folder = self._standings.run(name), self._root.run(name)
        if known is not None:
            facts = FolderFacts.read(folder)
            self._tell(name, KnownRun("", facts, known.summary, writer_lives(folder)))

    def _look_through(self) -> None:
        while not self._over.is_set():
            self._scan_now.clear()
            with contextlib.suppress(OSError, TuneMlpError):
                self._scan()
            self._scan_now.wait(SCAN_SECONDS)

    def _scan(self) -> None:
        """Look through the whole root, and remember what is new."""
        written: dict[str, KnownRun] = {}
        names = self._root.names()
        for name in names:
            if self._over.is_set():
                return
            try:
                found = self._scanned(name)
            except Exception as error:  # noqa: BLE001  # one folder of a stranger's must not hide all others
                summary = RunSummary(fault=one_line(error))
                found = None
                self._tell(name, KnownRun(self._root.stamp(name), FolderFacts(), summary))
            if found is not None:
                written[name] = found
            if len(written) >= WRITTEN_AT_ONCE:
                self._remember(written)
        self._remember(written)
        for name in self._standings.run_names() - set(names):
            with self._telling:
                if not self._root.run(name).exists():  # else it has come since the look began
                    self._standings.learn(name, None)

    def _scanned(self, name: str) -> KnownRun | None:
        """Look at one run's files; return what is to be remembered, or None."""
        stamp, known = self._root.stamp(name), self._standings.run(name)
        if not stamp:
            return None
        folder = self._root.run(name)
        lives = writer_lives(folder)
        if known is not None and known.stamp == stamp:
            if known.lives != lives:
                self._tell(name, KnownRun(stamp, known.facts, known.summary, lives))
            return None
        with self._lock:  # one that is read now is kept for a while, so that nobody reads it a second time
            run = self._runs.get(name)
            if run is None:
                run = self._made(name)
                if self._root.size(name) > READ_AT_ONCE:
                    self._runs[name] = run
        while run.catch_up(wait=False):  # part by part, so that a service that ends needn't wait for a long journal
            if self._over.is_set():
                return None
        run.catch_up()  # there is nothing more, unless another thread is reading: then its end is waited for
        made = KnownRun(stamp, FolderFacts.read(folder), run.run_summary(), lives)
        self._tell(name, made)
        time.sleep(0.001)  # lets the threads go on that answer requests
        return None if lives else made

    def _remember(self, written: dict[str, KnownRun]) -> None:
        """Write summaries of runs that are at rest to the ledger, so that a restart needn't read their journals."""
        if not written:
            return
        # A full disk: they are read again after a restart.
        with contextlib.suppress(StorageError, ServiceFault), self._ledger.writing() as transaction:
            for name, run in written.items():
                transaction.execute(
                    "INSERT OR REPLACE INTO summaries (name, stamp, facts, summary) VALUES (?, ?, ?, ?)",
                    name,
                    run.stamp,
                    facts_to_json(run.facts),
                    run.summary.to_json(),
                )
        written.clear()


def _of_small_files(stamp: str) -> list[str]:
    """Return the part of a stamp that is of the manifest and the study."""
    return stamp.split(" ")[1:]
