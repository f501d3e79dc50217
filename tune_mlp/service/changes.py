"""What a request changes in the ledger: a study is accepted, stopped, goes on, is followed up, is deleted or restored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from tune_mlp.service.faults import Conflict, NotAllowed, TooMany, UnknownStudy
from tune_mlp.service.ledger import Transaction
from tune_mlp.service.line_up import too_large
from tune_mlp.service.messages import Job, StudyState
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.root_folder import RootFolder, move
from tune_mlp.service.rows import ENDED, QUEUED, StudyRow, studies, study_named
from tune_mlp.service.run_summaries import FolderFacts, writer_lives
from tune_mlp.service.standings import BY_MANIFEST
from tune_mlp.service.submissions import CheckedStudy
from tune_mlp.service.users import User

Done = tuple[int, str, str]
"""The number and the name of the study, and a detail for the audit line."""


class Changes:
    """The changes, each inside a transaction of the caller."""

    def __init__(self, root: RootFolder, options: ServiceOptions) -> None:
        self._root, self._options = root, options

    def accept(self, transaction: Transaction, user: User, checked: CheckedStudy, name: str | None) -> Done:
        """Put a new study into the queue."""
        self._check_room(transaction, user, checked.cpus, checked.gpus)
        study = checked.study
        if name is None:
            taken = {row["name"] for row in transaction.all("SELECT name FROM studies WHERE trashed IS NULL")}
            name = self._root.free_name(study.name, taken)
        self._check_free(transaction, name)
        number = transaction.insert(
            "studies",
            name=name,
            owner=user.name,
            space=study.name,
            description=study.description,
            dataset=study.data.name,
            text=checked.text,
            trials=study.number_of_trials,
            cpus=checked.cpus,
            gpus=checked.gpus,
            submitted=time.time(),
        )
        _add_job(transaction, number, "search", {})
        return number, name, f"{study.name}, {study.number_of_trials} trials"

    def stop(self, transaction: Transaction, user: User, name: str) -> Done:
        """Ask a study to end, or take it out of the queue."""
        row = self._changeable(transaction, user, name)
        job = row.job
        if job is None or not job.is_open:
            if self._lives(name):
                raise Conflict(
                    f"{name} doesn't run here; it runs in a process that the service didn't begin, end it there"
                )
            raise Conflict(f"{name} doesn't run: it is {_state_at_rest(row, FolderFacts.read(self._root.run(name)))}")
        now = time.time()
        if job.state == QUEUED:
            said = "was taken out of the queue"
            transaction.change(
                "jobs", job.id, state=ENDED, outcome=StudyState.STOPPED.value, stop_asked=now, ended=now, detail=said
            )
            if job.searches and row.outcome is None:
                transaction.change("studies", row.id, outcome=StudyState.STOPPED.value, detail=said)
        elif job.stop_asked is None:
            transaction.change("jobs", job.id, stop_asked=now)
        return row.id, name, ""

    def go_on(
        self, transaction: Transaction, user: User, name: str, kind: Job, arguments: Mapping[str, Any], ended: int
    ) -> Done:
        """Put a study that is at rest into the queue again. `ended` is the number of its trials that have ended."""
        row = self._changeable(transaction, user, name)
        self._check_at_rest(row)
        self._check_room(transaction, user, row.cpus, row.gpus)
        facts = FolderFacts.read(self._root.run(name))
        state = _state_at_rest(row, facts)
        arguments = dict(arguments)
        if kind == "resume" and "more" in arguments:
            arguments["trials"] = (facts.trials or row.trials or 0) + arguments.pop("more")
        elif kind == "resume" and state is StudyState.FINISHED:
            raise Conflict(f"{name} has ended with all its trials; extend adds some")
        elif kind in ("confirm", "replay") and not ended:
            raise Conflict(f"{name} has no trial that has ended, so there is nothing to train again")
        _add_job(transaction, row.id, kind, arguments)
        return row.id, name, ", ".join(f"{word}={value}" for word, value in arguments.items())

    def delete(self, transaction: Transaction, user: User, name: str) -> Done:
        """Move a study to the trash. If the transaction fails, `folders_follow` moves its folder back."""
        row = self._changeable(transaction, user, name)
        self._check_at_rest(row)
        transaction.change("studies", row.id, trashed=time.time(), trashed_by=user.name)
        transaction.execute("DELETE FROM summaries WHERE name = ?", name)
        folder = self._root.run(name)
        if folder.exists():
            move(folder, self._root.trashed(row.id))
        return row.id, name, ""

    def restore(self, transaction: Transaction, user: User, name: str) -> Done:
        """Bring the study of this name back that was deleted last. Its folder follows when the transaction is over."""
        found = studies(
            transaction, "studies.name = ? AND trashed IS NOT NULL AND purged IS NULL ORDER BY trashed DESC", name
        )
        if not found:
            raise UnknownStudy(f"no study named {name!r:.80} is in the trash")
        row = found[0]
        _check_allowed(user, row)
        self._check_free(transaction, name)
        transaction.change("studies", row.id, trashed=None, trashed_by="")
        return row.id, name, ""

    def folders_follow(self, transaction: Transaction) -> None:
        """Move folders out of the trash whose studies aren't there, or no longer: a deletion wasn't written, or a study is restored."""
        for row in studies(transaction, "trashed IS NULL"):
            folder, trashed = self._root.run(row.name), self._root.trashed(row.id)
            if trashed.exists() and not folder.exists():
                move(trashed, folder)

    def _changeable(self, transaction: Transaction, user: User, name: str) -> StudyRow:
        """Return a study that this user may change. A run that was made without the service gets a row of its own."""
        row = study_named(transaction, name)
        if row is None:
            folder = self._root.run(name)
            if not self._root.stamp(name):
                raise UnknownStudy(f"no study is named {name!r:.80}")
            _check_allowed(user, None)
            facts = FolderFacts.read(folder)
            transaction.insert(
                "studies",
                name=name,
                owner="",
                space=facts.space,
                description=facts.description,
                dataset=facts.dataset,
                text="",
                trials=facts.trials,
                cpus=1.0,
                gpus=0.0,
            )
            row = study_named(transaction, name)
            assert row is not None
        _check_allowed(user, row)
        return row

    def _check_at_rest(self, row: StudyRow) -> None:
        if row.job is not None and row.job.is_open:
            raise Conflict(f"{row.name} is {row.job.state}; stop it first")
        if self._lives(row.name):
            raise Conflict(f"{row.name} runs in a process that the service didn't begin; end it there first")

    def _lives(self, name: str) -> bool:
        return writer_lives(self._root.run(name))

    def _check_free(self, transaction: Transaction, name: str) -> None:
        folder = self._root.path / name
        if study_named(transaction, name) is not None or folder.exists() or folder.is_symlink():
            raise Conflict(f"there is a study named {name} already; choose another name")

    def _check_room(self, transaction: Transaction, user: User, cpus: float, gpus: float) -> None:
        options = self._options
        if why := too_large(cpus, gpus, options):
            raise TooMany(why)
        counts = "SELECT count(*) AS n FROM jobs JOIN studies ON studies.id = jobs.study WHERE jobs.state = ?"
        waiting = transaction.one(counts, QUEUED)
        if waiting and waiting["n"] >= options.longest_queue:
            raise TooMany(f"{options.longest_queue} studies wait already; try again when some have begun")
        own = transaction.one(f"{counts} AND studies.owner = ?", QUEUED, user.name)
        if own and own["n"] >= options.queued_per_user:
            raise TooMany(f"{options.queued_per_user} studies of yours wait already; try again when some have begun")


def _check_allowed(user: User, row: StudyRow | None) -> None:
    owner = row.owner if row else ""
    if not user.may_change(owner):
        whose = f"is {owner}'s" if owner else "was made without the service"
        raise NotAllowed(f"the study {whose}, so only {'that user or ' if owner else ''}an admin may change it")


def _state_at_rest(row: StudyRow, facts: FolderFacts) -> StudyState:
    """Return how a study ended that has no job."""
    return row.outcome or BY_MANIFEST.get(facts.state, StudyState.INTERRUPTED)


def _add_job(transaction: Transaction, study: int, kind: Job, arguments: Mapping[str, Any]) -> None:
    transaction.insert(
        "jobs", study=study, kind=kind, arguments=json.dumps(dict(arguments)), state=QUEUED, asked=time.time()
    )
