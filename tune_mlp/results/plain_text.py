"""Text without control characters and text direction marks, which could change what a terminal or a page shows."""

from __future__ import annotations

import re

UNSEEN = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")
"""Control characters, without line breaks and tabs, and text direction marks."""
UNSEEN_OR_BREAK = re.compile(f"{UNSEEN.pattern}|[\\t\\n\\r]")


def escaped(text: str) -> str:
    """The text with such characters, tabs and line breaks as escapes, `\\x1b` for example."""
    return UNSEEN_OR_BREAK.sub(_escape, text)


def escaped_error(text: str) -> str:
    """The text of an error with such characters as escapes; its tabs and line breaks are kept."""
    return UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def checked(text: str) -> str:
    """The text; a ValueError where it has such characters."""
    if found := UNSEEN_OR_BREAK.search(text):
        raise ValueError(f"no control characters and no text direction marks, got {found[0]!a} in {text!a:.60}")
    return text
