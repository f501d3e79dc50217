"""The accuracy of `tune-mlp plan`: the forecast of three studies, and then the studies themselves, as a markdown table.

Run it on a calm machine: `python -m benchmarks.plan [--only NAME] [--repeats N]`. Both commands are timed from the start
of the process to its end; MNIST is looked for where the searches look for it.
"""

from __future__ import annotations

import argparse
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import busy, commit, facts

STUDIES = {
    "digits": "--space digits_quick --trials 400 --epochs 100 --scheduler fifo",
    "mnist": "--space mnist_asha",
    "eager": "--space mnist_asha --engine eager --scheduler fifo --set batch_size=32 --trials 12 --epochs 4",
}
ALLOWED = 0.3


def run(*words: str) -> tuple[float, str]:
    """Run a command, and return its wall time and its output."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - start, done.stdout


def forecast(output: str) -> tuple[float, str]:
    """Return the number of seconds that a plan forecasts, and the line that says it."""
    line = next(line for line in output.splitlines() if line.startswith("wall time"))
    found = re.search(r"about (\d+(?::\d+)+)", line)
    assert found
    seconds = 0.0
    for part in found[1].split(":"):
        seconds = 60 * seconds + int(part)
    return seconds, line.removeprefix("wall time").strip()


def compare(options: str) -> tuple[list[str], float]:
    """Run the plan and the search, and return a row of the table and the forecast divided by the real time."""
    words = shlex.split(options)
    took, output = run("tune_mlp", "plan", *words)
    foreseen, line = forecast(output)
    with tempfile.TemporaryDirectory() as folder:
        actual, _ = run("tune_mlp.search", *words, "--out", folder, "--quiet")
    print(f"{options}: {line}; it took {actual:.1f} s", file=sys.stderr)
    ratio = foreseen / actual
    return [f"`{options}`", f"{took:.1f}", f"{foreseen:.0f}", f"{actual:.1f}", f"{ratio:.2f}"], ratio


def main() -> int:
    """Print the table, and return 1 if a forecast is further off than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(STUDIES), action="append", help="This study alone; repeatable.")
    parser.add_argument("--repeats", type=int, default=1, help="How often each is planned and run.")
    args = parser.parse_args()
    print(f"{facts()}; commit {commit()}; {busy():.1f} cores were busy with other work before\n")
    print("| `tune-mlp plan` and `python -m tune_mlp.search` with | planning, s | forecast, s | search, s | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    ratios = []
    for name in args.only or STUDIES:
        for _ in range(args.repeats):
            row, ratio = compare(STUDIES[name])
            ratios.append(ratio)
            print("| " + " | ".join(row) + " |", flush=True)
    worst = max(ratios, key=lambda ratio: abs(ratio - 1))
    print(f"\nworst {worst:.2f}, median {statistics.median(ratios):.2f}; within {ALLOWED:.0%} is wanted")
    return int(abs(worst - 1) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
