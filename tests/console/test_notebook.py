"""A study that runs in a notebook: a real kernel, and what stays under its cell."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.test_search import environment

STUDY = """
print("the cell's own line")
import pandas, tune_mlp
table = pandas.DataFrame({"a": range(60), "same": 1.0, "y": ["u", "v"] * 30})
table.to_csv("table.csv", index=False)
from pathlib import Path
Path("s.yaml").write_text(
    "data: {name: 'csv:table.csv', target: y}\\nspace: {lr: {log: [0.001, 0.1]}, width: 8}\\n"
    "trials: 3\\nepochs: 2\\nengine: eager\\nconcurrent: 1\\n"
)
results = tune_mlp.Study.load("s.yaml").run()
"""


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The outputs of the cell, as a notebook would save them, with every `clear_output` applied."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(STUDY)])
        kernel = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=280, kernel_name="python3", resources=kernel).execute()
    return list(notebook.cells[0].outputs)


def test_a_notebook_keeps_all_text_and_shows_one_board(outputs: list[dict[str, object]]) -> None:
    text = "".join(str(output.get("text", "")) for output in outputs)
    boards = [output for output in outputs if output["output_type"] != "stream"]
    assert text.startswith("the cell's own line\n")
    assert "left out" in text
    assert "random search, fifo, 1 at a time" in text, "the title"
    assert text.index("left out") < text.index("Best 3 of 3 trials"), "the summary is at the end"
    assert len(boards) == 1, "no block for each trial"
    board = boards[0]["data"]
    assert "3/3" in board["text/plain"]  # type: ignore[index]
    assert "best so far" in board["text/plain"]  # type: ignore[index]
    assert "<pre" in board["text/html"]  # type: ignore[index]
