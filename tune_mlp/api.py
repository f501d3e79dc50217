"""The Study of Python scripts and notebooks: it does what the command line does, as a method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.study import study

if TYPE_CHECKING:
    from tune_mlp.results.results import Results  # pandas takes 0.4 s to import


class Study(study.Study):
    """A study that can run itself: `Study.load("mnist_asha").run().trials`."""

    def run(
        self,
        out: str | Path = "runs",
        name: str | None = None,
        *,
        address: str | None = None,
        data_dir: str | Path | None = None,
        csv: str | Path | None = None,
        quiet: bool = False,
    ) -> Results:
        """Run the study, as the command line does, and return its results; `address` is a running Ray's, and `out` a
        folder or the URI of one on an object store."""
        from rich.console import Console

        from tune_mlp.console.live_view import make_display
        from tune_mlp.tuning.run import Request, run_study  # imported here, since these import ray

        request = Request(
            out=out,
            name=name,
            address=address,
            data_dir=None if data_dir is None else Path(data_dir),
            csv=None if csv is None else Path(csv),
        )
        return run_study(self, request, make_display(Console(), quiet))
