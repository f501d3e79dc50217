"""Tests of the answers of `compare`: what is said of two trials, of several, and of all beside the winner."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_rel

from tests.insight.runs import a_run, right
from tests.results.journals import a_study, write
from tune_mlp import cli
from tune_mlp.errors import RunFolderError, UsageError
from tune_mlp.insight.compare import compare
from tune_mlp.insight.leaders import indistinguishable_line
from tune_mlp.results.outcomes import OUTCOMES, Outcomes, to_line
from tune_mlp.results.results import Results

RNG = np.random.default_rng(0)


def test_two_trials_are_compared_on_the_same_samples(tmp_path: Path) -> None:
    """Trial 7 alone gets 60 samples right, and trial 3 alone 19."""
    results = a_run(tmp_path, {3: right(919), 7: right(960, first=19)})
    answer = compare(results, [3, 7])
    (row,) = answer.table.to_dict("records")
    expected = binomtest(19, 79).pvalue
    assert (row["trial"], row["other"], row["trial_only"], row["other_only"]) == (7, 3, 60, 19)
    assert row["difference"] == 0.041
    assert row["p"] == pytest.approx(expected, rel=1e-9)
    assert answer.sentence == (
        "Trial 7 is better than trial 3: it got 41 of 1,000 more samples right "
        f"(4.10 points, 95 % interval {100 * row['low']:.2f} to {100 * row['high']:.2f}, p < 0.0001)."
    )
    assert answer.facts == {"metric": "val_accuracy", "mode": "max", "trials": 2}
    assert compare(results, [7, 3]).table.equals(answer.table), "the better one stands first"


def test_what_may_be_chance_cant_be_told_apart(tmp_path: Path) -> None:
    results = a_run(tmp_path, {0: right(900), 1: right(903, first=2)})
    answer = compare(results, [0, 1])
    assert answer.sentence.startswith(
        "Trial 1 and trial 0 can't be told apart: trial 1 got 3 of 1,000 more samples right (0.30 points, 95 % interval -"
    )
    assert list(answer.table["verdict"]) == ["not told apart"]


def test_all_pairs_of_several_trials_are_corrected_for_their_number(tmp_path: Path) -> None:
    results = a_run(tmp_path, {0: right(900), 1: right(912), 2: right(907)})
    table = compare(results, [0, 1, 2]).table.set_index(["trial", "other"])
    raw = {(1, 0): 0.5**11, (1, 2): 0.5**4, (2, 0): 0.5**6}  # McNemar's p of 12, 5 and 7 samples against none
    assert dict(table["p"]) == pytest.approx({(1, 0): 3 * raw[1, 0], (2, 0): 2 * raw[2, 0], (1, 2): raw[1, 2]})
    assert dict(table["verdict"]) == {(1, 0): "better", (2, 0): "better", (1, 2): "not told apart"}
    assert compare(results, [0, 1, 2]).sentence == (
        "2 of 3 pairs can be told apart at 95 %: trial 1 is better than trial 0, trial 2 is better than trial 0."
    )


def test_all_trials_are_compared_with_the_winner(tmp_path: Path) -> None:
    trials = {0: right(950, first=30), 1: right(955), 2: right(700), 3: "failed", 4: "diverged"}
    answer = compare(a_run(tmp_path, trials))
    assert list(answer.table["trial"]) == [1, 0, 2]
    assert list(answer.table["verdict"]) == ["winner", "not told apart", "worse"]
    winner = answer.facts["winner"]
    assert (winner["trial"], winner["measured"]) == (1, 0.955)
    assert winner["low"] < winner["corrected"] < winner["measured"]
    assert answer.facts["indistinguishable"] == [0]
    assert answer.facts["trials"] == 3
    assert answer.table["p"][2] == pytest.approx(3 * binomtest(255, 255).pvalue)
    assert answer.sentence == (
        "1 of the 2 other trials can't be told from the winner, trial 1, at 95 %; its val_accuracy is 0.9550 as measured, "
        f"{winner['corrected']:.4f} expected on new data (95 % interval {winner['low']:.4f} to {winner['high']:.4f})."
    )
    low, high = binomtest(950, 1000).proportion_ci(method="wilson")
    assert tuple(answer.table.loc[1, ["low", "high"]]) == pytest.approx((low, high))


def test_of_two_trials_there_is_one_pair_and_no_factor_is_said(tmp_path: Path) -> None:
    answer = compare(a_run(tmp_path, {0: right(900), 1: right(700)}))
    assert answer.method[0].endswith("against the winner on the same 1,000 validation samples.")
    assert list(answer.table.columns[4:6]) == ["winner_only", "other_only"]
    assert list(answer.table["other_only"].dropna()) == [0]


def test_the_same_seed_gives_the_same_correction(tmp_path: Path) -> None:
    results = a_run(tmp_path, {number: RNG.random((1, 200)) < 0.9 for number in range(20)})
    first, again, other = (compare(results, seed=seed).facts["winner"]["corrected"] for seed in (1, 1, 2))
    assert first == again != other


def test_errors_are_compared_by_a_paired_t_test(tmp_path: Path) -> None:
    wanted = RNG.normal(0, 1, (1, 400, 1))
    first, second = (np.float32(wanted + RNG.normal(0, spread, wanted.shape)) for spread in (0.3, 1.2))
    results = a_run(tmp_path, {0: second, 1: first})
    answer = compare(results, [0, 1])
    (row,) = answer.table.to_dict("records")
    assert list(answer.table.columns) == ["trial", "other", "difference", "low", "high", "p", "verdict"]
    rmses = [float(np.sqrt(np.square(errors).mean())) for errors in (first, second)]
    assert row["difference"] == pytest.approx(rmses[0] - rmses[1], rel=1e-3)
    test = ttest_rel(
        *(np.square(e[0, :, 0]) / (2 * rmse) + rmse / 2 for e, rmse in zip((first, second), rmses, strict=True))
    )
    assert row["p"] == pytest.approx(test.pvalue, rel=0.01)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()), rel=1e-2)
    assert answer.sentence.startswith(
        f"Trial 1 is better than trial 0: it has a val_rmse that is {-row['difference']:.4g} lower"
    )
    whole = compare(results)
    assert whole.facts["winner"]["measured"] == pytest.approx(rmses[0], rel=1e-3)
    assert whole.facts["winner"]["low"] < whole.facts["winner"]["corrected"] < whole.facts["winner"]["high"]
    assert list(whole.table["verdict"]) == ["winner", "worse"]


def test_a_study_ranked_by_the_absolute_error_is_compared_by_it(tmp_path: Path) -> None:
    results = a_run(tmp_path, {n: np.float32(RNG.normal(0, 1 + n, (1, 300, 2))) for n in range(2)})
    table = results.trials.assign(val_mae=[1.0, 2.0], best_val_mae=[1.0, 2.0])
    answer = compare(replace(results, metric="val_mae", trials=table))
    assert "val_mae" in answer.table.columns
    values = results.outcomes.trials[0].values
    assert answer.facts["winner"]["measured"] == pytest.approx(np.abs(values).mean(), rel=1e-6)


def test_several_seeds_are_averaged_for_each_sample(tmp_path: Path) -> None:
    worse, better = (RNG.random((3, 500)) < share for share in (0.8, 0.9))
    answer = compare(a_run(tmp_path, {0: worse, 1: better}), [0, 1])
    assert answer.sentence.startswith("Trial 1 is better than trial 0: it has an accuracy that is ")
    assert "points higher over 3 seeds (95 % interval" in answer.sentence
    (p,) = answer.table["p"]
    assert p == pytest.approx(ttest_rel(better.mean(axis=0), worse.mean(axis=0)).pvalue, rel=1e-4)


def test_where_another_metric_ranks_it_is_said_what_is_compared(tmp_path: Path) -> None:
    """The trial with the lowest loss isn't the one that gets most samples right."""
    trials = {0: right(950), 1: right(700), 2: right(705)}
    answer = compare(a_run(tmp_path, trials, {0: 0.9, 1: 0.1, 2: 0.5}, metric="val_loss", mode="min"))
    assert answer.facts["winner"]["trial"] == 1
    assert np.isnan(answer.facts["winner"]["corrected"])
    assert dict(zip(answer.table["trial"], answer.table["verdict"], strict=True)) == {
        1: "winner",
        2: "not told apart",
        0: "better",
    }
    assert answer.notes == (
        "The trials are ranked by val_loss, and compared by which samples a trial got right, that is by val_accuracy; the "
        "winner's score isn't corrected for having been picked by another metric.",
    )
    assert "expected on new data" not in answer.sentence
    assert json.loads(json.dumps(answer.to_dict(), allow_nan=False))["winner"]["corrected"] is None


