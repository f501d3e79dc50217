"""The client of a service: `Client(url).submit("digits_quick")` and all else that can be asked of a service, typed, from Python."""

from __future__ import annotations

import io
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ValidationError

from tune_mlp.errors import UsageError
from tune_mlp.service.connection import Connection
from tune_mlp.service.messages import (
    NAME_PATTERN,
    Confirmation,
    Extension,
    Forecast,
    Health,
    Me,
    Replay,
    StudyList,
    StudyState,
    StudySummary,
    Submission,
)
from tune_mlp.service.result_messages import AnswerMessage, Predictions, Question, StudiesCompared, TrialDetail
from tune_mlp.service.study_events import STUDY_EVENTS, StudyEvent, StudyGone
from tune_mlp.space.files import file_text, name_of_file, names_file, plain_tree, read_yaml
from tune_mlp.study.study import Study

if TYPE_CHECKING:  # pandas takes 0.4 s to import
    import httpx
    import pandas as pd

    from tune_mlp.results.results import Results

AnyStudy = Study | Mapping[str, Any] | str | Path
"""A study, a dict with the keys of a study file, a file's path, the name of a shipped study, or YAML text."""
DEFAULT_URL = "http://127.0.0.1:8642"
"""Where a service listens that was started without options."""
AT_REST = (StudyState.STOPPED, StudyState.FINISHED, StudyState.INTERRUPTED, StudyState.FAILED)
"""The states in which nothing happens to a study until somebody asks for it."""


class Client:
    """Talks to a service at an address; `token` says who you are.

    A service that doesn't answer at first is an error at once. One that is lost later is tried again for `patience` seconds, and
    nothing is done twice because of that.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        patience: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(url, token, patience, transport)

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._connection.url

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    # What the service is

    def health(self) -> Health:
        """Return what the service says of itself."""
        return self._connection.read(Health, "GET", "/api/health")

    def me(self) -> Me:
        """Return whose token this client has."""
        return self._connection.read(Me, "GET", "/api/me")

    # Studies

    def validate(self, study: AnyStudy, changes: Sequence[str] = (), name: str | None = None) -> Forecast:
        """Check a study, and return what it would take. Nothing is run."""
        return self._connection.read(
            Forecast,
            "POST",
            "/api/studies/validate",
            body=submission(study, changes, name),
            harmless=True,
            source=_file_name(study),
        )

    def submit(
        self,
        study: AnyStudy,
        changes: Sequence[str] = (),
        name: str | None = None,
        key: str | None = None,
    ) -> StudySummary:
        """Submit a study: a Study, a study file, the name of a shipped one, YAML text, or a dict with the keys of a study file.

        `changes` are settings such as `trials=10`. The same `key` is the same study for ever; without one, each call is a new study.
        """
        return self._change("POST", "/api/studies", key, submission(study, changes, name), _file_name(study))

    def list(
        self,
        search: str | None = None,
        state: StudyState | str | None = None,
        owner: str | None = None,
        *,
        sort: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> StudyList:
        """Return a page of the list of studies."""
        query = {
            "search": search,
            "state": state,
            "owner": owner,
            "sort": sort,
            "offset": offset,
            "limit": limit,
        }
        return self._connection.read(StudyList, "GET", "/api/studies", query=query)

    def get(self, name: str) -> StudySummary:
        """Return where a study stands."""
        return self._connection.read(StudySummary, "GET", _path(name))

    def study_text(self, name: str) -> str:
        """Return a study's YAML, with every default written out."""
        return self._connection.request("GET", _path(name, "study")).text

    def study(self, name: str) -> Study:
        """Return a study as it was submitted."""
        return Study.from_text(self.study_text(name))

    def follow(self, name: str, offset: int | None = 0) -> Iterator[StudyEvent]:
        """Yield the events of a study until it is at rest or gone: those since an offset of its journal (None: from now on), and then
        each as it happens. Summaries come first, last, and at most once a second.

        A connection that is lost goes on where it was lost: no event is missing. The last few may come again, and say the same.
        """
        after = "" if offset is None else str(offset)
        for message in self._connection.messages(_path(name, "events"), after):
            kind = STUDY_EVENTS.get(message.name)
            if kind is None:  # of a newer service
                continue
            event = self._connection.parse(kind, message.data)
            yield event
            if isinstance(event, StudyGone) or (isinstance(event, StudySummary) and _is_last(event, message.id)):
                return

    def wait(self, name: str) -> StudySummary:
        """Wait until a study is at rest, and return where it stands."""
        for _ in self.follow(name, None):
            pass
        return self.get(name)

    def stop(self, name: str, key: str | None = None) -> StudySummary:
        """Ask a study to save what it has and to end. Nothing of it is deleted."""
        return self._change("POST", _path(name, "stop"), key)

    def resume(self, name: str, key: str | None = None) -> StudySummary:
        """Go on with a study that was stopped or interrupted."""
        return self._change("POST", _path(name, "resume"), key)

    def extend(self, name: str, trials: int, time_budget: str | None = None, key: str | None = None) -> StudySummary:
        """Add trials to a study that has ended."""
        return self._change("POST", _path(name, "extend"), key, Extension(trials=trials, time_budget=time_budget))

    def confirm(
        self, name: str, top: int = 5, seeds: int = 5, key: str | None = None, front: bool = False
    ) -> StudySummary:
        """Train a study's best configurations, or those of its Pareto front, again from fresh seeds."""
        return self._change("POST", _path(name, "confirm"), key, Confirmation(top=top, seeds=seeds, front=front))

    def replay(self, name: str, *trials: int, key: str | None = None) -> StudySummary:
        """Train trials again from their recorded seeds, and compare them with the record."""
        return self._change("POST", _path(name, "replay"), key, Replay(trials=trials))

    def delete(self, name: str, key: str | None = None) -> StudySummary:
        """Move a study to the trash, from which it can be restored."""
        return self._change("DELETE", _path(name), key)

    def restore(self, name: str, key: str | None = None) -> StudySummary:
        """Bring a study back from the trash."""
        return self._change("POST", _path(name, "restore"), key)

    # What a study found

    def trials(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        sort: str | None = None,
        descending: bool = False,
        filter: str = "",
    ) -> pd.DataFrame:
        """Return a study's table, a row for each trial: all of them, or those that a filter such as `lr<0.01` leaves."""
        return self._frame(_path(name, "trials.parquet"), columns, sort, descending, filter)

    def epochs(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        sort: str | None = None,
        descending: bool = False,
        filter: str = "",
    ) -> pd.DataFrame:
        """Return a study's table of epochs, a row for each epoch of each trial."""
        return self._frame(_path(name, "epochs.parquet"), columns, sort, descending, filter)

    def results(self, name: str) -> Results:
        """Return a study's tables as Results, which rank them and answer what needs no run's folder."""
        from tune_mlp.results.results import Results  # late: pandas

        summary = self.get(name)
        found = Results.from_table(self.trials(name), summary.metric or None, summary.mode)
        return replace(found, source=f"{self.url}/studies/{name}", epochs=self.epochs(name))

    def importance(self, name: str) -> AnswerMessage:
        """Return which parameters of a study matter."""
        return self._connection.read(AnswerMessage, "GET", _path(name, "importance"))

    def trial(self, name: str, number: int) -> TrialDetail:
        """Return a trial: its row, its curve, what its settings have other than the best trial's, and why it ended."""
        return self._connection.read(TrialDetail, "GET", _path(name, "trials", str(int(number))))

    def compare(self, *names: str) -> StudiesCompared:
        """Return studies side by side: the settings that differ, their courses and their best trials."""
        return self._connection.read(StudiesCompared, "GET", "/api/compare", query={"study": list(names)})

    def predict(self, name: str, samples: Any, gradient: bool = False) -> Predictions:
        """Return the best model's answers: for rows of a table, as a data frame or as dicts, or for an array with a row of numbers
        for each sample."""
        body = question(samples, gradient)
        return self._connection.read(Predictions, "POST", _path(name, "predict"), body=body, harmless=True)

    def report(self, name: str) -> str:
        """Return a study's report, one page of HTML that needs no other file."""
        return self._connection.request("GET", _path(name, "report")).text

    def download_model(self, name: str, file: str | Path) -> Path:
        """Save the best model, `model.pt` for PyTorch or `model.onnx`: the ending of `file` says which. The file appears whole or not at all."""
        path = Path(file)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        kind = "model.onnx" if path.suffix == ".onnx" else "model.pt"
        try:
            with self._connection.download(_path(name, "best", kind)) as pieces, partial.open("xb") as to:
                for piece in pieces:
                    to.write(piece)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _change(
        self, method: str, path: str, key: str | None, body: BaseModel | None = None, source: str = ""
    ) -> StudySummary:
        """Ask for a change. Its key makes sure that it is done once, even if the answer is lost and it is asked for again."""
        return self._connection.read(StudySummary, method, path, body=body, key=key or uuid.uuid4().hex, source=source)

    def _frame(
        self, path: str, columns: Sequence[str] | None, sort: str | None, descending: bool, filter: str
    ) -> pd.DataFrame:
        import pandas as pd

        query = {
            "columns": None if columns is None else ",".join(columns),
            "sort": sort,
            "descending": descending or None,
            "filter": filter or None,
        }
        return pd.read_parquet(io.BytesIO(self._connection.request("GET", path, query=query).content))


