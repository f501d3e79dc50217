"""Forecasts for the service: the plan of a study, measured in a process of its own, one at a time and within a limit of time.

`python -m tune_mlp.service.forecasting` reads a study's YAML from its standard input and writes the forecast as JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from tune_mlp.errors import TuneMlpError, clipped, one_line
from tune_mlp.service.messages import Forecast
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.submissions import CheckedStudy

KEPT = 100
"""The number of forecasts that are remembered: a person asks again after each change, and often comes back to one."""
PROGRAM = (sys.executable, "-P", "-m", "tune_mlp.service.forecasting")
MOST_WAITING = 8
"""So many may wait for their turn; others get their settings checked, and nothing measured."""


class Forecasts:
    """Makes forecasts, one at a time, and remembers the last ones."""

    def __init__(self, options: ServiceOptions, program: Sequence[str] = PROGRAM) -> None:
        self._options, self._program = options, program
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._known: OrderedDict[str, Forecast] = OrderedDict()
        self._waiting = 0
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def of(self, checked: CheckedStudy) -> Forecast:
        """Return a study's forecast. Where it can't be measured in time, its lines say so."""
        plain = self.unmeasured(checked)
        key = hashlib.sha256(checked.text.encode()).hexdigest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            if self._waiting >= MOST_WAITING or self._closed:
                return _with(plain, "not measured: many other forecasts are being made; ask again in a minute")
            self._waiting += 1
        try:
            if not self._turn.acquire(timeout=self._options.plan_seconds):
                return _with(plain, "not measured: another forecast was being made all the time")
            try:
                made, measured = self._measured(checked, plain)
            finally:
                self._turn.release()
        finally:
            with self._lock:
                self._waiting -= 1
        if measured:
            with self._lock:
                self._known[key] = made
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
        return made

    def unmeasured(self, checked: CheckedStudy) -> Forecast:
        """Return what follows from the settings alone."""
        return Forecast(study=checked.text, trials=checked.study.number_of_trials)

    def close(self) -> None:
        """End a forecast that is being made."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            _end(process)

    def _measured(self, checked: CheckedStudy, plain: Forecast) -> tuple[Forecast, bool]:
        options = self._options
        words = [options.address or "", str(options.data_dir.absolute()) if options.data_dir else ""]
        with self._lock:
            if self._closed:
                return _with(plain, "not measured: the service is ending"), False
            process = self._process = subprocess.Popen(
                [*self._program, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        try:
            with process:
                try:
                    out, said = process.communicate(checked.text, timeout=options.plan_seconds)
                except subprocess.TimeoutExpired:
                    _end(process)
                    return _with(plain, f"not measured: it takes longer than {options.plan_seconds:g} s"), False
        finally:
            with self._lock:
                self._process = None
        if process.returncode == 0:
            return Forecast.model_validate_json(out.splitlines()[-1]), True
        lines = said.strip().splitlines()
        return _with(plain, clipped(f"can't be run: {lines[-1]}" if lines else "not measured", 500)), False


def _with(forecast: Forecast, line: str) -> Forecast:
    return forecast.model_copy(update={"lines": (*forecast.lines, line)})


def _end(process: subprocess.Popen[str]) -> None:
    """End a forecast, and what it has begun: first in a way that lets its Ray end, too."""
    for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue


def measure(text: str, address: str | None, data_dir: Path | None) -> Forecast:
    """Measure a study's draws for some seconds, and forecast it."""
    from tune_mlp.console.live_view import make_display  # late: rich, ray
    from tune_mlp.console.terminal import make_console
    from tune_mlp.planning.plan import plan_study
    from tune_mlp.planning.plan_view import advice, forecast_lines, remarks
    from tune_mlp.study.study import Study

    plan = plan_study(Study.from_text(text), address, data_dir, make_display(make_console(errors=True), quiet=True))
    memory = plan.memory
    return Forecast(
        study=text,
        trials=plan.study.number_of_trials,
        seconds=plan.seconds,
        memory_bytes=memory.worker * plan.slots + memory.others,
        disk_bytes=plan.disk[0],
        concurrent=plan.slots,
        lines=(
            *(f"{word}: {line}" for word, line in forecast_lines(plan)),
            *remarks(plan),
            *((advice(plan.layouts),) if len(plan.layouts) > 1 else ()),
        ),
    )


def main() -> int:
    """Answer on the standard output; an error is one line on the standard error."""
    address, data_dir = sys.argv[1:]
    try:
        forecast = measure(sys.stdin.read(), address or None, Path(data_dir) if data_dir else None)
    except TuneMlpError as error:
        print(one_line(error), file=sys.stderr)
        return error.status
    print(forecast.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
