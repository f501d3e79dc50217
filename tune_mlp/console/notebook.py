"""Output in a Jupyter notebook: whether there is a notebook, and an output under a cell that can be updated."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType

UPDATE_SECONDS = 0.5
"""The board is drawn anew at most this often."""
HTML = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;font-family:monospace">{code}</pre>'


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class UpdatedOutput:
    """One output of the cell that is replaced by what `draw` gives. It never clears other outputs."""

    def __init__(self, draw: Callable[[], RenderableType], width: int) -> None:
        from IPython.display import display

        self._draw = draw
        self._width = width
        self._next = time.monotonic() + UPDATE_SECONDS
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(self, at_once: bool = False) -> None:
        """Draw it anew, unless that was done a moment ago."""
        if at_once or time.monotonic() >= self._next:
            self._next = time.monotonic() + UPDATE_SECONDS
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        console = Console(file=io.StringIO(), width=self._width, record=True, force_terminal=True, force_jupyter=False)
        console.print(self._draw())
        text = console.export_text(clear=False)
        return {"text/plain": text, "text/html": console.export_html(inline_styles=True, code_format=HTML)}