def submission(study: AnyStudy, changes: Sequence[str] = (), name: str | None = None) -> Submission:
    """Return what is sent to submit a study."""
    if isinstance(study, Study):
        content: str | Mapping[str, Any] = study.dump()
    elif isinstance(study, Mapping):
        content = plain_tree(study)
    else:
        content = str(study)
        if file := _file_name(study):
            content = file_text(Path(study))
            if "name" not in read_yaml(content, file).tree:
                changes = (f"name={name_of_file(Path(file))}", *changes)
    try:
        return Submission(study=content, changes=tuple(changes), name=name)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _file_name(study: AnyStudy) -> str:
    """Return the name of a study file; empty for what is none: a shipped study's name, YAML text, or a study itself."""
    if isinstance(study, str):
        return Path(study).name if "\n" not in study and names_file(study) else ""
    return study.name if isinstance(study, Path) else ""


def _is_last(summary: StudySummary, at: str) -> bool:
    """Say whether nothing follows a summary: the study is at rest, and all that the summary knows of came before it."""
    return summary.state in AT_REST and (not at.isdecimal() or int(at) >= summary.offset)


def _path(name: str, *parts: str) -> str:
    """Return the path of a study's resource."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"no study can have the name {name!r:.80}")
    return "/".join(("/api/studies", name, *parts))


def question(samples: Any, gradient: bool) -> Question:
    """Return what is sent to ask for predictions: rows by the names of their columns, or the numbers of each sample."""
    if hasattr(samples, "to_dict"):  # a data frame, without pandas being imported for it
        samples = samples.to_dict("records")
    elif hasattr(samples, "reshape"):  # an array: pictures are sent row by row
        samples = samples.reshape(len(samples), -1).tolist()
    named = all(isinstance(sample, Mapping) for sample in samples)
    try:
        return Question(**{"rows" if named else "pixels": plain_tree(list(samples))}, gradient=gradient)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
