from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.journals import (
    AT,
    a_study,
    as_line,
    decided,
    drawn,
    ended,
    lines_of,
    record,
    started,
    trained,
    winner,
    write,
)
from tune_mlp.errors import RunError, RunFolderError
from tune_mlp.records import EpochRecord
from tune_mlp.results import journal
from tune_mlp.results.journal import EVENTS, Drawn, from_line
from tune_mlp.results.journal_reader import parse_events, read, read_lines
from tune_mlp.results.plain_text import checked
from tune_mlp.runs.journal_writer import Journal

LINES = lines_of(a_study())
FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "run_format_1" / "journal.jsonl"
WHOLE = b"".join(LINES)


def line_of(body: str) -> bytes:
    """Return a line with a valid checksum for any body."""
    data = body.encode()
    return data[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(data)


@pytest.mark.parametrize("event", a_study(), ids=repr)
def test_every_event_comes_back_as_it_was_written(event: Any) -> None:
    line = as_line(event, 7)
    assert b"\n" not in line
    back = from_line(line)
    assert (back.number, back.at) == (7, AT)
    assert repr(back.event) == repr(event)  # a NaN equals nothing, but its repr does


def test_the_sample_study_has_every_kind_of_event() -> None:
    assert {type(event) for event in a_study()} == set(EVENTS.values())


def test_every_field_of_every_event_has_a_codec() -> None:
    kinds = {str(field.type) for kind in (*EVENTS.values(), EpochRecord) for field in fields(kind)}
    assert kinds == set(journal._CODECS)


def test_a_line_is_strict_json_that_ends_in_its_own_checksum() -> None:
    def refuse(word: str) -> float:
        raise AssertionError(word)

    for line in LINES:
        data = json.loads(line, parse_constant=refuse)
        assert next(iter(data)) == "event"
        assert list(data)[-1] == "crc"
        body = line[: line.rindex(b',"crc"')] + b"}"
        assert data["crc"] == f"{zlib.crc32(body):08x}"


def test_only_metrics_read_nan_as_a_number() -> None:
    words = {"a": "nan", "b": "inf", "c": "Infinity"}
    back: Any = from_line(as_line(Drawn(0, words, 1))).event
    assert isinstance(back, Drawn)
    assert back.params == words
    back = from_line(as_line(winner(0, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0}))).event
    assert isinstance(back, journal.Tested)
    assert [repr(value) for value in back.metrics.values()] == ["nan", "inf", "-inf", "-0.0"]


def is_plain(text: str) -> bool:
    try:
        return checked(text) == text
    except ValueError:
        return False


texts = st.text().filter(is_plain)


