"""Bad command lines: each ends with status 2 and one line, before Ray starts, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tune_mlp import cli, search

TABLE = "a,b\n1,x\n2,y\n"


@pytest.fixture(scope="module", autouse=True)
def _ray_is_imported() -> None:
    """Import Ray before the tests: a warning of Ray's in a search's thread would leave Ray half imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray.tune  # noqa: F401


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty working directory, no cache, no internet, and a Ray that mustn't be started."""
    import tune_mlp.data.mnist
    import tune_mlp.tuning.preparation

    @contextlib.contextmanager
    def no_ray(*arguments: object) -> Iterator[None]:
        raise AssertionError("Ray was started")
        yield

    cwd, home = tmp_path / "cwd", tmp_path / "home"
    cwd.mkdir()
    home.mkdir()
    monkeypatch.chdir(cwd)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.delenv("TUNE_MLP_DATA", raising=False)
    monkeypatch.delenv("TUNE_MLP_DEBUG", raising=False)
    monkeypatch.setattr(tune_mlp.data.mnist, "download", lambda *arguments: "no internet")
    monkeypatch.setattr(tune_mlp.tuning.preparation, "connected", no_ray)
    (cwd / "file").write_text("")
    (cwd / "table.csv").write_text(TABLE)
    (cwd / "taken").mkdir()
    os.mkfifo(cwd / "pipe")
    return cwd


def ended(words: list[str], main: object = search.main) -> int:
    """Return the exit status of a command, whether it returned or exited."""
    try:
        return main(words)  # type: ignore[operator, no-any-return]
    except SystemExit as exit_:
        return int(exit_.code or 0)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


SEARCH: list[tuple[str, str]] = [
    ("", "--space"),
    ("--space", "expected one argument"),
    ("--space digits_quik", "no shipped space is named 'digits_quik' (did you mean 'digits_quick'?)"),
    ("--space absent.yaml", "absent.yaml: can't read the study file: No such file or directory"),
    ("--space .", "no shipped space is named '.'"),
    ("--space ./taken", "taken: can't read the study file: Is a directory"),
    ("--space ./pipe", "pipe: can't read the study file: a pipe, where a regular file is needed"),
    ("--space /dev/zero", "/dev/zero: can't read the study file: a device, where a regular file is needed"),
    ("--space digits_quick --dataset csv:pipe", "pipe: can't be read: a pipe, where a regular file is needed"),
    ("--space digits_quick --dataset parquet:/dev/zero", "/dev/zero: can't be read: a device, where a regular file"),
    ("--space digits_quick --trails 3", "unrecognized arguments: --trails 3"),
    ("--space digits_quick extra", "unrecognized arguments: extra"),
    ("--space digits_quick --trials 0", "--trials 0: must be greater than or equal to 1, got 0"),
    ("--space digits_quick --trials -1", "--trials -1: must be greater than or equal to 1, got -1"),
    ("--space digits_quick --trials x", "--trials: invalid int value: 'x'"),
    ("--space digits_quick --trials 1.5", "--trials: invalid int value: '1.5'"),
    ("--space digits_quick --epochs 0", "--epochs 0: must be greater than or equal to 1, got 0"),
    ("--space digits_quick --epochs", "--epochs: expected one argument"),
    ("--space digits_quick --scheduler ashaa", "unknown name 'ashaa' (did you mean 'asha'?)"),
    ("--space digits_quick --searcher gird", "unknown name 'gird' (did you mean 'grid'?)"),
    ("--space digits_quick --searcher grid", "a grid search needs values that it can count"),
    ("--space digits_quick --metric accuracy", "--metric accuracy: unknown name 'accuracy' (did you mean"),
    ("--space digits_quick --metric val_rmse", "--metric val_rmse: classification data has val_loss"),
    ("--space noisy_curve --metric val_accuracy", "regression data has val_loss, val_rmse, val_r2"),
    ("--space digits_quick --mode up", "--mode up: unknown name 'up' (known: min, max)"),
    ("--space digits_quick --cpus 0", "--cpus 0.0: must be greater than 0, got 0.0"),
    ("--space digits_quick --cpus -1", "--cpus -1.0: must be greater than 0, got -1.0"),
    ("--space digits_quick --cpus nan", "--cpus nan: must be a finite number, got nan"),
    ("--space digits_quick --cpus inf", "--cpus inf: must be a finite number, got inf"),
    ("--space digits_quick --cpus many", "--cpus: invalid float value: 'many'"),
    ("--space digits_quick --gpus 1.5", "--gpus 1.5: must be a fraction below 1 or a whole number"),
    ("--space digits_quick --gpus -1", "--gpus -1.0: must be greater than or equal to 0"),
    ("--space digits_quick --gpus nan", "--gpus nan: must be a finite number"),
    ("--space digits_quick --concurrent 0", "--concurrent 0: must be greater than or equal to 1"),
    ("--space digits_quick --engine eagre", "--engine eagre: unknown name 'eagre' (did you mean 'eager'?)"),
    ("--space digits_quick --engine compiled --gpus 0.5", "compiled trains on a CPU, and resources ask for a GPU"),
    ("--space digits_quick --seed -1", "--seed -1: must be greater than or equal to 0"),
    ("--space digits_quick --seed 9223372036854775808", "--seed 9223372036854775808: must be less than"),
    ("--space digits_quick --time-budget soon", "--time-budget soon: must be a time like 90s, 10m or"),
    ("--space digits_quick --time-budget 0s", "--time-budget 0s: must be greater than 0"),
    ("--space digits_quick --set lr", "--set lr: write it as PATH=VALUE, for instance lr=0.01"),
    ("--space digits_quick --set =1", "--set =1: write it as PATH=VALUE"),
    ("--space digits_quick --set a..b=1", "write it as PATH=VALUE"),
    ("--space digits_quick --set lrr=1", "--set lrr=1: unknown name 'lrr' (did you mean 'lr'?)"),
    ("--space digits_quick --set epoch=1", "--set epoch=1: unknown name 'epoch' (did you mean 'epochs'?)"),
    ("--space digits_quick --set momentum=0.9", "'momentum' belongs inside optimizer"),
    ("--space digits_quick --set lr=fast", "--set lr=fast: must be a number, got 'fast'"),
    ("--space digits_quick --set lr=", "--set lr=: must be a value"),
    ("--space digits_quick --set lr=[0.1", "--set lr=[0.1: not valid YAML"),
    ("--space digits_quick --set lr=&a", "anchors and aliases"),
    ("--space digits_quick --set lr=1\nx:", "write one value"),
    ("--space digits_quick --set data.normalise=unit", "did you mean 'normalize'?"),
    ("--space digits_quick --set optimizer.rmsprop.alpha=0.9", "'rmsprop' is no option of space.optimizer"),
    (
        "--space digits_quick --set data.validation.folds=1",
        "--set data.validation.folds=1: must be greater than or equal to 2",
    ),
    ("--space digits_quick --set data.validation=0.9999", "validation"),
    ("--space digits_quick --name ../x", "--name '../x': a run's name is 1 to 64 letters"),
    ("--space digits_quick --name .x", "a run's name is 1 to 64 letters"),
    ("--space digits_quick --out . --name taken", "taken exists already; choose another --name"),
    ("--space digits_quick --out file", "--out file: is a file, give a folder"),
    ("--space digits_quick --out file/runs", "--out file/runs: file is a file, not a folder"),
    ("--space digits_quick --csv absent/t.csv", "--csv absent/t.csv: there is no folder absent"),
    ("--space digits_quick --csv taken", "--csv taken: is a folder, give a file"),
    ("--space digits_quick --dataset digts", "'digts'"),
    ("--space mnist_asha --dataset mnist", "dataset mnist not found: give --data-dir DIR or $TUNE_MLP_DATA"),
    ("--space mnist_asha --dataset fashion_mnist --data-dir taken", "dataset fashion_mnist not found"),
    ("--space digits_quick --dataset csv:absent.csv", "absent.csv"),
    ("--space digits_quick --dataset csv:table.csv", "target"),
    ("--space digits_quick --dataset csv:table.csv --set data.target=c", "c"),
    ("--space digits_quick --dataset absent.module:function", "absent"),
]

