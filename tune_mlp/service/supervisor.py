"""The supervisor: begins what may begin, looks after drivers, stops them where that was asked for, and resumes studies that were lost.

Each step is written to the ledger before it is done, and can be done again: a supervisor that is killed anywhere is followed by one
that goes on from the ledger.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

from tune_mlp.errors import RunError, StorageError, TuneMlpError, UsageError, one_line
from tune_mlp.runs.lease import lease_file
from tune_mlp.service.driver_words import words_of
from tune_mlp.service.launcher import DriverOrder, DriverReport, DriverState, Launcher, Unreached
from tune_mlp.service.ledger import Ledger
from tune_mlp.service.line_up import line_up
from tune_mlp.service.messages import StudyState
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.root_folder import RootFolder
from tune_mlp.service.rows import ACTIVE, ENDED, QUEUED, JobRow, StudyRow, open_studies
from tune_mlp.service.run_summaries import FolderFacts
from tune_mlp.service.standings import places

LOOK_SECONDS = 0.25
"""How often drivers are looked at."""
INTERRUPTED = (129, 130, 131, 143)
"""The statuses of a driver that a signal asked to end, and that has saved what it had."""
WHILE_IT_STARTED = "KeyboardInterrupt"
"""The last line of a driver that a signal ended while Python itself started; its status is 1."""


class Supervisor:
    """One thread that carries out what the ledger says. Nothing else begins or stops a driver."""

    def __init__(
        self,
        ledger: Ledger,
        root: RootFolder,
        launcher: Launcher,
        options: ServiceOptions,
        changed: Callable[[str], None],
        read_on: Callable[[str], None],
        unreached: dict[str, Unreached],
    ) -> None:
        self._ledger, self._root, self._launcher, self._options = ledger, root, launcher, options
        self._changed, self._read_on = changed, read_on
        self.unreached = unreached
        """The studies whose drivers can't be asked about, begun or stopped at the moment, and why."""
        self._over, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)
        self.fault = ""
        """Why nothing can be looked after at the moment, such as a full disk."""
        self.looked: float | None = None
        """When the last look ended, on the monotonic clock."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the ledger now: something was asked for."""
        self._woken.set()

    def end(self) -> None:
        """End the thread. Drivers go on."""
        self._over.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            self._woken.clear()
            try:
                self.look()
                self.fault, self.looked = "", time.monotonic()
            except TuneMlpError as error:  # such as a full disk: the next look may do better
                self.fault = one_line(error)
            self._woken.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Look after all drivers once, and begin what may begin."""
        with self._ledger.reading() as transaction:
            active = open_studies(transaction, ACTIVE)
        for study in active:
            if study.job is not None and not self._over.is_set():
                self._look_after(study, study.job)
        self._begin_more()

    def _begin_more(self) -> None:
        with self._ledger.reading() as transaction:
            if not open_studies(transaction, QUEUED):
                return
        begun = []
        with self._ledger.writing() as transaction:
            queued, active = (open_studies(transaction, state) for state in (QUEUED, ACTIVE))
            line = line_up(places(queued, QUEUED), places(active, ACTIVE), self._options)
            for study in queued:
                if study.job is not None and study.job.id in line.ready:
                    transaction.change(
                        "jobs", study.job.id, state=ACTIVE, token=_token(study), started=time.time(), detail=""
                    )
                    begun.append(study.name)
        for name in begun:
            self._changed(name)
        if begun:
            self.wake()  # the next look finds that their drivers are absent, and begins them

    def _look_after(self, study: StudyRow, job: JobRow) -> None:
        """Do what is due for a study, and keep why it can't be done. Other studies don't wait for it."""
        begun = True
        try:
            report = self._launcher.report(job.token)
            begun = report.state is not DriverState.ABSENT
            why = self._do_what_is_due(study, job, report)
        except RunError as error:  # a cluster that can't be reached, or that can't begin or stop this job
            why = one_line(error)
        unreached = Unreached(why, begun) if why else None
        if unreached == self.unreached.get(study.name):
            return
        if unreached:
            self.unreached[study.name] = unreached
        else:
            del self.unreached[study.name]
        self._changed(study.name)

    def _do_what_is_due(self, study: StudyRow, job: JobRow, report: DriverReport) -> str:
        """Begin, stop, resume or close a driver by what is known of it; return why it can't be asked about or begun, if it can't."""
        if report.state is DriverState.UNKNOWN:
            return report.detail
        if report.state is DriverState.ABSENT:
            if report.detail and job.stop_asked is None:
                return report.detail
            self._launch(study, job)
        elif report.state is DriverState.ENDED:
            self._ended(study, job, report)
        elif report.state is DriverState.LOST:
            self._lost(study, job, report)
        elif job.stop_asked is not None and report.state is DriverState.RUNNING:
            self._stop(job, job.stop_asked)
        return ""

    def _launch(self, study: StudyRow, job: JobRow) -> None:
        if job.stop_asked is not None:
            self._close(study, job, StudyState.STOPPED, "was stopped before its process was begun")
            return
        try:
            with self._ledger.reading() as transaction:
                row = transaction.one("SELECT text FROM studies WHERE id = ?", study.id)
            words = words_of(study, job, str(row["text"]) if row else "", self._root, self._options)
            self._launcher.launch(DriverOrder(job.token, study.name, words))
        except (StorageError, UsageError) as error:
            self._close(study, job, StudyState.FAILED, one_line(error))

    def _stop(self, job: JobRow, asked: float) -> None:
        """Ask a driver to save and end, and again after a while. It is written down first, since a second signal that comes at once
        would end the driver before it has saved."""
        if time.time() < asked + job.stops * self._options.grace_seconds:
            return
        with self._ledger.writing() as transaction:
            transaction.change("jobs", job.id, stops=job.stops + 1)
        self._launcher.stop(job.token, firmly=job.stops > 0)

    def _ended(self, study: StudyRow, job: JobRow, report: DriverReport) -> None:
        if report.status == 0:
            self._close(study, job, StudyState.FINISHED, "")
        elif report.status in INTERRUPTED or report.detail == WHILE_IT_STARTED:
            if job.stop_asked is not None:
                self._close(study, job, StudyState.STOPPED, "")
            else:
                said = "a signal from outside the service ended its process, which has saved what it had"
                self._close(study, job, StudyState.INTERRUPTED, said)
        else:
            self._close(
                study, job, StudyState.FAILED, report.detail or f"its process ended with status {report.status}"
            )

    def _lost(self, study: StudyRow, job: JobRow, report: DriverReport) -> None:
        """Resume a study whose driver was killed, unless it was stopped, has ended, or was lost too often."""
        why = report.detail or "its process ended without a word"
        if job.stop_asked is not None:
            self._close(
                study, job, StudyState.STOPPED, f"{why} while it was being stopped; what it had written is kept"
            )
        elif job.searches and self._all_done(study, job):
            self._close(study, job, StudyState.FINISHED, "")
        elif job.restarts < self._options.restarts:
            restarts = job.restarts + 1
            with self._ledger.writing() as transaction:
                detail = f"{why}; the service resumed it ({restarts} of {self._options.restarts})"
                transaction.change("jobs", job.id, restarts=restarts, token=_token(study), detail=detail)
                _audit(transaction.insert, study.name, detail)
            self._changed(study.name)
            self.wake()
        else:
            times = f"{job.restarts + 1} times" if job.restarts else "once"
            said = f"its process was lost {times}, last as {why}; resume goes on with what was written"
            self._close(study, job, StudyState.INTERRUPTED, said)

    def _all_done(self, study: StudyRow, job: JobRow) -> bool:
        """Say whether a driver that was lost had done all it was to do."""
        folder = self._root.run(study.name)
        facts = FolderFacts.read(folder)
        total = job.arguments.get("trials")
        return (
            facts.state == "finished"
            and (total is None or (facts.trials or 0) >= total)
            and (folder / "trials.csv").exists()
            and not lease_file(folder / "journal.jsonl").exists()
        )

    def _close(self, study: StudyRow, job: JobRow, outcome: StudyState, detail: str) -> None:
        self._read_on(study.name)  # first, so that whoever sees that it has ended sees all that it has written
        with self._ledger.writing() as transaction:
            transaction.change("jobs", job.id, state=ENDED, outcome=outcome.value, ended=time.time(), detail=detail)
            if job.searches:
                transaction.change("studies", study.id, outcome=outcome.value, detail=detail)
        self._changed(study.name)


def _audit(insert: Callable[..., int], study: str, detail: str) -> None:
    insert("audit", at=time.time(), user="", address="", action="restart", study=study, detail=detail)


def _token(study: StudyRow) -> str:
    """Return a new name for a driver; the random part keeps it from that of a ledger that was deleted."""
    return f"{study.name}-{secrets.token_hex(6)}"
