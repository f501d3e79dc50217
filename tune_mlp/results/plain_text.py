"""Text without control characters and text direction marks, which could change what a terminal or a page shows."""

from __future__ import annotations

import re

UNSEEN = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")
"""Control characters, without line breaks and tabs, and text direction marks."""
UNSEEN_OR_BREAK = re.compile(f"{UNSEEN.pattern}|[\\t\\n\\r]")


def escaped(text: str, line_breaks: bool = True) -> str:
    """The text with such characters as escapes, `\\x1b` for example; `line_breaks` escapes tabs and line breaks, too."""
    return (UNSEEN_OR_BREAK if line_breaks else UNSEEN).sub(
        lambda found: found[0].encode("unicode_escape").decode(), text
    )


def checked(text: str) -> str:
    """The text; a ValueError where it has such characters."""
    if found := UNSEEN_OR_BREAK.search(text):
        raise ValueError(f"no control characters and no text direction marks, got {found[0]!a} in {text!a:.60}")
    return text
