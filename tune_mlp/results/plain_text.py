"""Text that can be shown anywhere: it has no control characters and no text direction marks, which could change what a terminal
or a page shows, and it isn't a formula to a spreadsheet that opens a table."""

from __future__ import annotations

import re

UNSEEN = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")
"""Control characters, without line breaks and tabs, and text direction marks."""
FORMULA = ("=", "+", "-", "@")
"""A spreadsheet takes a cell that begins with one of these for a formula, and computes it."""
UNSEEN_OR_BREAK = re.compile(f"{UNSEEN.pattern}|[\\t\\n\\r]")


def escaped(text: str) -> str:
    """Return the text with such characters, tabs and line breaks as escapes, `\\x1b` for example."""
    return UNSEEN_OR_BREAK.sub(_escape, text)


def escaped_error(text: str) -> str:
    """Return the text of an error with such characters as escapes, and a first one that would make it a formula, too. Its tabs
    and line breaks are kept."""
    formula = rf"\x{ord(text[0]):02x}{text[1:]}" if text.startswith(FORMULA) else text
    return UNSEEN.sub(_escape, formula)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def checked(text: str) -> str:
    """Return the text; raise a ValueError if it has such characters, or begins as a formula does."""
    if found := UNSEEN_OR_BREAK.search(text):
        raise ValueError(f"no control characters and no text direction marks, got {found[0]!a} in {text!a:.60}")
    if text.startswith(FORMULA):
        raise ValueError(
            f"must not begin with {' or '.join(FORMULA)}, as a spreadsheet's formula does, got {text!r:.60}"
        )
    return text
