"""An engine that was loaded has nothing left to load when a trial's first epoch begins; and what there is to load from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import problem
from tests.engines.test_compiled_engine import pictures
from tune_mlp.engines.choose import choose_engine, engine, load_engine, must_compile
from tune_mlp.engines.compiled import cache
from tune_mlp.engines.compiled.eval_order import _KEPT
from tune_mlp.errors import UsageError


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


FIRST_EPOCHS = """
import itertools
from dataclasses import replace
import numpy as np
from tests.builders import config, problem
from tests.engines.test_compiled_engine import pictures
from tune_mlp.config import OPTIMISER_NAMES
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.choose import load_engine

def shared(array):
    "The array as it comes from Ray's object store: it can't be written to, which is another type to numba."
    array = array.copy()
    array.setflags(write=False)
    return array

def as_in_a_worker(on, kind):
    dataset = replace(on.dataset, x=shared(on.dataset.x.astype(kind)), y=shared(on.dataset.y))
    folds = (replace(fold, train=shared(fold.train), validation=shared(fold.validation)) for fold in on.folds)
    return Problem(dataset, tuple(folds))

problems = [as_in_a_worker(pictures(), np.uint8), as_in_a_worker(pictures(), np.float32)]
problems.append(as_in_a_worker(problem("regression"), np.float32))
trials = [
    config(lr=0.001, loss="mse", widths=(5, 4)[:depth], batch_size=size, optimizer={"name": name}, **more)
    for name, size, depth in itertools.product(OPTIMISER_NAMES, (1, 4, 32), (0, 2))
    for more in ({}, {"dropout": 0.2, "batch_norm": True})
]

def train_first_epochs(engine):
    for on, trial in itertools.product(problems, trials):
        run = engine.start(trial, on, 0, 5)
        run.train_epoch(1)
        run.evaluate(on.dataset.x, on.dataset.y, on.folds[0].validation)
        run.evaluate(on.dataset.x, on.dataset.y)
"""


def test_first_epochs_compile_and_load_nothing_after_the_compiled_engine_was_loaded() -> None:
    code = """
from numba.core import event
from tune_mlp.engines.compiled import batch_of_one, kernels, losses

KERNELS = (kernels.run_batches, batch_of_one.train_batches_of_one, losses.largest_outputs)

def loads():
    return [sum(kernel.stats.cache_hits.values()) + sum(kernel.stats.cache_misses.values()) for kernel in KERNELS]

engine = load_engine("compiled", problems[0])
print(loads(), [len(kernel.signatures) for kernel in KERNELS])
with event.install_recorder("numba:compile") as compilations:
    train_first_epochs(engine)
print(loads(), [len(kernel.signatures) for kernel in KERNELS], len(compilations.buffer))
"""
    done = python(FIRST_EPOCHS + code)
    assert done.stdout.splitlines() == ["[1, 1, 1] [1, 1, 1]", "[1, 1, 1] [1, 1, 1] 0"], done.stderr


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_first_epochs_import_nothing_after_an_engine_was_loaded(name: str) -> None:
    code = f"""
import sys
engine = load_engine("{name}")
before = set(sys.modules)
train_first_epochs(engine)
print(sorted(set(sys.modules) - before))
"""
    done = python(FIRST_EPOCHS + code)
    assert done.stdout.splitlines() == ["[]"], done.stderr


def test_loading_orders_the_validation_pictures_of_every_fold() -> None:
    on = pictures()
    load_engine("compiled", on)
    assert all(id(fold.validation) in _KEPT for fold in on.folds)
    table = problem()
    load_engine("compiled", table)
    assert not any(id(fold.validation) in _KEPT for fold in table.folds)


def test_kernels_must_be_compiled_until_they_were_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.cache_folder.cache_clear()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    try:
        assert must_compile("compiled")
        assert not must_compile("eager")
        load_engine("compiled")  # from the folder that numba was given when the kernels were imported
        assert not must_compile("compiled")
    finally:
        monkeypatch.undo()
        cache.cache_folder.cache_clear()


def test_a_disabled_compiler_makes_auto_eager_with_a_reason_and_compiled_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert choose_engine("auto") == ("eager", "NUMBA_DISABLE_JIT switches the compiled one off")
    assert choose_engine("eager") == ("eager", "asked for")
    refusal = (
        "engine: compiled needs numba's compiler, and NUMBA_DISABLE_JIT is set, which switches it off; "
        "unset it, or use auto or eager"
    )
    for refused in (lambda: choose_engine("compiled"), lambda: engine("compiled"), lambda: load_engine("compiled")):
        with pytest.raises(UsageError) as error:
            refused()
        assert str(error.value) == refusal


@pytest.mark.parametrize(("value", "disabled"), [("0", False), ("", False), ("no", False), ("1", True), ("2", True)])
def test_the_compiler_is_disabled_as_numba_reads_it(
    value: str, disabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
    assert cache.jit_is_disabled() is disabled
    code = "import warnings; warnings.simplefilter('ignore'); import numba; print(bool(numba.config.DISABLE_JIT))"
    assert python(code, NUMBA_DISABLE_JIT=value).stdout.strip() == str(disabled)


def test_a_system_without_user_numbers_keeps_its_kernels_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no user numbers."""
    monkeypatch.delattr(os, "getuid")
    for variable in ("NUMBA_CACHE_DIR", "TMPDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    cache.cache_folder.cache_clear()
    try:
        assert cache.cache_folder().parent == tmp_path / "NUMBA_CACHE_DIR"
    finally:
        monkeypatch.undo()
        cache.cache_folder.cache_clear()


def test_kernels_in_a_folder_of_somebody_elses_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache.cache_folder.cache_clear()
    try:
        ours = cache.cache_folder()
        assert ours.parent == tmp_path
        cache.cache_folder.cache_clear()
        monkeypatch.setattr(os, "getuid", lambda: ours.stat().st_uid + 1)
        assert tmp_path not in cache.cache_folder().parents
    finally:
        monkeypatch.undo()
        cache.cache_folder.cache_clear()