WORDS: list[tuple[str, str]] = [
    ("", "WORD"),
    ("serach", "invalid choice: 'serach'"),
    ("serch --space digits_quick", "search"),
    ("spaces digits_quik", "no shipped space is named 'digits_quik' (did you mean 'digits_quick'?)"),
    ("spaces a b", "unrecognized arguments: b"),
    ("export", "RUN, --to"),
    ("export taken", "--to"),
    ("export taken --to xls", "invalid choice: 'xls'"),
    ("export absent --to csv", "no run's folder absent"),
    ("export taken --to csv", "journal"),
    ("export taken --to csv --what rows", "invalid choice: 'rows'"),
    ("schema extra", "unrecognized arguments: extra"),
    ("plan", "--space"),
    ("plan --space digits_quik", "no shipped space is named 'digits_quik' (did you mean 'digits_quick'?)"),
    ("plan --space digits_quick --trials 0", "--trials 0: must be greater than or equal to 1, got 0"),
    ("plan --space digits_quick --csv t.csv", "unrecognized arguments: --csv t.csv"),
    ("plan --space noisy_curve --metric val_accuracy", "regression data has val_loss, val_rmse, val_r2"),
    ("plan --space mnist_asha --dataset mnist", "dataset mnist not found: give --data-dir DIR or $TUNE_MLP_DATA"),
]


def check(words: str, said: str, main: object, nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(nowhere.parent)
    assert ended(words.split(" ") if words else [], main) == 2
    out, err = capsys.readouterr()
    assert all(line.startswith("downloading ") for line in out.splitlines())
    assert err.splitlines() == [err.removesuffix("\n")]
    assert said in err
    assert "Traceback" not in err
    assert "unexpected" not in err
    assert files(nowhere.parent) == before


@pytest.mark.parametrize(("words", "said"), SEARCH)
def test_a_bad_search_is_refused_in_one_line(
    words: str, said: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(words, said, search.main, nowhere, capsys)


@pytest.mark.parametrize(("words", "said"), WORDS)
def test_a_bad_word_is_refused_in_one_line(
    words: str, said: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(words, said, cli.main, nowhere, capsys)


def test_there_are_enough_of_them() -> None:
    assert len(SEARCH) + len(WORDS) >= 20


def test_a_bad_study_file_is_named_with_its_line(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "mine.yaml").write_text("data: {name: digits}\nspace:\n  lr: {log: [0.1, 0.01]}\n")
    check("--space mine.yaml", "mine.yaml:3 space.lr: low must be below high", search.main, nowhere, capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tune_mlp.search --space digits_quik", "did you mean 'digits_quick'?"),
        ("tune_mlp.search --space digits_quick --trials 0", "--trials 0: must be greater than or equal to 1"),
        ("tune_mlp.search --space digits_quick --csv absent/t.csv", "there is no folder absent"),
        ("tune_mlp spaces digits_quik", "did you mean 'digits_quick'?"),
    ],
)
def test_a_process_ends_as_main_does(words: str, said: str, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[1]
    ran = subprocess.run(
        [sys.executable, "-m", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert said in ran.stderr
    assert list(tmp_path.iterdir()) == []
