"""Every place keeps the same promises, whatever lies below it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests.s3 import SECRET, Bucket
from tune_mlp.console.board import Display
from tune_mlp.errors import RunError, StoreError, UsageError
from tune_mlp.results.storage import FolderStorage, ObjectStore, Storage, location, without_secrets
from tune_mlp.runs.store_lease import StoreLease
from tune_mlp.runs.store_sync import HandedOver, StoreSync


@pytest.fixture(params=["folder", "s3", "fsspec", "handed"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: Bucket) -> Storage:
    folder = FolderStorage(tmp_path)
    if request.param == "folder":
        return folder
    if request.param == "fsspec":
        return ObjectStore(f"fsspec+file://{tmp_path}/new/er")
    store = s3.store(f"places/{tmp_path.name}")
    if request.param == "s3":
        return store

    class Now(StoreSync):
        def remove_later(self, pattern: str) -> None:
            store.remove(pattern)

    store.write("below", b"on the store")
    assert HandedOver(folder, store, Now(tmp_path, store, StoreLease(store, tmp_path), Display().say)).read("below")
    store.remove("below")
    return HandedOver(folder, store, Now(tmp_path, store, StoreLease(store, tmp_path), Display().say))


def test_what_is_written_is_read_whole_and_may_be_replaced(place: Storage) -> None:
    assert place.read("a") is None
    for content in (b"first", b"", bytes(range(256)) * 40_000):  # beyond S3's 5 MiB a part
        place.write("a", content)
        assert place.read("a") == content
    place.write("b.csv.gz", memoryview(b"neither unpacked nor packed"))
    assert place.read("b.csv.gz") == b"neither unpacked nor packed"


def test_names_are_found_by_pattern_and_in_order(place: Storage) -> None:
    assert place.names("*") == []
    for name in ("steps-2-1.pt", "steps-1-2.pt", "steps-1-1.pt", "best-1.pt"):
        place.write(name, b"x")
    assert place.names("steps-1-*.pt") == ["steps-1-1.pt", "steps-1-2.pt"]
    assert place.names("*") == ["best-1.pt", "steps-1-1.pt", "steps-1-2.pt", "steps-2-1.pt"]


def test_what_is_removed_is_gone_and_what_is_not_there_is_no_fault(place: Storage) -> None:
    for name in ("steps-1-1.pt", "steps-1-2.pt", "best-1.pt", "best-2.pt"):
        place.write(name, b"x")
    place.remove("steps-1-*.pt")
    place.remove("steps-1-*.pt")
    place.remove("best-1.pt")
    place.remove("best-1.pt")
    assert place.names("*") == ["best-2.pt"]
    place.clear()
    assert place.names("*") == []
    place.write("again", b"x")
    assert place.names("*") == ["again"]


def test_the_places_of_workers_travel_to_them(s3: Bucket, tmp_path: Path) -> None:
    for place in (FolderStorage(tmp_path), s3.store("places/travels")):
        place.write("a", b"x")
        assert pickle.loads(pickle.dumps(place)).read("a") == b"x"


def test_a_folder_of_a_place_is_another(s3: Bucket) -> None:
    store = s3.store("places/within")
    assert not store.exists()
    store.within("one").write("a", b"x")
    assert store.exists()
    assert store.within("one").exists()
    assert not store.within("on").exists()
    assert store.names("*") == []
    assert store.within("one").name == "one"
    assert store.within("one").written_at("a") is not None


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://user:pw-42@no-such-bucket/runs?OPTIONS", "The specified bucket does not exist"),
        ("foo://user:pw-42@bucket/runs", "Unrecognized filesystem type in URI: foo://bucket/runs"),
        ("s3://user:pw-42@bucket/runs?secret=pw-42", "Unexpected query parameter"),
        ("fsspec+nothing://user:pw-42@bucket/runs", "nothing"),
    ],
)
def test_a_store_that_cannot_be_used_is_said_in_one_line_without_secrets(s3: Bucket, uri: str, said: str) -> None:
    store = ObjectStore(uri.replace("OPTIONS", s3.uri("").partition("?")[2]))
    with pytest.raises(StoreError, match="can't") as error:
        store.write("a", b"x")
    assert said in str(error.value)
    assert "pw-42" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_path_a_uri_and_a_file_uri_are_told_apart(tmp_path: Path) -> None:
    assert location("runs") == location(Path("runs")) == Path("runs")
    assert location(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    store = location("s3://bucket/runs")
    assert isinstance(store, ObjectStore)
    assert location(store) is store
    with pytest.raises(UsageError, match="two slashes"):
        location(Path("s3://bucket/runs"))
    with pytest.raises(UsageError, match="names elsewhere"):
        location("file://elsewhere/runs")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:pw@bucket/a/b?region=eu&secret_key=pw&scheme=http", "s3://bucket/a/b?region=eu&scheme=http"),
        ("--out=s3://key:p%2Fw@bucket/a?token=pw", "--out=s3://bucket/a"),
        ("abfs://container:pw@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("s3://key:p/w@bucket/a", "s3://bucket/a"),
        ("s3://key@bucket/a", "s3://bucket/a"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("abfs://:pw@container/a", "abfs://container/a"),
        ("s3://bucket/a?endpoint_override=127.0.0.1:9", "s3://bucket/a?endpoint_override=127.0.0.1:9"),
        ("lr=0.1 user@host:a", "lr=0.1 user@host:a"),
    ],
)
def test_no_secret_of_a_uri_is_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_a_folder_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(RunError, match="a can't be read"):
        FolderStorage(tmp_path).read("a")


def test_the_secret_of_these_tests_is_in_no_name_of_a_store(s3: Bucket) -> None:
    assert SECRET in s3.uri("runs")
    assert SECRET not in str(s3.store("runs"))
