"""A report says what the tables say, and can be worked out again from itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tune_mlp.report
from tests.insight.runs import a_run, right
from tests.report.pages import EVIL, a_manifest, a_reported_run, spans
from tests.results.journals import drawn, started, trial, write
from tune_mlp.cli import main
from tune_mlp.report.markup import Markup, join, tag, written
from tune_mlp.report.packed import pack, pack_rows, pack_table, unpack, unpack_table
from tune_mlp.report.page import report_page
from tune_mlp.report.verify import verify
from tune_mlp.report.write import write_report, write_while_it_runs
from tune_mlp.results.results import Results

ASSETS = (Path(tune_mlp.report.__file__).parent / "assets", Path(__file__).parent / "assets")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run's folder with its report."""
    folder = tmp_path_factory.mktemp("run") / "made"
    write_report(a_reported_run(folder))
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def without_scripts(page: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def words(page: str) -> str:
    """Return the page's text without its scripts and tags."""
    return " ".join(re.sub(r"<[^>]*>", "", without_scripts(page)).split())


def test_a_study_with_several_goals_shows_its_front(tmp_path: Path) -> None:
    trials, losses = {0: right(950), 1: right(900), 2: right(800)}, {0: 0.5, 1: 0.3, 2: 0.9}
    results = a_run(tmp_path, trials, losses, further_goals=("val_loss",))
    page = report_page(results)
    assert "The study has several goals: val_accuracy and val_loss. These trials are on their Pareto front" in words(
        page
    )
    assert "Further goals were val_loss, of which the smallest is best" in words(page)
    found = {key: text for key, _, text in spans(page)}
    assert (found["cell:0:best_val_loss"], found["cell:1:best_val_loss"]) == ("0.5", "0.3")
    assert "cell:2:best_val_loss" not in found
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    assert verify(tmp_path / "report.html").facts["differ"] == 0
    assert "several goals" not in words(report_page(results.judged_by("val_loss")))


@pytest.mark.parametrize("folder", ASSETS, ids=["page", "tests"])
def test_vendored_files_are_those_that_were_published(folder: Path) -> None:
    listed = json.loads((folder / "vendored.json").read_text())
    assert {one["file"] for one in listed} == {path.name for path in folder.glob("*.min.js")}
    for one in listed:
        assert hashlib.sha256((folder / one["file"]).read_bytes()).hexdigest() == one["sha256"], one["file"]
        assert one["license"]
        assert one["version"]


def test_every_number_of_the_prose_equals_the_tables(run: Path, page: str) -> None:
    results = Results.load(run)
    trials, compared = results.trials, results.compare()
    best = results.best
    found = {key: (text, whence) for key, whence, text in spans(page)}
    number = str(best["trial"])
    assert found["best"] == (number, number)
    assert found[f"score:{number}"] == (f"{best['best_val_accuracy']:.4f}", number)
    assert found[f"cell:{number}:lr"] == (f"{best['lr']:.3g}", number)
    assert found[f"cell:{number}:test_accuracy"] == ("0.7500", number)
    winner = compared.attrs["winner"]
    assert found["answer:compare:winner.corrected"][0] == f"{winner['corrected']:.4f}"
    assert found["answer:compare:winner.low"][0] == f"{winner['low']:.4f}"
    assert found["answer:compare:indistinguishable"][0] == str(len(compared.attrs["indistinguishable"]))
    assert found["count"] == (str(len(trials)), "all")
    for state, count in trials["state"].value_counts().items():
        assert found[f"count:{state}"] == (str(count), f"state={state}")
    assert found["total:epochs"][0] == f"{trials['epochs'].sum():,}"
    assert found["split:validation"][0] == "500"
    assert found["split:train"][0] == "2,000"
    assert found["said:importance"][0] == results.importance().attrs["sentence"]


def test_a_number_stands_in_the_prose_only_with_the_trials_that_it_comes_from(page: str) -> None:
    """What is left once the numbers are taken away holds no digits but those of percentages, names and dates."""
    prose = page[page.index('<section id="answer">') : page.index('<section id="reproduce">')]
    prose = re.sub(r'<span class="(number|said)".*?</span>', "", prose, flags=re.DOTALL)
    prose = re.sub(r"<(table|figcaption|h2|h3|pre)\b.*?</\1>", "", prose, flags=re.DOTALL)
    left = re.findall(r"\S*\d\S*", words(prose))
    allowed = {"95", "90", "96.5", "999", "200", "0", "1", "10", "2026-01-01T12:00:00+0000"}
    assert [one for one in left if one.strip(".,;()") not in allowed] == []


def test_the_chapters_come_in_their_order(page: str) -> None:
    titles = re.findall(r"<h2>([^<]*)</h2>", without_scripts(page))
    assert [title.partition(". ")[2] or title for title in titles if title != "Contents"] == [
        *("The answer", "Method", "Best configurations", "What matters", "How the search went"),
        *("What was stopped, what diverged, and why", "Threats to validity", "What to do next", "How to reproduce it"),
        *("What this report leaves out", "All trials", "What to cite"),
    ]


def test_the_method_names_what_was_done(page: str) -> None:
    text = words(page)
    for said in (
        "The samples are those of mnist: 2,500 to learn from, with 784 inputs and 10 classes, and 1,000 in the test part.",
        "A validation part of 500 samples was held out at random, and each net was trained on the other 2,000.",
        "scaled to mean 0 and standard deviation 1 over the training part",
        "Parameters were drawn at random, independently of each other.",
        "from epoch 2 on, at each milestone one trial in 2 went on",
        "All random numbers derive from the seed 7",
        "0.001 to 0.1, uniform in the logarithm",
    ):
        assert said in text, said


def test_every_figure_has_a_finding_a_caption_and_its_data(page: str) -> None:
    figures = re.findall(r"<figure\b.*?</figure>", page, re.DOTALL)
    assert figures
    for figure in figures:
        assert re.search(r'<p class="finding"><span class="said"[^>]*>[^<]+</span></p>', figure)
        assert re.search(r"<figcaption>[^<]+", figure)
        assert re.search(r'role="img" aria-label="[^"]+"', figure)
        assert "data-figure=" in figure


def test_a_page_is_verified_from_its_table_and_from_the_run_beside_it(run: Path, tmp_path: Path) -> None:
    answer = verify(run / "report.html")
    assert answer.facts["differ"] == 0
    assert answer.facts["from_run"] > 5
    assert answer.facts["numbers"] == answer.facts["from_table"] + answer.facts["from_run"]
    alone = tmp_path / "alone.html"
    alone.write_bytes((run / "report.html").read_bytes())
    answer = verify(alone)
    assert (answer.facts["differ"], answer.facts["from_run"]) == (0, 0)
    assert "only compared" in answer.sentence
    assert "isn't beside the page" in answer.notes[0]


@pytest.mark.parametrize(
    "key",
    [
        "count:stopped",
        "score:",
        "cell:",
        "split:train",
        "answer:compare:winner.corrected",
        "said:importance",
        "fact:study:trials",
    ],
)
def test_a_digit_that_is_changed_by_hand_is_named(
    page: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = re.search(rf'data-key="({re.escape(key)}[^"]*)" data-trials="[^"]*">[^<]*?\d', page)
    assert place
    end = place.end()
    digit = str((int(page[end - 1]) + 1) % 10)
    file = tmp_path / "changed.html"
    file.write_text(page[: end - 1] + digit + page[end:], encoding="utf-8")
    assert main(["report", "--verify", str(file)]) == 1
    said = capsys.readouterr()
    assert place[1] in said.out
    assert place[1] in said.err


def test_changed_trials_of_a_number_and_an_unknown_key_are_named(page: str, tmp_path: Path) -> None:
    file = tmp_path / "changed.html"
    file.write_text(
        page.replace('data-key="count" data-trials="all"', 'data-key="count" data-trials="3"', 1), encoding="utf-8"
    )
    assert verify(file).table["number"].tolist() == ["count (its trials)"]
    file.write_text(page.replace('data-key="looks"', 'data-key="luck"', 1), encoding="utf-8")
    assert verify(file).table.to_dict("records") == [
        {"number": "luck", "page": "1", "worked_out": "nothing", "from": "the page's table"}
    ]


def test_a_changed_table_inside_the_page_is_found_by_the_run_beside_it(run: Path, page: str, tmp_path: Path) -> None:
    island = re.search(r'id="evidence">([^<]*)<', page)
    assert island
    held = unpack(island[1])
    best = Results.load(run).best
    scores = held["trials"]["best_val_accuracy"]["values"]
    place = scores.index(float(best["best_val_accuracy"]))
    scores[place] = 0.999
    old, new = f"{best['best_val_accuracy']:.4f}", "0.9990"
    changed = page.replace(island[1], pack(held)).replace(
        f'data-key="score:{best["trial"]}" data-trials="{best["trial"]}">{old}',
        f'data-key="score:{best["trial"]}" data-trials="{best["trial"]}">{new}',
    )
    alone = tmp_path / "report.html"
    alone.write_text(changed, encoding="utf-8")
    beside = run / "changed.html"
    try:
        beside.write_text(changed, encoding="utf-8")
        assert f"score:{best['trial']}" in set(verify(beside).table["number"])
    finally:
        beside.unlink()


def test_a_page_that_is_older_than_its_run_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    write_report(a_reported_run(folder))
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b"{}\n")
    answer = verify(folder / "report.html")
    assert answer.facts["from_run"] == 0
    assert "has gone on since" in answer.notes[0]


def test_texts_full_of_tags_are_shown_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    page = report_page(a_reported_run(folder, evil=True))
    assert EVIL not in page
    assert "<img" not in without_scripts(page)
    assert page.count("</script>") == page.count("<script")
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in page
    assert verify(Path(write_report(Results.load(folder)))).facts["differ"] == 0


def failed(folder: Path) -> Results:
    return a_run(folder, {0: "failed", 1: "diverged"})


def single(folder: Path) -> Results:
    return a_run(folder, {0: right(900)})


def nothing_drawn(folder: Path) -> Results:
    write(folder / "journal.jsonl", [started()])
    return Results.load(folder)


def regression(folder: Path) -> Results:
    random = np.random.default_rng(0)
    return a_run(folder, {n: random.normal(0, 1 + n / 10, (1, 50, 1)).astype(np.float16) for n in range(9)})


def running(folder: Path) -> Results:
    write(folder / "journal.jsonl", [started(), *trial(0, 0.5, 0.75, 0.7), *trial(1, 0.5, 0.6, 0.65), drawn(2)])
    (folder / "run.json").write_text(json.dumps(a_manifest("running")))
    return Results.load(folder)


def stand_in(folder: Path) -> Results:
    return a_run(folder, {0: right(900), 1: right(800)}, dataset="digits", stand_in_for="mnist")


def optuna_table(folder: Path) -> Results:
    frame = pd.DataFrame(
        {
            "number": range(12),
            "value": np.linspace(0.5, 1, 12),
            "params_x": np.arange(12) / 12,
            "params_kind": ["a", None] * 6,
            "state": ["COMPLETE"] * 11 + ["FAIL"],
        }
    )
    frame.to_csv(folder / "optuna.csv", index=False)
    return Results.from_table(folder / "optuna.csv", mode="min")


def ray_table(folder: Path) -> Results:
    frame = pd.DataFrame(
        {
            "accuracy": np.linspace(0.5, 0.9, 10),
            "trial_id": list("abcdefghij"),
            "training_iteration": 5,
            "config/lr": np.logspace(-3, -1, 10),
            "config/layers": ["[1, 2]"] * 10,
        }
    )
    return Results.from_table(frame, metric="accuracy")


AWKWARD: tuple[tuple[Callable[[Path], Results], str], ...] = (
    (failed, "No trial succeeded: of 2 trials 1 diverged and 1 failed."),
    (single, "No other trial is there to compare it with."),
    (nothing_drawn, "No trial has been drawn yet"),
    (regression, "The best configuration is trial"),
    (running, "1 is under way"),
    (stand_in, "These data stand in for mnist, which couldn't be had"),
    (optuna_table, "a table of trials doesn't say it"),
    (ray_table, "This report was made from a data frame alone"),
)


@pytest.mark.parametrize(("make", "said"), AWKWARD, ids=[make.__name__ for make, _ in AWKWARD])
def test_awkward_results_have_a_report_that_can_be_verified(
    make: Callable[[Path], Results], said: str, tmp_path: Path
) -> None:
    results = make(tmp_path)
    file = tmp_path / "made.report.html"
    write_report(results, file)
    text = words(file.read_text(encoding="utf-8"))
    assert said in text
    assert not re.search(r"\b1 (trials|epochs|parameters|samples|times|seeds|others)\b", text)
    assert verify(file).facts["differ"] == 0


def test_a_live_page_ends_with_its_run_and_reloads_until_then(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    a_reported_run(folder, trials=10)
    states = iter(["running", "running", "finished"])
    seen: list[str] = []
    polled: set[str] = set()

    over = threading.Event()

    def poll() -> None:
        while not over.wait(0.002):
            with contextlib.suppress(FileNotFoundError):
                polled.add((folder / "report.html").read_text(encoding="utf-8")[-8:])

    reader = threading.Thread(target=poll)

    def load() -> Results:
        if (folder / "report.html").exists():
            seen.append((folder / "report.html").read_text(encoding="utf-8"))
        (folder / "run.json").write_text(json.dumps(a_manifest(next(states))))
        return Results.load(folder)

    reader.start()
    try:
        assert write_while_it_runs(load, None, pause=0) == str(folder / "report.html")
    finally:
        over.set()
        reader.join()
    assert polled == {"</html>\n"}
    assert len(seen) == 2
    assert all('http-equiv="refresh"' in page and page.endswith("</html>\n") for page in seen)
    assert 'http-equiv="refresh"' not in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-run"], "no run's folder no-such-run"),
        (["trials.html"], "with --verify its numbers are worked out again"),
        (["--verify", "trials.html"], "there is no such report"),
        (["--verify", "page.html"], "isn't a report of tune-mlp"),
        (["--verify", "page.html", "--data-dir", "."], "--data-dir: doesn't go with --verify"),
        (["table.csv", "--dataset", "a.b:c"], "--dataset: doesn't go with a table, which holds no net"),
        (["--verify", "page.html", "--live"], "--live: doesn't go with --verify"),
        (["--verify", "broken.html"], "its evidence can't be read"),
        (["table.csv", "--live", "--metric", "x"], "is a table, which doesn't go on"),
        (["table.csv", "--metric", "loss", "--params", "x", "--output", "none/page.html"], "there is no folder none"),
        (["table.csv", "--metric", "loss", "--params", "x", "--output", "folder"], "is a folder, give a file"),
        (["table.csv", "--to", "json"], "--to: goes with --verify alone"),
    ],
)
def test_bad_input_is_answered_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("<html><p>no report</p></html>")
    (tmp_path / "broken.html").write_text('<html><script id="evidence">eJw</script></html>')
    (tmp_path / "table.csv").write_text("x,loss\n1,2\n3,4\n")
    (tmp_path / "folder").mkdir()
    assert main(["report", *arguments]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    assert said in found.err


def test_the_word_writes_a_tables_report_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"x": range(9), "loss": np.linspace(1, 2, 9)}).to_csv("mine.csv", index=False)
    assert main(["report", "mine.csv", "--metric", "loss", "--params", "x"]) == 0
    assert capsys.readouterr().out == "wrote mine.report.html\n"
    assert main(["report", "--verify", "mine.csv", "--to", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["differ"] == 0


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b & c", title='"x"') == '<p title="&quot;x&quot;">a &lt; b &amp; c</p>'
    assert join(["<b>", Markup("<b>"), None, ["&"]]) == "&lt;b&gt;<b>&amp;"
    assert written("see `a < b` there") == "see <code>a &lt; b</code> there"
    assert written("one ` alone") == "one ` alone"


def test_a_packed_table_comes_back_as_it_was() -> None:
    table = pd.DataFrame(
        {
            "seed": [2**62 + 1, 3],
            "score": [0.1, float("inf")],
            "missing": [float("nan"), -float("inf")],
            "weights": pd.array([1, None], dtype="Int64"),
            "on": [True, False],
            "maybe": pd.array([True, None], dtype="boolean"),
            "text": ["é</script>", "b"],
            "list": [[1, "a"], None],
        }
    )
    back = unpack_table(unpack(pack(pack_table(table))))
    pd.testing.assert_frame_equal(back, table)


def test_rows_of_charts_are_packed_as_columns_with_six_digits() -> None:
    assert pack_rows([{"a": 1.23456789, "b": "x"}, {"a": 2.0, "b": "x"}]) == {
        "rows": 2,
        "columns": {"a": [1.23457, 2.0], "b": {"all": "x"}},
    }
    assert pack_rows([{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]
    with pytest.raises(ValueError, match="cut off"):
        unpack(pack([1, 2, 3])[:8])
