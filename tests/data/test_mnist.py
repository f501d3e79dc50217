"""MNIST and its kin: found in any usual layout, checked before use, downloaded whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from tune_mlp.data import mnist
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.torchvision_cpu import mnist_module
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError

REAL = os.environ.get("TUNE_MLP_DATA", "")
RNG = np.random.default_rng(0)
PICTURES = {
    "train": RNG.integers(0, 256, (30, 28, 28), dtype=np.uint8),
    "t10k": RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8),
}
LABELS = {"train": np.arange(30, dtype=np.uint8) % 10, "t10k": np.arange(10, dtype=np.uint8)}


def idx_files():
    """Return the four files of a small dataset, by name."""
    files = {}
    for part in ("train", "t10k"):
        pictures, labels = PICTURES[part], LABELS[part]
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4i", 2051, *pictures.shape) + pictures.tobytes()
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">2i", 2049, len(labels)) + labels.tobytes()
    return files


def put(folder, files, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(
            gzip.compress(content, mtime=0) if zipped else content
        )


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Hide all data outside of the test's folder, and all mirrors."""
    monkeypatch.delenv("TUNE_MLP_DATA", raising=False)
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    for name in mnist.FOLDERS.values():
        monkeypatch.setattr(getattr(mnist_module(), name), "mirrors", [])


def load(name="fashion_mnist", data_dir=None, allow_download=False, said=None, **given):
    lines = [] if said is None else said
    return load_dataset(
        DataSettings(name=name, **given), data_dir=data_dir, allow_download=allow_download, say=lines.append
    )


def check_small(data):
    np.testing.assert_array_equal(data.x, PICTURES["train"].reshape(30, 784))
    np.testing.assert_array_equal(data.y, LABELS["train"])
    np.testing.assert_array_equal(data.x_test, PICTURES["t10k"].reshape(10, 784))
    np.testing.assert_array_equal(data.y_test, LABELS["t10k"])
    assert (data.x.dtype, data.y.dtype) == (np.uint8, np.int64)
    assert data.shape == (28, 28)
    assert not data.x.flags.writeable
    assert len(data.classes) == 10


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("layout", ["FashionMNIST/raw", "raw", "."])
def test_every_usual_layout_is_found(tmp_path, layout, zipped):
    put(tmp_path / "data" / layout, idx_files(), zipped)
    check_small(load(data_dir=tmp_path / "data"))


def test_the_data_dir_comes_before_the_variable_and_that_before_the_cache(tmp_path, monkeypatch):
    places = [tmp_path / "given", tmp_path / "variable", tmp_path / "cache"]
    monkeypatch.setenv("TUNE_MLP_DATA", str(places[1]))
    for mark, place in enumerate(places):
        files = idx_files()
        files["train-labels-idx1-ubyte"] = files["train-labels-idx1-ubyte"][:-1] + bytes([mark])
        put(place / "KMNIST" / "raw", files)
    for mark, place in enumerate(places):
        assert load("kmnist", data_dir=places[0]).y[-1] == mark
        (place / "KMNIST").rename(place / "gone")


def test_a_plain_file_is_preferred_to_its_archive(tmp_path):
    put(tmp_path, idx_files())
    put(tmp_path, dict.fromkeys(idx_files(), b"rubbish"), zipped=True)
    check_small(load(data_dir=tmp_path))


def test_a_place_without_the_files_is_passed_over(tmp_path):
    put(tmp_path / "cache" / "FashionMNIST" / "raw", idx_files())
    files = idx_files()
    del files["t10k-labels-idx1-ubyte"]
    put(tmp_path / "partial", files)
    check_small(load(data_dir=tmp_path / "nowhere"))
    check_small(load(data_dir=tmp_path / "partial"))


def test_mnist_in_a_flat_folder_never_passes_for_fashion_mnist(tmp_path, monkeypatch):
    files = idx_files()
    put(tmp_path, files)
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(mnist, "MNIST_MD5", sums)
    check_small(load("mnist", data_dir=tmp_path))
    with pytest.raises(DataError, match="dataset fashion_mnist not found"):
        load("fashion_mnist", data_dir=tmp_path)


def changed(name, content):
    return {**idx_files(), name: content}