def test_one_trial_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    answer = compare(a_run(tmp_path, {0: right(900)}))
    assert (
        answer.sentence
        == "Trial 0 is the only one to compare; its val_accuracy is 0.9000 (95 % interval 0.8798 to 0.9171)."
    )
    assert answer.facts["winner"]["corrected"] == 0.9
    assert indistinguishable_line(Results.load(tmp_path)) == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([0], "compare: name two different trials or more, or none for all of them beside the winner"),
        ([0, 0], "compare: name two different trials or more, or none for all of them beside the winner"),
        ([0, 9], "trial 9: the run has no such trial; it has 5, from 0 to 4"),
        ([0, 1], "trial 1: it failed, and so has nothing that can be compared"),
        ([0, 2], "trial 2: it diverged, and so has nothing that can be compared"),
        ([0, 3], "trial 3: it has no outcomes: it is under way, an earlier version trained it, or they are damaged"),
        ([0, 4], "trial 4: it has no outcomes: it is under way, an earlier version trained it, or they are damaged"),
    ],
)
def test_a_trial_that_cant_be_compared_is_refused_in_one_line(asked: list[int], said: str, tmp_path: Path) -> None:
    results = a_run(tmp_path, {0: right(900), 1: "failed", 2: "diverged", 3: "old", 4: "open"})
    with pytest.raises(UsageError) as caught:
        compare(results, asked)
    assert str(caught.value) == said


