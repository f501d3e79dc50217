"""A study that runs in somebody's script or notebook leaves their process as it was: environment, logging, warnings, signals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, logging, os, signal, sys, warnings
import optuna, ray, ray.tune  # what merely importing these does is theirs
from tune_mlp import Study

def state():
    loggers = {name: (logger.level, logger.propagate, logger.disabled, [repr(handler) for handler in logger.handlers])
               for name, logger in sorted(logging.root.manager.loggerDict.items()) if isinstance(logger, logging.Logger)}
    return {
        "environment": dict(os.environ),
        "root logger": (logging.root.level, [repr(handler) for handler in logging.root.handlers]),
        "loggers": {name: loggers.get(name) for name in ("ray", "ray.tune", "ray.data", "optuna", "tune_mlp")},
        "warnings": [repr(one) for one in warnings.filters],
        "signals": {number: repr(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
        "streams": (repr(sys.stdout), repr(sys.stderr)),
        "path": sys.path,
        "folder": os.getcwd(),
    }

study = Study.load("digits_quick", trials=2, epochs=1, search="tpe", concurrent=1)
before = state()
study.run(out="runs", quiet=True)
after = state()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""


def test_a_process_is_as_before_after_a_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "{}"