@given(st.dictionaries(texts, st.floats()), st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_comes_back_to_the_last_bit(metrics: dict[str, float], seconds: float) -> None:
    event = trained(0, EpochRecord(1, 0, metrics, 1, seconds, seconds))
    assert repr(from_line(as_line(event)).event) == repr(event)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts


@given(st.dictionaries(texts, scalars | st.lists(scalars)))
def test_any_parameter_comes_back_with_its_kind(params: dict[str, Any]) -> None:
    assert repr(from_line(as_line(drawn(0, params))).event) == repr(drawn(0, params))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_word_for_a_number_is_no_strict_json(word: str) -> None:
    line = as_line(ended(0)).replace(b"9.25", word.encode())
    body = line[: line.rindex(b',"crc"')] + b"}"
    with pytest.raises(ValueError, match=f"{word} is no number of strict JSON"):
        from_line(body[:-1] + b',"crc":"%08x"}' % zlib.crc32(body))


def test_a_non_finite_parameter_is_our_own_mistake_and_is_not_written(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j") as log:
        log.append(started())
        with pytest.raises(ValueError, match="JSON compliant"):
            log.append(drawn(0, {"lr": math.nan}))
    assert read(tmp_path / "j") == [started()]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_journal_cut_at_any_byte_gives_the_events_before_the_cut(cut: int) -> None:
    whole = WHOLE[:cut].count(b"\n")
    if whole == 0:
        with pytest.raises(RunFolderError, match="the journal is empty"):
            parse_events(WHOLE[:cut], "j")
    else:
        assert repr(parse_events(WHOLE[:cut], "j")) == repr(a_study()[:whole])


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(WHOLE) - 2), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, flip: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= flip
    with pytest.raises(RunFolderError, match=r"^j:\d+: [^\n]+$"):
        parse_events(bytes(damaged), "j")


BAD_LINES = {
    "not json": (line_of("nonsense}"), "Expecting value"),
    "no object": (line_of("[1}"), "delimiter"),
    "no checksum": (b'{"event":"tested"}\n', "checksum"),
    "another's checksum": (LINES[1][:-12] + LINES[2][-12:], "checksum"),
    "empty": (b"\n", "checksum"),
    "not utf-8": (line_of('{"event":"\ud800"}'.encode("utf-8", "surrogatepass").decode("latin-1")), "unknown event"),
    "unknown event": (line_of('{"event":"exec","code":"1"}'), "unknown event 'exec'"),
    "no event": (line_of('{"trial":1}'), "unknown event None"),
    "an event that is no text": (line_of('{"event":["tested"]}'), "unknown event"),
    "missing field": (line_of('{"event":"tested","trial":1}'), "missing field 'metrics'"),
    "unknown field": (line_of('{"event":"tested","trial":1,"metrics":{},"more":1}'), "unknown field 'more'"),
    "text for a number": (line_of('{"event":"tested","trial":"1","metrics":{}}'), "trial: must be int, got '1'"),
    "true for a number": (line_of('{"event":"tested","trial":true,"metrics":{}}'), "trial: must be int, got True"),
    "text for a metric": (line_of('{"event":"tested","trial":1,"metrics":{"a":"NaN"}}'), "metrics: must be float"),
    "list for a map": (line_of('{"event":"tested","trial":1,"metrics":[]}'), "metrics: must be dict"),
    "map for a parameter": (line_of('{"event":"drawn","trial":1,"params":{"a":{}},"seed":1}'), "params: must be str"),
    "unknown state": (line_of('{"event":"ended","trial":1,"state":"x","seconds":1,"error":""}'), "state: 'x'"),
    "bad epochs": (line_of('{"event":"trained","trial":1,"epochs":[{}],"node":"","weights":1}'), "epochs: missing field"),
    "nested too deep": (line_of('{"event":' + "[" * 200_000 + "}"), "too deep"),
    "unknown mode": (LINES[0][:0] + line_of(LINES[0][: LINES[0].rindex(b',"crc"')].decode().replace('"max"', '"up"') + "}"), "mode: must be one of min, max"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "rule"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_refused_with_file_and_line_even_as_the_last(line: bytes, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES[0] + LINES[1] + line)
    with pytest.raises(RunFolderError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}:3: ")
    assert rule in text
    assert "\n" not in text


def test_a_journal_must_begin_with_started(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r":1: a journal begins with 'started', got 'drawn'$"):
        read(write(tmp_path / "j", [drawn(0)]))


def test_a_journal_that_is_missing_empty_or_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("missing", "empty", "."):
        with pytest.raises(RunFolderError) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_journal_is_created_once(tmp_path: Path) -> None:
    path = write(tmp_path / "j", a_study())
    written = path.read_bytes()
    with pytest.raises(RunFolderError, match="there is a journal already"):
        Journal.create(path)
    assert path.read_bytes() == written
    assert repr(read(path)) == repr(a_study())


def test_a_journal_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="No such file"):
        Journal.create(tmp_path / "no" / "j")


def test_an_event_is_in_the_file_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j") as log:
        for count, event in enumerate(a_study(), start=1):
            log.append(event)
            assert len(read(tmp_path / "j")) == count


def test_a_resumed_journal_loses_its_torn_line_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(LINES[0] + LINES[1] + LINES[2][:-5])
    with Journal.resume(path) as log:
        log.append(ended(0, "stopped"))
    assert repr(read(path)) == repr([*a_study()[:2], ended(0, "stopped")])


def test_a_damaged_journal_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(LINES[0] + b"x\n")
    with pytest.raises(RunFolderError, match=":2: "):
        Journal.resume(path)
    assert path.read_bytes() == LINES[0] + b"x\n"
    with pytest.raises(RunFolderError, match="No such file"):
        Journal.resume(tmp_path / "missing")


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_a_second_writer_is_refused_while_the_first_is_at_it(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j") as log:
        log.append(started())
        with pytest.raises(RunFolderError, match="another process is writing"):
            Journal.resume(tmp_path / "j")
        log.append(drawn(0))
    Journal.resume(tmp_path / "j").close()


def test_a_full_disk_leaves_whole_lines_and_is_said_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 20:
            return real(descriptor, data[:20])
        raise OSError(28, "No space left on device")

    log = Journal.create(tmp_path / "j")
    log.append(started())
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunError, match=r"j: can't write the journal: No space left on device$"):
            log.append(drawn(0))
    log.append(drawn(1))
    log.close()
    assert read(tmp_path / "j") == [started(), drawn(1)]


def test_a_closed_journal_takes_no_more(tmp_path: Path) -> None:
    log = Journal.create(tmp_path / "j")
    log.append(started())
    log.close()
    log.close()
    with pytest.raises(RunError, match="can't write the journal"):
        log.append(drawn(0))


def test_the_journal_brings_no_heavy_library() -> None:
    code = "import sys, tune_mlp.results.journal; print({'pandas', 'numpy', 'torch', 'ray'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_journal_from_before_there_were_several_seeds_is_read_as_one_of_one_seed() -> None:
    line = json.loads(as_line(trained(0, record(1, 1, 1, 1, 1, repeat=0))))
    del line["crc"], line["epochs"][0]["repeat"]
    old = line_of(json.dumps(line, separators=(",", ":")))
    assert from_line(old[:-1]).event == trained(0, record(1, 1, 1, 1, 1, repeat=0))


def test_a_record_keeps_the_order_of_its_metrics() -> None:
    event = trained(0, record(1, 4.0, 3.0, 2.0, 1.0))
    back = from_line(as_line(event)).event
    assert isinstance(back, journal.Trained)
    assert list(back.epochs[0].metrics) == list(event.epochs[0].metrics)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_line_that_is_deleted_doubled_or_moved_is_refused_with_its_number(data: st.DataObject) -> None:
    lines = list(LINES)
    at = data.draw(st.integers(1, len(lines) - 2))
    how = data.draw(st.sampled_from(["delete", "double", "swap"]))
    if how == "delete":
        del lines[at]
    elif how == "double":
        lines.insert(at, lines[at])
    else:
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    bad = at + 2 if how == "double" else at + 1
    with pytest.raises(
        RunFolderError, match=rf"^j:{bad}: line {bad} says that it is line \d+; a line was deleted, doubled or moved$"
    ):
        parse_events(b"".join(lines), "j")


def test_every_line_says_when_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.25, 99.0])
    monkeypatch.setattr("tune_mlp.runs.journal_writer.time.time", lambda: next(times))
    path = write(tmp_path / "j", [started(), drawn(0), ended(0)])
    assert [(line.number, line.at) for line in read_lines(path)] == [(1, 100.0), (2, 100.25), (3, 99.0)]


