"""The next study: a run's study with changes of its space and budget, each with a comment that says why."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from tune_mlp.errors import StudyError, UsageError
from tune_mlp.insight.changes import Change, applied
from tune_mlp.results.results import Results
from tune_mlp.space.files import dump_yaml
from tune_mlp.study.study import Study

WORDS = {"extend": "extended", "cut": "cut", "pin": "pinned", "epochs": "more epochs"}
"""How each kind of change is called in its comment."""


def next_study(results: Results, changes: Sequence[Change]) -> str:
    """Return the text of the next study. It loads: a change that makes no valid study is left out."""
    if not results.study:
        raise UsageError(f"{results.source} has no study.yaml, so the next study can't be written")
    try:  # what is wrong with the run's study is said of it, and not of the next one
        Study.from_dict(results.study)
    except StudyError as error:
        raise UsageError(f"{results.source}: study.yaml: {error}") from None
    tree = copy.deepcopy(results.study)
    tree["seed"] = int(tree.get("seed", 0)) + 1  # other draws
    comments: dict[str, list[str]] = {}
    for change in changes:
        if changed := applied(tree, change):
            tree = changed
            comments.setdefault(change.parameter.split(".")[0], []).append(f"{WORDS[change.advice]}: {change.why}")
    text = _with_comments(tree, comments, results.source)
    Study.from_text(text)
    return text


def _with_comments(tree: dict[str, Any], comments: dict[str, list[str]], source: str) -> str:
    """Write the study with each comment above the line of its parameter or setting."""
    names = set(tree["space"])
    lines = [f"# The next study after {source}: `tune-mlp advise` changed what has a comment."]
    in_space = False
    for line in dump_yaml(tree).splitlines():
        if line and not line[0].isspace():
            in_space = line.startswith("space:")
            key, indent = line.partition(":")[0], ""
            own = key == "epochs"
        else:
            key, indent = line.strip().partition(":")[0], "  "
            own = in_space and line.startswith("  ") and not line.startswith("   ") and key in names
        if own:
            lines += [f"{indent}# {comment}" for comment in comments.get(key, [])]
        lines.append(line)
    return "\n".join(lines) + "\n"
