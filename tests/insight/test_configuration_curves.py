"""The curves of configurations are the means of their seeds and folds, with the deviation as a band."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.journals import drawn, ended, record, started, trained
from tune_mlp.insight.views.configurations import MOST, configurations
from tune_mlp.results.journal import Event, to_line
from tune_mlp.results.results import Results


def load(folder: Path, *events: Event) -> Results:
    folder.mkdir(exist_ok=True)
    lines = [to_line(event, number, 1.5e9 + number) for number, event in enumerate(events, start=1)]
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    return Results.load(folder)


def configuration(number: int, loss: float, **params: object) -> list[Event]:
    """Return the events of a trial of two seeds and two epochs, whose losses lie 0.1 on either side of this one."""
    epochs = [
        trained(
            number,
            *(
                record(epoch, loss + off, 0.5, loss + off + 1, 0.9 - loss / 10, repeat=repeat)
                for repeat, off in ((0, -0.1), (1, 0.1))
            ),
        )
        for epoch in (1, 2)
    ]
    return [drawn(number, params), *epochs, ended(number)]  # type: ignore[arg-type]


def test_a_line_is_the_mean_of_the_seeds_and_its_band_one_deviation(tmp_path: Path) -> None:
    answer = configurations(load(tmp_path, started(), *configuration(0, 2.0, experiment="wide")))
    rows = answer.table[(answer.table["score"] == "loss") & (answer.table["part"] == "training")]
    assert list(rows["epoch"]) == [1, 2]
    assert list(rows["configuration"]) == ["wide", "wide"]
    assert list(rows["mean"]) == pytest.approx([2.0, 2.0])
    assert list(rows["high"] - rows["mean"]) == pytest.approx([0.02**0.5] * 2)
    assert answer.sentence == "After 2 epochs the training loss is 2 and the validation loss 3."
    assert answer.method == ("Each line is the mean of 2 nets.",)


def test_several_are_named_by_what_tells_them_apart_and_the_best_are_kept(tmp_path: Path) -> None:
    trials = [
        event for number in range(MOST + 2) for event in configuration(number, 1.0 + number, lr=0.1 * number, width=8)
    ]
    answer = configurations(load(tmp_path, started(), *trials))
    names = list(dict.fromkeys(answer.table["configuration"]))
    assert len(names) == MOST
    assert names[:2] == ["0: lr 0", "1: lr 0.1"]
    assert answer.notes == (f"Shown are the best {MOST} of {MOST + 2} configurations.",)
    assert (
        answer.sentence
        == "0: lr 0 ends with the lowest validation loss, 2, and 5: lr 0.5 with the highest of those shown, 7."
    )


def test_without_epochs_or_trials_a_sentence_says_why(tmp_path: Path) -> None:
    nothing = configurations(load(tmp_path, started()))
    assert nothing.table.empty
    assert nothing.sentence.startswith("No curves can be drawn: ")
    only = configurations(load(tmp_path, started(), drawn(0), ended(0, "failed", error="x")))
    assert only.table.empty
