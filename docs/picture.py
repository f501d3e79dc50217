"""Takes the README's pictures: the main job on a real pseudo-terminal, on its way and at its end. `make picture`."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.terminal import Terminal

HERE = Path(__file__).parent


def main() -> int:
    """Run the search and save docs/live.svg and docs/result.svg."""
    terminal = Terminal(columns=112, lines=40)
    half_way: list[str] = []

    def watch(lines: list[str]) -> None:
        if not half_way and any(re.search(r" 1[2-9]/25 ", line) for line in lines):
            half_way.append(terminal.svg("half way"))

    with tempfile.TemporaryDirectory() as folder:
        status = terminal.run(
            [sys.executable, "-m", "tune_mlp.search", "--space", "mnist_asha"],
            cwd=Path(folder),
            watch=watch,
            timeout=3000,
        )
    if status == 0:
        (HERE / "live.svg").write_text(half_way[0])
        (HERE / "result.svg").write_text(terminal.svg("python -m tune_mlp.search --space mnist_asha"))
    return status


if __name__ == "__main__":
    sys.exit(main())
