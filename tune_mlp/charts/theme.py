"""The look of all charts, light and dark: colours that colour-blind people can tell apart, and named styles of marks.

A chart names a style or a range of colours, never a colour, so that one chart can be shown light and dark.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
WIDTH = 640
"""The width of a chart that stands alone; the report makes it as wide as the page."""
HEIGHT = 320

ACCENT, SECOND, MUTED, BAND, REFERENCE, LABEL = "accent", "second", "muted", "band", "reference", "label"
"""The styles of marks: what the chart is about, what it is held against, all the others, a spread, a line to compare with, text."""
HALO, QUIET = "halo", "quiet"
"""Two further styles: text in the background's colour, to be drawn wider below a label that crosses marks; thin lines, as of axes."""


class Palette(NamedTuple):
    """The colours of one look."""

    background: str
    text: str
    quiet: str
    """Text that is less important, such as the numbers at an axis."""
    grid: str
    categories: tuple[str, ...]
    """Colours of categories, after Okabe and Ito (2008); the first is the accent, the second its opposite."""
    muted: str
    ramp: str
    """The scheme of ordered colours, which also reads in shades of grey."""
    shown: tuple[float, float]
    """The part of the scheme that can be told from the background."""


LIGHT = Palette(
    background="#ffffff",
    text="#1c2128",
    quiet="#57606a",
    grid="#e4e7eb",
    categories=("#0072b2", "#d55e00", "#009e73", "#a8508c", "#b77900", "#3b9bd4", "#6e6259", "#7a4fc9"),
    muted="#8b949e",
    ramp="viridis",
    shown=(0.0, 0.9),
)
DARK = Palette(
    background="#14181d",
    text="#e6e9ed",
    quiet="#a3acb6",
    grid="#2c333b",
    categories=("#56b4e9", "#ff9f4a", "#33c79c", "#e39ac8", "#f0d14a", "#8fb0ff", "#c4b5a5", "#c3a5ff"),
    muted="#77828e",
    ramp="viridis",
    shown=(0.3, 1.0),
)
LOOKS = {"light": LIGHT, "dark": DARK}


def config(look: str = "light") -> dict[str, Any]:
    """Return the Vega-Lite configuration of a look. It holds every colour that a chart shows."""
    palette = LOOKS[look]
    accent, second = palette.categories[:2]
    text = {"color": palette.text, "font": FONT}
    ramp = {"scheme": palette.ramp, "extent": list(palette.shown)}
    return {
        "background": palette.background,
        "font": FONT,
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": HEIGHT},
        "axis": {
            "domainColor": palette.quiet,
            "gridColor": palette.grid,
            "labelColor": palette.quiet,
            "labelFontSize": 12,
            "tickColor": palette.quiet,
            "titleColor": palette.text,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
        },
        "legend": {
            "labelColor": palette.quiet,
            "labelFontSize": 12,
            "titleColor": palette.text,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
        },
        "header": {"labelColor": palette.text, "labelFontSize": 12, "titleColor": palette.text},
        "title": {
            **text,
            "anchor": "start",
            "fontSize": 14,
            "fontWeight": 600,
            "offset": 12,
            "subtitleColor": palette.quiet,
            "subtitleFont": FONT,
            "subtitleFontSize": 12,
        },
        "range": {
            "category": list(palette.categories),
            "ordinal": ramp,
            "ramp": ramp,
            "heatmap": ramp,
            "diverging": {"scheme": "blueorange"},
        },
        "mark": {"color": accent},
        "text": {**text, "fontSize": 12},
        "line": {"strokeWidth": 1.5},
        "point": {"size": 50, "filled": True},
        "bar": {"cornerRadiusEnd": 2},
        "style": {
            ACCENT: {"color": accent, "fill": accent, "stroke": accent},
            SECOND: {"color": second, "fill": second, "stroke": second},
            MUTED: {"color": palette.muted, "fill": palette.muted, "stroke": palette.muted},
            BAND: {"color": accent, "fill": accent, "stroke": None, "fillOpacity": 0.18},
            REFERENCE: {"color": palette.quiet, "stroke": palette.quiet, "strokeDash": [4, 3]},
            HALO: {"fill": palette.background, "stroke": palette.background, "strokeWidth": 4, "strokeJoin": "round"},
            QUIET: {"color": palette.quiet, "fill": palette.quiet, "stroke": palette.quiet},
            LABEL: {**text, "fill": palette.text, "stroke": None, "fontSize": 12},
        },
    }


def css_variables() -> str:
    """Return the colours of the looks as CSS, so that a page has those of its charts."""
    said = {}
    for look, palette in LOOKS.items():
        colours = {
            "background": palette.background,
            "text": palette.text,
            "quiet": palette.quiet,
            "line": palette.grid,
            "accent": palette.categories[0],
            "second": palette.categories[1],
            "muted": palette.muted,
            **{f"category-{number}": colour for number, colour in enumerate(palette.categories, 1)},
        }
        said[look] = f"color-scheme:{look};" + "".join(f"--{name}:{colour};" for name, colour in colours.items())
    dark = f"@media screen and (prefers-color-scheme:dark){{:root:not([data-look=light]){{{said['dark']}}}}}"
    return f":root{{--font:{FONT};{said['light']}}}{dark}@media screen{{:root[data-look=dark]{{{said['dark']}}}}}"
