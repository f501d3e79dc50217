"""Errors of pydantic as StudyErrors: in our words, with the place in the study file."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tune_mlp.errors import StudyError, clipped, did_you_mean

Path_ = tuple[str | int, ...]

RULES = {
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "tuple_type": "must be a list",
}
"""Our words for kinds of error whose text in pydantic isn't for users; in the others, "Input should" becomes "must"."""


def first_fault(error: ValidationError, raw: Any, root: Path_ = ()) -> StudyError:
    """Return the first error: the rule that was broken, the value that was given, and its path in `raw`."""
    fault = error.errors(include_url=False)[0]
    kind, context = fault["type"], fault.get("ctx", {})
    path, node, absent = list(root), raw, ""
    for part in fault["loc"]:  # pydantic's location also names union members, which are no part of the file
        try:
            node = node[part]
        except (LookupError, TypeError):
            absent = str(part)
        else:
            path.append(part)
    if kind == "unknown_name":
        return StudyError(fault["msg"], (*path, context["name"]))
    if kind == "missing":
        return StudyError(f"{absent!r} is missing", tuple(path))
    if kind == "value_error":  # raised by our own validators: the text is whole
        return StudyError(str(context["error"]), tuple(path))
    if kind == "literal_error":
        known = [part.strip("'") for part in context["expected"].replace(" or ", ", ").split(", ")]
        rule = "unknown name" if isinstance(node, str) else "must be a name, got"
        return StudyError(f"{rule} {shown(node)}{did_you_mean(str(node), known)}", tuple(path))
    if kind == "too_long":
        rule = f"must have at most {context['max_length']} items, got {context['actual_length']}"
        return StudyError(rule, tuple(path))
    rule = RULES.get(kind) or fault["msg"].replace("Input should", "must")
    return StudyError(f"{rule}, got {shown(node)}", tuple(path))


def shown(value: Any) -> str:
    """Write a value as in a study file, in one line that isn't long."""
    return clipped(_written(value))


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)
