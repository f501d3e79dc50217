"""Where the samples of a run are found, for what explains a net; nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tune_mlp.data.dataset import Problem


class DataSource(NamedTuple):
    """Where the samples of a run are found."""

    data_dir: Path | None = None
    """The folder in which datasets are looked for first."""
    functions: tuple[str, ...] = ()
    """The functions of a user that may be called for the data."""
    problem: Problem | None = None
    """The data themselves, if the caller has them in memory."""
    say: Callable[[str], None] = lambda line: None
    """What shows a line to a person while the data are read, or a trial is trained again."""


AS_THE_RUN_SAYS = DataSource()
"""The data are where the run's own study finds them."""
