"""The end of a report: what to do next, how to reproduce it, what it leaves out, and what to cite."""

from __future__ import annotations

import shlex
from typing import Any

from tune_mlp.command_line import command_line
from tune_mlp.report.citations import citations
from tune_mlp.report.markup import Inner, prose, tag
from tune_mlp.report.material import Material, paragraph, table
from tune_mlp.results.results import DATA_FRAME

RUN = "RUN"


def what_next(material: Material) -> Inner:
    """Give the advice, each piece with its reason."""
    answer = material.evidence.answers.get("advise")
    if answer is None:
        return paragraph(material.evidence.missing["advise"])
    rows = [
        [row["advice"], row["parameter"], _value(row["value"]), material.n("advised", place)]
        for place, row in enumerate(answer["rows"])
    ]
    notes = [paragraph(material.n("said", "advise", "notes", i), ".") for i in range(len(answer["notes"]))]
    command = command_line("advise", material.results.source, "--output", "next.yaml")
    write = (
        [paragraph("This writes the next study, with a comment at each change:"), _shell(command)]
        if answer["rows"] and material.is_run
        else None
    )
    shown = table(["advice", "for", "value", "why"], rows, "Advice for the next search") if rows else None
    return [paragraph(material.n("said", "advise")), shown, notes, write]


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        if len(value) == 2 and None in value:
            low, high = value
            return f"at least {low}" if high is None else f"at most {high}"
        return ", ".join(map(str, value))
    return str(value)


def how_to_reproduce(material: Material) -> Inner:
    """Give the exact commands and the fingerprints."""
    results, manifest = material.results, material.results.manifest
    source, best = results.source, material.best
    if not material.is_run:
        material.left_out.append(("How to train it again", "a table of trials has no study, no data and no seeds"))
        if source == DATA_FRAME:
            return paragraph("The table was a data frame in Python, so no command makes the page again.")
        report = command_line("report", source, "--metric", results.metric, "--mode", results.mode)
        return [paragraph("The page itself is made again by this command:"), _shell(report)]
    lines: list[Inner] = []
    if command := manifest.get("command"):
        lines.append([paragraph("The search was started by this command:"), _shell(shlex.join(command))])
    lines.extend(
        [paragraph(f"It was resumed at {resumed.get('at', 'a later time')}:"), _shell(shlex.join(again))]
        for resumed in manifest.get("resumed", [])
        if (again := resumed.get("command"))
    )
    study = f"{source.rstrip('/')}/study.yaml"
    commands = [command_line("search", "--space", study)]
    if best is not None:
        commands.append(command_line("replay", source, best))
    commands += [command_line("audit", source), command_line("report", "--verify", f"{source.rstrip('/')}/report.html")]
    said = "These commands run the whole study again, train the best trial again and compare it epoch by epoch, derive the scheduler's decisions anew from the journal, and work out the numbers of this page again:"
    if best is None:
        said = "These commands run the whole study again, derive the scheduler's decisions anew from the journal, and work out the numbers of this page again:"
    lines.append([paragraph(said), _shell("\n".join(commands))])
    prints = _fingerprints(material)
    lines.append(table(["of", "fingerprint"], [[what, tag("code", value)] for what, value in prints], "Fingerprints"))
    lines.append(
        tag("details", tag("summary", "The study, study.yaml"), tag("pre", _yaml(results.study), tabindex="0"))
    )
    return lines


def _fingerprints(material: Material) -> list[tuple[str, str]]:
    manifest = material.results.manifest
    found = []
    if fingerprint := manifest.get("dataset", {}).get("fingerprint"):
        found.append(("the data", str(fingerprint)))
    if digests := manifest.get("study_sha256"):
        found.append(("study.yaml (SHA-256)", str(digests[-1])))
    if digest := material.evidence.journal.get("sha256"):
        found.append(("journal.jsonl (SHA-256)", str(digest)))
    return found


def _yaml(study: Any) -> str:
    import yaml

    return str(yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100))


def _shell(command: str) -> Inner:
    return tag("pre", tag("code", command), class_="shell", tabindex="0")


def left_out(material: Material) -> Inner:
    """List what this report leaves out, with the reason of each."""
    if not material.left_out:
        return paragraph("This report leaves nothing out.")
    return tag("ul", [tag("li", tag("b", what), ": ", prose(_end(why))) for what, why in material.left_out])


def _end(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def what_to_cite(material: Material) -> Inner:
    """Give the tool and the methods that were used as BibTeX."""
    return [
        paragraph("Cite the tool, and the methods that this run used:"),
        tag("pre", citations(material), class_="bibtex", tabindex="0"),
    ]
