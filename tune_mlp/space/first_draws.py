"""The first draws of a search: the settings that a study names for them, and the values that it believes to be good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_mlp.errors import StudyError, did_you_mean
from tune_mlp.space.choosers import Fixed, drawn, with_fixed
from tune_mlp.space.domains import Domain, Value, as_value
from tune_mlp.space.faults import Path_, shown
from tune_mlp.space.space import EXPERIMENT, Params, Space, domains_of, resolve


def given(settings: Mapping[str, Any]) -> Fixed:
    """Return the values that settings fix, by the names of a table's columns. One inside an option brings its option along."""
    params: Params = {str(name): as_value(value) for name, value in settings.items()}

    def fixed(path: str, domain: Domain) -> Value | None:
        column = column_of(path)
        try:
            value = drawn(params, path)
        except (IndexError, TypeError):
            raise StudyError(
                f"must be a list that the space can draw, got {shown(params[column.rpartition('.')[0]])}", (column,)
            ) from None
        except KeyError:
            inside = next((name for name in params if name.startswith(f"{column}.")), None)
            option = inside.removeprefix(f"{column}.").partition(".")[0] if inside else None
            return next((one for one in domain.values() or () if str(one) == option), None)
        found = domain.find(value)
        if found is None:
            raise StudyError(f"must be a value that the space can draw, got {shown(value)}", (column,))
        return found

    return fixed


def prior(path: str, domain: Domain) -> Value | None:
    """Return the value that is believed to be good, if the domain has one."""
    return domain.prior


def has_priors(space: Space) -> bool:
    """True if any parameter has a value that is believed to be good."""
    return any(domain.prior is not None for _, node in space.walk() for domain in domains_of(node))


def check_given(space: Space, settings: Mapping[str, Any], path: Path_) -> None:
    """Refuse settings that aren't parameters of the space, or values that it can't draw; `path` is where they stand."""
    columns = {column_of(name): node for name, node in space.walk()}
    for name in map(str, settings):
        if name not in columns:
            raise StudyError(f"the space has no parameter {shown(name)}{did_you_mean(name, columns)}", (*path, name))
    if EXPERIMENT in columns and EXPERIMENT not in settings:
        raise StudyError("name the experiment that these settings belong to, as experiment: NAME", path)
    try:
        params = resolve(space, with_fixed(given(settings), lambda _, domain: domain.at(0.5)))
    except StudyError as error:
        at = str(error.path[0])
        name = next(name for name in map(str, settings) if at == name or at.startswith(f"{name}."))
        raise StudyError(error.rule, (*path, name)) from None
    for name, value in settings.items():
        if str(name) not in params:
            raise StudyError(f"{name} doesn't exist with the other settings here", (*path, name))
        if params[str(name)] != as_value(value):
            raise StudyError(f"the space fixes it at {shown(params[str(name)])}, got {shown(value)}", (*path, name))


def column_of(path: str) -> str:
    """Return the name of the parameter at a path, as a table's column has it."""
    return path.split(".", 2)[2] if path.startswith(f"{EXPERIMENT}.") else path
