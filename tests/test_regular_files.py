"""Regular files are opened, and nothing else: no pipe hangs, no device is read, no size is unlimited."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tune_mlp.regular_files import in_bytes, open_regular, read_regular


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # the whole path may be too long for a socket


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_regular(tmp_path / "file", 7) == b"content"
    with open_regular(str(tmp_path / "file"), 7) as file:
        assert file.read(3) == b"con"


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 7) == b"content"


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 2001)
    with pytest.raises(OSError, match="larger than 2 kB"):
        read_regular(tmp_path / "file", 2000)


def test_a_file_that_says_it_is_empty_is_held_to_the_limit_as_well() -> None:
    """Files in /proc have a size of 0."""
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular("/proc/self/status", 10)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "a pipe, where a regular file is needed"),
        (os.mkdir, "Is a directory"),
        (a_socket, "a socket, where a regular file is needed"),
        (lambda path: path.symlink_to("/dev/zero"), "a device, where a regular file is needed"),
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    ],
    ids=["pipe", "folder", "socket", "device", "broken_link", "circular_link"],
)
@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "odd")
    with pytest.raises(OSError, match=said) as caught:
        read_regular(tmp_path / "odd", 100)
    assert said in str(caught.value.strerror)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_an_os_error_like_any_other(name: str) -> None:
    with pytest.raises(OSError, match="not a file's name"):
        read_regular(name, 100)


@pytest.mark.timeout(10)
def test_a_pipe_that_takes_the_files_place_before_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    seen = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *arguments, **others: seen)
    with pytest.raises(OSError, match="a pipe"):
        open_regular(path, 100)


def test_sizes_are_said_in_the_largest_unit_that_needs_no_fraction() -> None:
    assert [in_bytes(number) for number in (200_000, 3_000_000, 2_000_000_000, 1500, 12)] == [
        "200 kB",
        "3 MB",
        "2 GB",
        "1500 bytes",
        "12 bytes",
    ]