def test_a_journal_of_format_1_is_read_and_goes_on_with_lines_of_format_2(tmp_path: Path) -> None:
    old = read_lines(FORMAT_1)
    assert old[0].event == started(study_name="digits_quick", epochs=8, engine="compiled", dataset="digits", format=1)
    assert {(line.number, line.at) for line in old} == {(None, None)}
    path = tmp_path / "j"
    path.write_bytes(FORMAT_1.read_bytes())
    with Journal.resume(path) as log:
        log.append(drawn(4))
    new = read_lines(path)
    assert new[:-1] == old
    assert (new[-1].event, new[-1].number) == (drawn(4), len(old) + 1)
    *lines, last = path.read_bytes().splitlines(keepends=True)
    with pytest.raises(RunFolderError, match=f":{len(old)}: line {len(old)} says that it is line {len(old) + 1}"):
        parse_events(b"".join([*lines[:3], *lines[4:], last]), "j")
    with pytest.raises(RunFolderError, match="says that it is line None"):
        parse_events(b"".join([*lines, last, lines[-1]]), "j")


IMPOSSIBLE = {
    "epochs 0": (started(epochs=0), "epochs: must be 1 to 1000000000, got 0"),
    "epochs beyond": (started(epochs=2**63 - 1), "epochs: must be 1 to"),
    "classes below 0": (started(classes=-1), "classes: must be 0 to"),
    "a later format": (started(format=3), "format: must be 1 to 2, got 3"),
    "epoch 0": (trained(0, record(0, 1, 1, 1, 1)), "epoch: must be 1 to"),
    "epoch -2^63": (trained(0, record(-(2**63), 1, 1, 1, 1)), "epoch: must be 1 to"),
    "fold 10^9": (trained(0, record(1, 1, 1, 1, 1, fold=10**9)), "fold: must be 0 to 9999, got 1000000000"),
    "repeat -1": (trained(0, record(1, 1, 1, 1, 1, repeat=-1)), "repeat: must be 0 to"),
    "an engine of no kind": (started(engine="exec"), "engine: must be one of eager, compiled, got 'exec'"),
    "a parameter that is a formula": (drawn(0, {"batch_size": "=1+1"}), "params: must not begin with = or + or - or @"),
    "a parameter's name that is a formula": (drawn(0, {"=1+1": 1}), "params: must not begin with"),
    "a parameter with a direction mark": (drawn(0, {"a": "\u202ex"}), "params: no control characters"),
    "a list with a control character": (drawn(0, {"a": [1, "\x1b[31m"]}), "params: no control characters"),
    "steps -1": (trained(0, record(1, 1, 1, 1, 1, steps=-1)), "steps: must be 0 to"),
    "weights -1": (trained(0, record(1, 1, 1, 1, 1), weights=-1), "weights: must be 0 to"),
    "a digest of something else": (trained(0, record(1, 1, 1, 1, 1), digest="../x"), "weights_digest: must be empty or 64"),
    "competed -1": (decided(0, 1, competed=-1), "competed: must be 0 to"),
    "a donor below 0": (decided(0, 1, donor=-1), "donor: must be 0 to"),
    "a decision of no kind": (decided(0, 1, decision="exec"), "decision: must be one of continue, stop, pause, promote, exploit"),
    "a reason of no kind": (ended(0, reason="exec"), "reason: must be one of"),
}  # fmt: skip


@pytest.mark.parametrize(("event", "rule"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_value_that_no_run_can_have_is_refused(event: Any, rule: str) -> None:
    lines = [event] if isinstance(event, journal.Started) else [started(), drawn(0), event]
    with pytest.raises(RunFolderError, match=rf"^j:{len(lines)}: [^\n]*{re.escape(rule)}"):
        parse_events(b"".join(lines_of(lines)), "j")
