"""Markup: HTML that is built from text, which is escaped here and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable

EMPTY_TAGS = ("img", "br", "meta", "link", "input", "col")
"""The tags that have no inside and no end."""


class Markup(str):
    """Text that is HTML already. Any other text is escaped where it is put into a tag."""

    __slots__ = ()


Inner = str | Iterable["Inner"] | None
"""What a tag may hold: text, markup, several of them, or nothing."""


def join(inner: Inner) -> Markup:
    """Return text and markup, one after the other, as markup."""
    if inner is None:
        return Markup()
    if isinstance(inner, Markup):
        return inner
    if isinstance(inner, str):
        return Markup(html.escape(inner, quote=False))
    return Markup("".join(map(join, inner)))


def tag(name: str, /, *inner: Inner, **attributes: object) -> Markup:
    """Return an element: `tag("p", "a < b", class_="note")`. An underscore stands for a dash, and one at the end is dropped.

    An attribute that is None or False is left out, and one that is True has no value.
    """
    said = [
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    start = f"<{name}{''.join(said)}>"
    return Markup(start if name in EMPTY_TAGS else f"{start}{join(inner)}</{name}>")


def prose(text: str) -> Markup:
    """Write a sentence in which words between backquotes are code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return join(text)
    return join([tag("code", part) if place % 2 else part for place, part in enumerate(parts)])


def written(inner: Inner) -> Markup:
    """Write text and markup; in the text words between backquotes are code."""
    if inner is None or isinstance(inner, Markup):
        return join(inner)
    return prose(inner) if isinstance(inner, str) else join([written(one) for one in inner])


def script(text: str, **attributes: object) -> Markup:
    """Return a script, or an island of data, which the text can't leave."""
    assert "</script" not in text.lower()
    assert "<!--" not in text
    return Markup(f"{tag('script', **attributes)[:-9]}{text}</script>")


def listed(items: Iterable[Inner]) -> Markup:
    """Write items as a sentence does: `a, b and c`."""
    parts = [join(item) for item in items]
    if len(parts) < 2:
        return join(parts)
    return Markup(f"{', '.join(parts[:-1])} and {parts[-1]}")
