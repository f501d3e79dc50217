"""A progress reporter for Ray Tune that shows nothing.

Without one, Ray Tune takes its notebook reporter inside a Jupyter kernel. That calls `clear_output`, which erases all that
the cell has printed so far, and adds a block of HTML.
"""

from __future__ import annotations

from typing import Any

from ray.tune import ProgressReporter


class SilentReporter(ProgressReporter):  # type: ignore[misc]  # ray ships no types
    """A progress reporter that never asks to report."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: dict[str, Any]) -> None:
        """Show nothing."""