TRAIN, LABEL = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("file", "content", "telling"),
    [
        (TRAIN, idx_files()[TRAIN][:-5], "damaged: expected 23536 bytes for 30 images, got 23531"),
        (TRAIN, idx_files()[LABEL], "not a file of images: expected it to begin with 2051, got 2049"),
        (LABEL, idx_files()[TRAIN], "not a file of labels: expected it to begin with 2049, got 2051"),
        (LABEL, b"", "not a file of labels: expected it to begin with 2049, got 0 bytes"),
        (LABEL, struct.pack(">2i", 2049, 0), "damaged: expected 8 bytes for 0 labels, got 8"),
        (TRAIN, struct.pack(">4i", 2051, 30, 14, 14) + bytes(30 * 196), "expected pictures of 28x28, got 14x14"),
        (LABEL, struct.pack(">2i", 2049, 20) + bytes(20), "expected 30 labels from 0 to 9, got 20"),
        (LABEL, struct.pack(">2i", 2049, 30) + bytes([11] * 30), "got 30 with a highest of 11"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, file, content, telling):
    put(tmp_path, changed(file, content))
    with pytest.raises(DataError) as caught:
        load(data_dir=tmp_path)
    assert telling in str(caught.value)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_that_unpacks_without_end_is_read_no_further_than_it_could_be_right(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "MAX_BYTES", 40_000)
    put(tmp_path, idx_files(), zipped=True)
    (tmp_path / f"{TRAIN}.gz").write_bytes(gzip.compress(idx_files()[TRAIN] + bytes(10_000_000)))
    with pytest.raises(DataError, match=rf"{TRAIN}.gz: damaged: .*, got 40000"):
        load(data_dir=tmp_path)


@pytest.mark.parametrize("between", [b"", bytes(7)])
def test_an_archive_of_several_parts_is_read_as_the_gzip_module_does(tmp_path, between):
    whole = idx_files()[TRAIN]
    archive = gzip.compress(whole[:1000]) + between + gzip.compress(whole[1000:]) + between
    (tmp_path / "parts.gz").write_bytes(archive)
    assert mnist._bytes(tmp_path / "parts.gz") == gzip.decompress(archive) == whole


@pytest.mark.parametrize("content", [gzip.compress(idx_files()[TRAIN])[:-300], b"no gzip at all", b""])
def test_a_damaged_archive_is_refused_in_one_line(tmp_path, content):
    put(tmp_path, idx_files(), zipped=True)
    (tmp_path / f"{TRAIN}.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(data_dir=tmp_path)
    assert f"{TRAIN}.gz: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mnist_with_a_wrong_checksum_is_refused_with_both_sums(tmp_path):
    put(tmp_path / "MNIST" / "raw", idx_files())
    got = hashlib.md5(idx_files()[TRAIN]).hexdigest()
    with pytest.raises(
        DataError, match=rf"{TRAIN}: damaged: expected MD5 6bbc9ace898e44ae57da46a324031adb .*got {got}"
    ):
        load("mnist", data_dir=tmp_path)


@pytest.mark.skipif(not Path(REAL or "/nowhere").is_dir(), reason="$TUNE_MLP_DATA names no folder")
def test_the_real_mnist_loads_with_all_its_samples(monkeypatch):
    data = load("mnist", data_dir=Path(REAL))
    assert data.x.shape == (60000, 784)
    assert data.x_test.shape == (10000, 784)
    assert np.bincount(data.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.classes == tuple("0123456789")
    assert data.stand_in_for == ""


@contextlib.contextmanager
def served(files):
    """Serve `files`, by path, from a web server on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content, length = files.get(self.path, (None, 0))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def archives():
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in idx_files().items()}


@pytest.fixture
def published(monkeypatch):
    """Replace torchvision's checksums by those of our small archives; return a function that sets the mirrors."""
    source = mnist_module().FashionMNIST
    sums = {name: hashlib.md5(content).hexdigest() for name, content in archives().items()}
    monkeypatch.setattr(source, "resources", [(name, sums[name]) for name, _ in source.resources])
    return lambda *mirrors: monkeypatch.setattr(source, "mirrors", list(mirrors))


@pytest.mark.parametrize("name", mnist.FOLDERS)
def test_classes_are_torchvisions(name):
    its = getattr(mnist_module(), mnist.FOLDERS[name]).classes
    assert mnist.CLASSES[name] == tuple(label.split(" - ")[0] for label in its)


def test_pictures_and_labels_are_those_that_torchvision_reads(tmp_path):
    put(tmp_path, idx_files())
    ours, module = load(data_dir=tmp_path), mnist_module()
    for kind, found in (("train", (ours.x, ours.y)), ("t10k", (ours.x_test, ours.y_test))):
        pictures = module.read_image_file(str(tmp_path / f"{kind}-images-idx3-ubyte")).numpy()
        assert (found[0].reshape(pictures.shape) == pictures).all()
        assert (found[1] == module.read_label_file(str(tmp_path / f"{kind}-labels-idx1-ubyte")).numpy()).all()


def test_a_download_lands_in_the_cache_and_is_made_once(tmp_path, published):
    said = []
    with served({f"/{name}": (content, len(content)) for name, content in archives().items()}) as mirror:
        published(mirror)
        check_small(load(allow_download=True, said=said))
    check_small(load(allow_download=True, said=said))  # the server is gone
    assert said == [f"downloading fashion_mnist to {tmp_path / 'cache' / 'FashionMNIST' / 'raw'}"]
    assert sorted(path.name for path in (tmp_path / "cache" / "FashionMNIST" / "raw").iterdir()) == sorted(archives())


def test_the_next_mirror_is_tried_when_one_fails(published):
    good = {f"/good/{name}": (content, len(content)) for name, content in archives().items()}
    with served(good) as mirror:
        published(f"{mirror}bad/", f"{mirror}good/")
        check_small(load(allow_download=True))


@pytest.mark.parametrize(
    ("serve", "telling"),
    [
        (lambda content: (content[:-10], len(content)), "cut off after"),
        (lambda content: (content[:-10], len(content) - 10), "wrong MD5: expected"),
        (lambda content: (None, 0), "404"),
    ],
)
def test_a_bad_download_leaves_nothing_behind_and_says_why(tmp_path, published, serve, telling):
    with served({f"/{name}": serve(content) for name, content in archives().items()}) as mirror:
        published(mirror)
        with pytest.raises(DataError, match=telling) as caught:
            load(allow_download=True)
    message = str(caught.value)
    for way in ("--data-dir DIR", "$TUNE_MLP_DATA", str(tmp_path / "cache"), "once with internet", "--dataset digits"):
        assert way in message
    assert "\n" not in message
    assert list((tmp_path / "cache" / "FashionMNIST" / "raw").iterdir()) == []


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_without_internet_the_stand_in_comes_in_28_by_28(published):
    published(closed_port(), closed_port())
    data = load(allow_download=True, offline="digits")
    assert data.name == "digits"
    assert data.stand_in_for == "fashion_mnist"
    assert data.shape == (28, 28)
    assert data.x.shape == (1797, 784)
    assert data.x.dtype == np.uint8
    small = load("digits")
    corner = data.x.reshape(-1, 28, 28)[:, 0, 0]
    np.testing.assert_array_equal(corner, small.x[:, 0])
    assert abs(data.x.mean() / small.x.mean() - 1) < 0.05
    assert data.x.max() <= 255


def test_without_internet_and_stand_in_the_ways_out_are_named(published):
    published(closed_port())
    with pytest.raises(DataError, match=r"dataset fashion_mnist not found: give --data-dir DIR .*refused"):
        load(allow_download=True)


def test_nothing_is_downloaded_where_it_is_not_allowed(published):
    with served({}) as mirror:
        published(mirror)
        with pytest.raises(DataError) as caught:
            load(allow_download=False)
    assert "download failed" not in str(caught.value)


def test_a_stand_in_that_is_absent_itself_is_refused():
    with pytest.raises(DataError, match="dataset fashion_mnist not found"):
        load(offline="kmnist")


def test_a_misspelt_stand_in_is_refused_before_it_is_needed(tmp_path):
    put(tmp_path, idx_files())
    with pytest.raises(DataError, match=r"data\.offline: unknown dataset 'digit' \(did you mean 'digits'\?\)"):
        load(data_dir=tmp_path, offline="digit")


def test_a_cache_that_cannot_be_written_is_said(tmp_path, published):
    (tmp_path / "cache").write_text("a file where a folder should be")
    published(closed_port())
    with pytest.raises(DataError, match="can't be written"):
        load(allow_download=True)
