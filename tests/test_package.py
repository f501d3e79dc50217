"""What the package offers, and what may stand in it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tune_mlp
from tune_mlp.errors import StudyError, TuneMlpError, did_you_mean, one_line

ROOT = Path(tune_mlp.__file__).parent


def test_the_package_offers_a_client_results_and_study() -> None:
    assert tune_mlp.__all__ == ["Client", "Results", "Study"]
    for name in tune_mlp.__all__:
        assert getattr(tune_mlp, name).__name__ == name
    assert tune_mlp.__version__
    with pytest.raises(AttributeError, match="no attribute 'Stduy'"):
        _ = tune_mlp.Stduy


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = 'import sys, tune_mlp; tune_mlp.Study; print(set(sys.modules) & {"torch", "ray", "pandas", "sklearn", "optuna"})'
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout == "set()\n"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_its_idea(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text or text.startswith('"""')
    assert path.stem not in {"yaml", "queue", "torch", "utils", "common", "helpers"}


def error_classes(root: type[TuneMlpError] = TuneMlpError) -> list[type[TuneMlpError]]:
    return [root, *(found for child in root.__subclasses__() for found in error_classes(child))]


def test_the_error_tree_is_drawn_with_every_error_and_its_status() -> None:
    import tune_mlp.errors as errors

    drawn = errors.__doc__ or ""
    for error in error_classes():
        line = next(line for line in drawn.splitlines() if error.__name__ in line.split())
        assert str(error.status) in line or error.__name__ == "Interrupted"


def test_an_error_is_one_line_whatever_it_says() -> None:
    assert one_line(ValueError("a\n b\n")) == "ValueError: a b"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(RuntimeError("x" * 9999))) == 500
    assert one_line(StudyError("rule", ("a", 0), "f.yaml:3")) == "f.yaml:3 a.0: rule"
    assert str(StudyError("rule")) == "rule"


def test_a_near_name_is_suggested_or_a_short_list_is_shown() -> None:
    assert did_you_mean("rellu", ["relu", "tanh"]) == " (did you mean 'relu'?)"
    assert did_you_mean("zzz", ["relu", "tanh"]) == " (known: relu, tanh)"
    assert did_you_mean("zzz", [f"n{i}" for i in range(99)]) == ""


WITHOUT_POSIX = """\
import errno, importlib, os, pkgutil, signal, sys, warnings

warnings.simplefilter("ignore")
for name in "numba optuna pandas platformdirs.unix pyarrow.fs pydantic ray.tune.schedulers.pbt rich.live scipy torch".split():
    importlib.import_module(name)
for name in ("fcntl", "grp", "posix", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for module, names in {
    os: "chown fchmod fork getgid getloadavg getpgid getuid geteuid killpg mkfifo sched_getaffinity setsid statvfs uname "
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 pthread_sigmask",
}.items():
    for name in names.split():
        delattr(module, name)

import tune_mlp

failed = []
for found in pkgutil.walk_packages(tune_mlp.__path__, "tune_mlp."):
    if found.name != "tune_mlp.__main__":
        try:
            importlib.import_module(found.name)
        except Exception as error:
            failed.append(f"{found.name}: {error!r}")
print(*failed, sep="\\n")
"""
"""Imports every module where Python lacks what it has on POSIX systems alone, as on Windows."""


def test_no_module_needs_posix_to_be_imported() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True, check=True, timeout=250)
    assert ran.stdout.split("\n") == ["", ""]


def test_the_licence_is_apache_2_0_in_full_and_named_in_the_project() -> None:
    text = (ROOT.parent / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License\n                           Version 2.0, January 2004\n")
    assert "END OF TERMS AND CONDITIONS" in text
    assert "\n   Copyright 2026 the tune_mlp authors\n" in text
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").read_bytes() == b""
