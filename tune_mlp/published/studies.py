"""Finds and reads the files of published studies, and makes a study of each experiment. An error names its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tune_mlp.errors import StudyError, TuneMlpError, UsageError, did_you_mean, one_line
from tune_mlp.published.experiments import Published
from tune_mlp.space.faults import Path_, first_fault, shown
from tune_mlp.space.files import Located, read_file, shipped
from tune_mlp.space.overrides import override, parse_assignment
from tune_mlp.study.study import Study

FOLDER = "published"
"""The folder of published studies among the shipped files."""
KEY = "published"
"""The key in a study file that holds citation, experiments and claims."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST_RUN = 64
"""The largest number of characters in the name of a run's folder."""


@dataclass(frozen=True)
class PublishedStudy:
    """A study file, with its citation, experiments and claims."""

    name: str
    word: str
    """The name on the command line: that of a shipped study, or a path."""
    base: Path
    """The file's folder."""
    located: Located
    published: Published

    def study(self, experiment: str, quick: bool = False, engine: str | None = None) -> Study:
        """Return the study of one experiment: the file's study with the experiment's settings."""
        tree = {key: value for key, value in self.located.tree.items() if key != KEY}
        located = Located(tree, self.located.source, self.located.places)
        for layer in ("set", "quick") if quick else ("set",):
            for path, value in getattr(self.published.experiments[experiment], layer).items():
                where: Path_ = (KEY, "experiments", experiment, layer, path)
                try:
                    parts, _, _ = parse_assignment(f"{path}=null", Study.model_fields)
                    located = override(located, parts, value, self.located.places[where])
                except StudyError as error:
                    raise self.located.locate(StudyError(error.rule, where)) from None
        if engine is not None:
            located = override(located, ["engine"], engine, f"--engine {engine}")
        return Study.from_located(located, self.base)


def published_studies() -> dict[str, Path]:
    """Return the shipped files of published studies, by name."""
    return {name: path for name, path in shipped().items() if path.parent.name == FOLDER}


def load(word: str) -> PublishedStudy:
    """Load a shipped published study by its name, or a study file that has a `published` key."""
    path = Path(word)
    if not (word.endswith((".yaml", ".yml")) or "/" in word):
        known = published_studies()
        if word not in known:
            raise UsageError(f"no published study is named {word!r}{did_you_mean(word, known)}")
        path = known[word]
    located = read_file(path)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:48] or "study"
    located.tree.setdefault("name", name)
    return PublishedStudy(name, word, path.parent, located, read_published(located, name))


def listing() -> str:
    """List the shipped published studies with their experiments."""
    lines: list[str] = []
    for name in published_studies():
        try:
            published = load(name).published
        except TuneMlpError as error:
            lines.append(f"{name}: can't be read: {one_line(error)}")
            continue
        lines.append(f"{name}: {published.citation}")
        width = max(map(len, published.experiments))
        lines += [f"  {key:{width}}  {experiment.about}" for key, experiment in published.experiments.items()]
    return "\n".join(lines) or "no published study ships with this copy"


def read_published(located: Located, name: str = "") -> Published:
    """Read what the file holds under `published`. An error names file, line and path. The names of its runs begin with `name`."""
    if KEY not in located.tree:
        raise StudyError(f"it is no published study: {KEY!r} is missing", source=located.source)
    raw = located.tree[KEY]
    try:
        published = Published.model_validate(raw)
    except ValidationError as error:
        raise located.locate(first_fault(error, raw, (KEY,))) from None
    for path, rule in _loose_ends(published, name):
        raise located.locate(StudyError(rule, (KEY, *path)))
    return published


def _loose_ends(published: Published, name: str) -> list[tuple[Path_, str]]:
    """Find contradictions between parts that are each valid alone."""
    found: list[tuple[Path_, str]] = []
    for experiment, how in published.experiments.items():
        if not NAME.fullmatch(experiment):
            rule = f"a name is letters, digits, dots, dashes or underscores, got {shown(experiment)}"
            found.append((("experiments", experiment), rule))
        elif len(f"{name}-{experiment}") > LONGEST_RUN:
            rule = f"the run would be named {name}-{experiment}, which is more than {LONGEST_RUN} characters"
            found.append((("experiments", experiment), rule))
        found += [
            (("experiments", experiment, layer, path), f"write a path, for instance data.samples, got {shown(path)}")
            for layer in ("set", "quick")
            for path in getattr(how, layer)
            if "=" in path
        ]
    for i, claim in enumerate(published.claims):
        if claim.experiment not in published.experiments:
            hint = did_you_mean(claim.experiment, published.experiments)
            found.append((("claims", i, "experiment"), f"no experiment is named {claim.experiment!r}{hint}"))
            continue
        check = published.experiments[claim.experiment].check
        if (check or "") != ("gradients" if claim.measure == "gradients" else ""):
            rule = f"{claim.experiment} is {f'check: {check}' if check else 'a run'}, which has no {claim.measure}"
            found.append((("claims", i, claim.measure), rule))
    return found
