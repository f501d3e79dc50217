"""Sources: every name has a loader, and a user's own function is never trusted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tune_mlp.data.sources import FILE_SOURCES, SOURCES, load_dataset
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError


def load(name, **given):
    return load_dataset(DataSettings(name=name, **given), allow_download=False)


@pytest.mark.parametrize("name", ["digits", "noisy_curve"])
def test_a_bundled_dataset_keeps_the_datasets_contract(name):
    data = load(name)
    assert data.name == name
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        assert x.dtype in (np.uint8, np.float32)
        assert x.ndim == 2
        assert len(x) == len(y)
        assert y.dtype == (np.int64 if data.task == "classification" else np.float32)
        assert not x.flags.writeable
        assert not y.flags.writeable
    assert data.outputs == (10 if name == "digits" else 1)
    assert load(name).fingerprint() == data.fingerprint()


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    theirs, ours = load_digits(), load("digits")
    np.testing.assert_array_equal(ours.x, np.rint(theirs.data * 255 / 16))
    np.testing.assert_array_equal(ours.y, theirs.target)
    assert ours.x.max() == 255
    assert ours.classes == tuple("0123456789")
    assert ours.shape == (8, 8)


def test_the_noisy_curve_is_learnt_from_noisy_points_and_tested_on_the_curve_itself():
    data = load("noisy_curve")
    assert data.x.shape == data.y.shape == data.x_test.shape == data.y_test.shape == (100, 1)
    assert -5 <= data.x.min() < -4.5
    assert 4.5 < data.x.max() <= 5
    assert 0.4 < np.std(data.y - np.sin(data.x) - 0.2 * data.x) < 0.6
    np.testing.assert_allclose(np.diff(data.x_test[:, 0]), 10 / 99, rtol=1e-4)
    np.testing.assert_allclose(data.y_test, np.sin(data.x_test) + 0.2 * data.x_test, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("mnst", "unknown dataset 'mnst' (did you mean 'mnist'?)"),
        ("iris.csv", "(did you mean 'csv:iris.csv'?)"),
        ("x.parquet", "(did you mean 'parquet:x.parquet'?)"),
        (
            "qqqq",
            "known: mnist, fashion_mnist, kmnist, digits, noisy_curve, csv:FILE, parquet:FILE, xlsx:FILE, package.module:function",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name, telling):
    with pytest.raises(DataError) as caught:
        load(name)
    assert telling in str(caught.value)


def test_the_settings_name_every_source():
    sentence = DataSettings.model_fields["name"].description
    assert sentence is not None
    for name in (*SOURCES, *(f"{kind}:FILE" for kind in FILE_SOURCES), "package.module:function"):
        assert name in sentence


def test_asking_for_data_loads_neither_torch_nor_pandas_nor_sklearn():
    code = (
        "import sys; from tune_mlp.data_settings import DataSettings; from tune_mlp.data.sources import load_dataset;"
        "load_dataset(DataSettings(name='digits'));"
        "print([m for m in ('torch', 'torchvision', 'pandas', 'sklearn', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return a function that writes a module with `body` to the working directory and returns the dataset's name."""
    monkeypatch.chdir(tmp_path)

    def write(body, name="make"):
        module = f"made_{abs(hash((tmp_path, body))):x}"
        (tmp_path / f"{module}.py").write_text(f"import numpy as np\n{body}\n")
        return f"{module}:{name}"

    before, path = set(sys.modules), list(sys.path)
    yield write
    assert sys.path == path
    for module in set(sys.modules) - before:
        if module.startswith("made_"):
            del sys.modules[module]


def test_a_functions_pictures_and_labels_become_a_dataset(written):
    data = load(written("def make(): return np.zeros((4, 3, 2), np.uint8), ['b', 'a', 'b', 'a']"))
    assert data.x.shape == (4, 6)
    assert data.x.dtype == np.uint8
    assert data.shape == (3, 2)
    assert data.classes == ("a", "b")
    assert data.y.tolist() == [1, 0, 1, 0]
    assert data.x_test.shape == (0, 6)


def test_a_functions_numbers_and_test_part_become_a_dataset(written):
    data = load(written("def make():\n  x = np.arange(8.).reshape(4, 2)\n  return x, x[:, 0], x[:2], x[:2, 0]"))
    assert data.task == "regression"
    assert data.x.dtype == data.y.dtype == np.float32
    assert data.y.shape == (4, 1)
    assert data.y_test.shape == (2, 1)


def test_integers_are_classes_by_number_unless_regression_is_asked_for(written):
    name = written("def make(): return np.eye(4), np.array([10, 9, 10, 2])")
    assert load(name).classes == ("2", "9", "10")
    assert load(name, task="regression").y.tolist() == [[10], [9], [10], [2]]


