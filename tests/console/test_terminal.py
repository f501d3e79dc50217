"""The standard output that commands print on, and how they end."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tune_mlp.command_line import command_line, option
from tune_mlp.console.terminal import guarded, make_console

SAY_TWICE = (
    "from tune_mlp.console.terminal import guarded, leave, make_console; "
    "leave(guarded(lambda: [make_console().print('x' * 100) for _ in range(2000)]))"
)
PRINT_MUCH = (
    "from tune_mlp.console.terminal import guarded, leave; leave(guarded(lambda: print('x' * 100_000, flush=True)))"
)


def shell(code: str, how: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a shell, with its output sent somewhere."""
    words = ["bash", "-c", f'"$0" -c "$1" {how}', sys.executable, code]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("how", [">&-", ">/dev/full", "| head -c 1", "<&- >&- 2>&-", "<&-", ">&- 2>/dev/full"])
def test_a_command_needs_no_standard_output(how: str) -> None:
    """Its work goes on and its status is 0, whatever becomes of its text."""
    ran = shell(SAY_TWICE, f'{how}; exit "${{PIPESTATUS[0]}}"')
    assert (ran.returncode, ran.stderr) == (0, "")


def test_text_that_was_asked_for_and_cannot_be_written_is_an_error_of_one_line() -> None:
    ran = shell(PRINT_MUCH, ">/dev/full")
    assert (ran.returncode, ran.stderr) == (1, "tune-mlp: the output can't be written: No space left on device\n")


def test_a_console_can_be_made_where_there_is_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    make_console().print("nobody reads this")


def test_a_dumb_terminal_and_no_color_get_no_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    make_console().print("plain", style="bold red")
    assert capsys.readouterr().out == "plain\n"


def _leaves(code: object) -> Callable[[], None]:
    def job() -> None:
        sys.exit(code)  # type: ignore[arg-type]

    return job


@pytest.mark.parametrize("code", [None, 0, 5, "a reason"])
def test_a_module_that_ends_the_process_is_said_in_one_line(code: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(_leaves(code)) == 1
    assert capsys.readouterr().err == (
        f"tune-mlp: ended by an imported module, with {code!r}; TUNE_MLP_DEBUG=1 shows where\n"
    )


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    def job() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a_file")

    assert guarded(job) == 1
    assert "unexpected OSError" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["o $(id)", "a'b", "x;y", "`id`", "~", "new\nline", "$HOME"])
def test_a_printed_command_means_its_words_and_nothing_else(name: str) -> None:
    printed = command_line("export", name, "--to", "xlsx")
    echo = "tune-mlp() { printf '%s\\0' \"$@\"; }; "
    ran = subprocess.run(["bash", "-c", echo + printed], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\0")[:-1] == ["export", name, "--to", "xlsx"]
    assert command_line("x", *("--dataset", name)).endswith(option("--dataset", name))


def test_text_the_output_cannot_encode_is_no_loss_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8", write_through=True))
    console = make_console()
    console.print("é")
    console.print("after")
    assert raw.getvalue() == "é\nafter\n".encode()
