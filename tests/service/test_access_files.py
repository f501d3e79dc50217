"""The files of tokens: made private, refused where others may read them, and holding no token of a user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_mlp.errors import TuneMlpError, UsageError
from tune_mlp.service.access import ADMIN, LOCAL, add_user, load_access, remove_user


def test_a_token_file_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    access = load_access(path, tmp_path / "users")
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    assert len(token) >= 43
    assert access.needs_token
    assert access.user_of(token) == ADMIN
    assert [access.user_of(wrong) for wrong in (None, "", token[:-1], f"{token}x", token.upper())] == [None] * 5
    assert load_access(path, tmp_path / "users").user_of(token) == ADMIN


def test_without_files_the_user_is_the_local_admin(tmp_path: Path) -> None:
    access = load_access(None, tmp_path / "users")
    assert not access.needs_token
    assert access.user_of(None) == LOCAL
    assert LOCAL.admin


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o606])
def test_a_file_that_others_may_read_or_change_is_refused_in_one_line(tmp_path: Path, mode: int) -> None:
    token, users = tmp_path / "token", tmp_path / "users"
    load_access(token, users)
    add_user(users, "ada", admin=False)
    for path in (token, users):
        path.chmod(mode)
        with pytest.raises(UsageError, match="chmod 600") as error:
            load_access(token, users)
        assert "\n" not in str(error.value)
        path.chmod(0o600)


def test_a_user_s_token_is_kept_only_as_a_hash(tmp_path: Path) -> None:
    users = tmp_path / "own" / "users"
    ada, bob = add_user(users, "ada", admin=False), add_user(users, "bob", admin=True)
    assert users.stat().st_mode & 0o777 == 0o600
    assert ada not in users.read_text()
    access = load_access(None, users)
    found = [access.user_of(token) for token in (ada, bob)]
    assert [(user.name, user.admin) for user in found if user] == [("ada", False), ("bob", True)]
    remove_user(users, "ada")
    access = load_access(None, users)
    assert access.user_of(ada) is None
    assert access.user_of(bob) is not None


@pytest.mark.parametrize("name", ["", "a b", "a:b", "../a", "-a", "a\n", "local", "admin", "a" * 65, "ä"])
def test_a_user_s_name_is_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        add_user(tmp_path / "users", name, admin=False)
    assert not (tmp_path / "users").exists()


def test_a_user_is_added_once_and_only_a_known_one_is_removed(tmp_path: Path) -> None:
    users = tmp_path / "users"
    add_user(users, "ada", admin=False)
    before = users.read_text()
    with pytest.raises(UsageError, match="already"):
        add_user(users, "ada", admin=True)
    with pytest.raises(UsageError, match="no such user"):
        remove_user(users, "bob")
    assert users.read_text() == before


@pytest.mark.parametrize("text", ["", "short\n", "a" * 30 + "\n" + "b" * 30, "a a" * 10, "ä" * 30])
def test_a_token_file_must_hold_one_token(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="one token"):
        load_access(path, tmp_path / "users")


@pytest.mark.parametrize(
    "line", ["ada", "ada:root:" + "0" * 64, "ada:user:0", "a b:user:" + "0" * 64, "ada:user:" + "G" * 64]
)
def test_a_damaged_file_of_users_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    users = tmp_path / "users"
    add_user(users, "bob", admin=False)
    users.write_text(users.read_text() + line + "\n")
    with pytest.raises(TuneMlpError, match="users:2"):
        load_access(None, users)


def test_a_token_file_that_can_t_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be made"):
        load_access(tmp_path / "absent" / "token", tmp_path / "users")
    (tmp_path / "pipe").mkdir(mode=0o700)
    with pytest.raises(UsageError, match="can't be read"):
        load_access(tmp_path / "pipe", tmp_path / "users")
