"""The summary of a study of a service, printed when the watching ends: as after a search, with addresses in place of files."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tune_mlp.console.formatting import clock
from tune_mlp.console.summary import show_stand_in, show_test, show_trials
from tune_mlp.service.client import Client
from tune_mlp.service.messages import StudySummary


def show_closing(console: Console, client: Client, summary: StudySummary) -> None:
    """Print the best trials, how trials ended, what the winner reached on the test part, and where to go from here."""
    results = client.results(summary.name)
    show_trials(console, results)
    if summary.started is not None and summary.ended is not None:
        console.print(Text(f"took {clock(max(0.0, summary.ended - summary.started))}"), soft_wrap=True)
    show_test(console, results)
    if summary.stand_in_for:
        show_stand_in(console, summary.dataset, summary.stand_in_for)
    page, api = f"{client.url}/studies/{summary.name}", f"{client.url}/api/studies/{summary.name}"
    lines = {"page": page, "report": f"{page}/report", "table": f"{api}/trials.csv", "winner": f"{api}/best/model.pt"}
    console.print()
    for word, line in lines.items():
        console.print(Text(f"{word:8}{line}"), soft_wrap=True)