def test_trials_without_outcomes_are_left_out_and_said(tmp_path: Path) -> None:
    trials = {0: right(400), 1: right(300), 2: "old", 3: "open"}
    answer = compare(a_run(tmp_path, trials))
    assert answer.facts["winner"]["trial"] == 0
    assert answer.notes == (
        "Left out, since they have no outcomes (under way, trained by an earlier version, or damaged): trial 2, 3.",
        "The best trial, 2, is one of them; trial 0 is the best of the others.",
    )


def test_a_damaged_line_is_a_note_and_an_epoch_that_isnt_the_best_doesnt_count(tmp_path: Path) -> None:
    a_run(tmp_path, {0: right(900), 1: right(890), 2: right(880)})
    path = tmp_path / OUTCOMES
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"classification", b"classificatioN") + third)
    answer = compare(Results.load(tmp_path))
    assert answer.facts["trials"] == 2
    assert answer.notes[0].startswith(f"{path}:2 was left out: the checksum doesn't fit")
    named = compare(Results.load(tmp_path), [0, 2])
    assert named.notes == answer.notes[:1]
    path.write_bytes(first + third + to_line(1, Outcomes(2, right(890))))
    assert list(Results.load(tmp_path).outcomes.trials) == [0, 2]


def test_a_run_without_outcomes_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path / "journal.jsonl", a_study())
    results = Results.load(tmp_path)
    with pytest.raises(UsageError, match=r"has no outcomes.jsonl, which says which samples each trial got right"):
        compare(results)
    assert indistinguishable_line(results) == ""
    table = Results.from_table(results.trials)
    with pytest.raises(RunFolderError, match="is a table alone: this needs a run's folder"):
        compare(table)
    assert indistinguishable_line(table) == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x93no\nwhole\nline\n", r":1 was left out: .*, and 2 more$"),
        (b"\x93" * 90, "has no whole line: its first one is being written, was cut off or is damaged$"),
    ],
)
def test_a_file_of_outcomes_that_is_damaged_throughout_is_said_to_be(tmp_path: Path, content: bytes, said: str) -> None:
    a_run(tmp_path, {0: right(900), 1: right(890)})
    (tmp_path / OUTCOMES).write_bytes(content)
    for trials in ([], [0, 1]):
        with pytest.raises(UsageError, match=f"none of its trials has left outcomes; .*outcomes.jsonl ?{said}"):
            compare(Results.load(tmp_path), trials)


def test_a_run_in_which_nothing_succeeded_is_refused_in_one_line(tmp_path: Path) -> None:
    results = a_run(tmp_path, {0: "failed", 1: "diverged"})
    with pytest.raises(RunFolderError, match=r"its trials diverged or failed, so none can be compared$"):
        compare(results)
    (tmp_path / OUTCOMES).touch()
    with pytest.raises(UsageError, match="nothing to compare: no trial has ended with a finite metric"):
        compare(results)


def test_results_compare_returns_a_frame_that_carries_the_answer(tmp_path: Path) -> None:
    results = a_run(tmp_path, {0: right(900), 1: right(950)})
    frame = results.compare(0, 1)
    assert list(frame["trial"]) == [1]
    assert frame.attrs["sentence"].startswith("Trial 1 is better than trial 0")
    assert results.compare().attrs["winner"]["trial"] == 1
    assert pd.api.types.is_integer_dtype(results.compare()["winner_only"])


def test_the_word_prints_the_top_as_text_and_all_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path, {number: right(900 - number) for number in range(30)})
    assert cli.main(["compare", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.count("not told apart") == 11
    assert "... and 18 more: --to json or --to csv has all of them." in text
    assert cli.main(["compare", str(tmp_path), "--to", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["rows"]) == 30
    assert {"sentence", "metric", "mode", "trials", "winner", "indistinguishable", "notes", "method"} < said.keys()
    assert said["winner"].keys() == {"trial", "measured", "corrected", "low", "high"}
    assert cli.main(["compare", str(tmp_path), "3", "4", "--to", "csv"]) == 0
    assert capsys.readouterr().out.startswith("trial,other,trial_only,other_only,difference,low,high,p,verdict\n3,4,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["trials.csv"],
            "trials.csv is a table, which doesn't say which samples each trial got right: name the run itself",
        ),
        (["nowhere"], "no run's folder nowhere"),
        (["RUN", "0", "99"], "trial 99: the run has no such trial"),
        (["RUN", "0", "best"], "invalid int value: 'best'"),
    ],
)
def test_bad_usage_ends_with_status_2_and_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(tmp_path, {0: right(900), 1: right(950)})
    try:
        status = cli.main(["compare", *(str(tmp_path) if word == "RUN" else word for word in words)])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert said in printed.err
    assert printed.err.count("\n") == 1
