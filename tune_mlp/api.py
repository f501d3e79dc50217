"""The Study of Python scripts and notebooks: it does what the command line does, as a method."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.study import study

if TYPE_CHECKING:
    from tune_mlp.results.results import Results  # pandas takes 0.4 s to import


class Study(study.Study):
    """A study that can run itself: `Study.load("mnist_asha").run().trials`."""

    def _repr_html_(self) -> str:
        """Show the study in a notebook: its parameters, and the settings that were given."""
        left_out = {"name", "description", "space", "published"}
        settings = self.model_dump(exclude=left_out, exclude_defaults=True, exclude_none=True)
        rows = [("<b>setting</b>", "<b>value</b>"), *((name, _cell(value)) for name, value in settings.items())]
        rows += [("<b>parameter</b>", "<b>value or domain</b>")]
        rows += [(html.escape(str(name)), _cell(value)) for name, value in self.space.items()]
        table = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows)
        return f"<p><b>{html.escape(self.name)}</b> {html.escape(self.description)}</p><table>{table}</table>"

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
        """Run the study as the command line does, print the same summary at the end, and return the results.

        `address` is a running Ray to use. `out` is a folder, or the URI of one on an object store. `quiet` prints nothing.
        """
        from tune_mlp.console.live_view import make_display
        from tune_mlp.console.summary import show_summary
        from tune_mlp.console.terminal import make_console
        from tune_mlp.report.after_search import ReportAtTheEnd
        from tune_mlp.tuning.run import Request, run_study  # imported here, since these import ray

        console, report = make_console(), ReportAtTheEnd()
        request = Request(
            out=out,
            name=name,
            address=address,
            data_dir=None if data_dir is None else Path(data_dir),
            csv=None if csv is None else Path(csv),
            report=report,
        )
        results = run_study(self, request, make_display(console, quiet))
        if not quiet:
            from tune_mlp.insight.closing_lines import closing_lines  # scipy takes 0.1 s to import

            show_summary(console, results, request.csv, closing_lines(report.results or results))
        return results


def _cell(value: object) -> str:
    """Write a setting as the study file does, on one line."""
    if isinstance(value, dict):
        given = [f"{html.escape(str(key))}: {_cell(inner)}" for key, inner in value.items() if inner is not None]
        return f"{{{', '.join(given)}}}"
    return html.escape(str(value))
