"""Takes the README's pictures with `make picture`: the search on a pseudo-terminal, half way and at its end."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.terminal import Terminal

HERE = Path(__file__).parent
WHOLE = (r" 1[2-9]/25 ", r"trial \d+ +epoch [1-9]\d*/\d+ +val_accuracy", r"best so far", r"\d+ (finished|stopped)\s*$")
"""What a whole drawing shows: the count of trials, a trial in training, the best so far, and how many have ended."""


def main() -> int:
    """Run the search and save docs/live.svg and docs/result.svg."""
    terminal = Terminal(columns=112, lines=40)
    half_way: list[str] = []

    def watch(lines: list[str]) -> None:
        # What is read may end in the middle of a drawing: a picture is taken of a whole one alone.
        text = "\n".join(lines)
        if not half_way and all(re.search(part, text) for part in WHOLE):
            half_way.append(terminal.svg("half way"))

    with tempfile.TemporaryDirectory() as folder:
        status = terminal.run(
            [sys.executable, "-m", "tune_mlp", "search", "--space", "mnist_asha"],
            cwd=Path(folder),
            watch=watch,
            timeout=3000,
        )
    if status == 0:
        (HERE / "live.svg").write_text(half_way[0])
        (HERE / "result.svg").write_text(terminal.svg("tune-mlp search --space mnist_asha"))
    return status


if __name__ == "__main__":
    sys.exit(main())