def test_torch_tensors_are_taken(written):
    data = load(written("import torch\ndef make(): return torch.eye(4), torch.tensor([0, 1, 0, 1])"))
    assert data.y.tolist() == [0, 1, 0, 1]


def test_a_functions_own_dataset_is_taken_as_it_is(written):
    data = load(
        written(
            "from tune_mlp.data.dataset import Dataset\n"
            "def make():\n"
            "  x = np.ones((3, 2), np.float32)\n"
            "  return Dataset('mine', 'regression', x, x, x[:0], x[:0])"
        )
    )
    assert data.name == "mine"


OURS = "from tune_mlp.data.dataset import Dataset\nx = np.ones((3, 2), np.float32)\ny = np.array([0, 1, 0])\n"


@pytest.mark.parametrize(
    ("body", "telling"),
    [
        ("def other(): pass", "has no 'make'"),
        ("def makes(): pass", "(did you mean 'makes'?)"),
        ("make = 3", "'make' must be a function, got int"),
        ("1/0", "importing made_"),
        ("import nosuchmodule", "No module named 'nosuchmodule'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def make(): raise KeyError('a\\nb')", "the function failed: KeyError"),
        ("def make(): raise SystemExit", "the function failed: SystemExit"),
        ("def make(wanted): pass", "missing 1 required positional argument"),
        ("def make(): return 3", "must return a Dataset, (x, y) or (x, y, x_test, y_test), got int"),
        ("def make(): return 1, 2, 3", "got 3 values"),
        ("def make(): return np.ones(4), np.ones(4)", "2 or more dimensions, samples first, got shape (4,)"),
        ("def make(): return np.ones((0, 4)), np.ones(0)", "must not be empty, got shape (0, 4)"),
        ("def make(): return np.array([['a']]), np.ones(1)", "inputs must be numbers, got dtype <U1"),
        ("def make(): return [[1], [1, 2]], [0, 1]", "can't be made into arrays"),
        ("def make(): return np.eye(4), np.arange(3)", "got 4 inputs, 3 targets"),
        ("def make(): return np.eye(4) * np.nan, np.arange(4)", "got NaN or infinity in sample 0"),
        ("def make(): return np.eye(4) * 1e39, np.arange(4)", "inputs must be finite"),
        ("def make(): return np.eye(2), np.array([1, np.inf])", "targets must be finite, got NaN or infinity in sample 1"),
        ("def make(): return np.eye(2), [None, 1]", "targets must be numbers or text, got dtype object"),
        ("def make(): return np.eye(2), [1, 1]", "2 classes at least, got ['1']"),
        ("def make(): return np.eye(2), np.eye(2, dtype=int)", "one value a sample, got shape (2, 2)"),
        ("def make(): return np.eye(2), 3", "targets need one value a sample, got shape ()"),
        ("def make(): return np.eye(2), np.ones((2, 0))", "one value a sample, got shape (2, 0)"),
        ("def make(): return np.eye(2), [0, 1], np.eye(3), [0, 1, 0]", "got 2 float32 to train on and 3 float32 to test on"),
        ("def make(): return np.eye(2), [0, 1], np.eye(2), [0, 7]", "has class '7', which the training part hasn't"),
        ("def make(): return np.eye(2), [0, 1], np.eye(2), ['0', '1']", "targets must be alike"),
        (OURS + "def make(): return Dataset('d', 'classification', x, y + 5, x[:0], y[:0], ('a', 'b'))", "must index the 2 classes, got 5 to 6"),
        (OURS + "def make(): return Dataset('d', 'guessing', x, y, x[:0], y[:0])", "task must be classification or regression"),
        (OURS + "def make(): return Dataset('d', 'regression', x, y, x[:0], y[:0])", "y must be float32 with 2 dimension"),
        (OURS + "def make(): return Dataset('d', 'regression', x.astype(float), x, x[:0], x[:0])", "x must be uint8 or float32"),
        (OURS + "def make(): return Dataset('d', 'regression', x * np.inf, x, x[:0], x[:0])", "got infinity"),
        (OURS + "def make(): return Dataset('d', 'regression', x, x * np.nan, x[:0], x[:0])", "y must be finite"),
        (OURS + "def make(): return Dataset('d', 'regression', x[:0], x[:0], x[:0], x[:0])", "must not be empty"),
    ],
)  # fmt: skip
def test_a_bad_function_is_refused_in_one_line(written, body, telling):
    name = written(body)
    with pytest.raises(DataError) as caught:
        load(name)
    assert telling in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no.such.module:make", "made:", ":make", "a b:c"])
def test_a_function_that_is_not_there_is_refused_in_one_line(name):
    with pytest.raises(DataError) as caught:
        load(name)
    assert name in str(caught.value)


def test_regression_on_text_is_refused(written):
    name = written("def make(): return np.eye(2), ['a', 'b']")
    with pytest.raises(DataError, match="regression needs numbers as targets, got text such as 'a'"):
        load(name, task="regression")
