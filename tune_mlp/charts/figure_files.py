"""Figures as files: each chart as PNG and SVG, each picture as PNG, and one page that shows them all and loads nothing."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

import vl_convert

from tune_mlp.charts.figure import Figure
from tune_mlp.charts.theme import DARK, LIGHT
from tune_mlp.errors import StorageError
from tune_mlp.runs.run_folder import write_text

PAGE_NAME = "index.html"
LARGER = 2.0
"""The factor by which a chart's PNG has more pixels than the chart has."""


def check_folder(folder: Path) -> None:
    """Make the folder, or refuse one that can't be written, before anything is worked out."""
    probe = folder / ".tune-mlp.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise StorageError(f"--output {folder}: can't be written: {error.strerror or error}") from None


def svg_of(figure: Figure, look: str = "light") -> str:
    """Return a chart as SVG."""
    found: str = vl_convert.vegalite_to_svg(figure.themed(look).to_dict(validate=False))
    return found


def file_names(figure: Figure) -> list[str]:
    """Return the names of a figure's files."""
    if figure.chart is not None:
        return [f"{figure.name}.png", f"{figure.name}.svg"]
    return [f"{figure.name}-{number}.png" for number in range(1, len(figure.images) + 1)]


def write_figures(folder: Path, figures: Sequence[Figure], title: str, lines: Sequence[str] = ()) -> Path:
    """Write all figures and their page into a folder; return the page's path."""
    sections = [write_figure(folder, figure) for figure in figures]
    text = PAGE.substitute(
        title=html.escape(title),
        lines="".join(f"<p>{html.escape(line)}</p>" for line in lines),
        body="\n".join(sections),
        light=LIGHT.background,
        light_text=LIGHT.text,
        light_quiet=LIGHT.quiet,
        light_grid=LIGHT.grid,
        dark=DARK.background,
        dark_text=DARK.text,
        dark_quiet=DARK.quiet,
        dark_grid=DARK.grid,
    )
    write_text(folder / PAGE_NAME, text)
    return folder / PAGE_NAME


def write_figure(folder: Path, figure: Figure, prefix: str = "") -> str:
    """Write the files of a figure, whose names begin with `prefix`; return what shows it on a page, in HTML."""
    names = file_names(figure)
    try:
        if figure.chart is not None:
            light = svg_of(figure)
            (folder / (prefix + names[0])).write_bytes(vl_convert.svg_to_png(light, scale=LARGER))
            (folder / (prefix + names[1])).write_text(light, encoding="utf-8")
            return _section(figure, _chart(figure, light))
        for name, image in zip(names, figure.images, strict=True):
            (folder / (prefix + name)).write_bytes(image.png)
        return _section(figure, _images(figure))
    except OSError as error:
        raise StorageError(f"{folder}: can't be written: {error.strerror or error}") from None


def _chart(figure: Figure, light: str) -> str:
    """Return the chart in both looks, of which a browser shows the one that its user likes."""
    dark = svg_of(figure, "dark")
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_inline(dark.encode(), "svg+xml")}">'
        f'<img src="{_inline(light.encode(), "svg+xml")}" alt="{html.escape(f"{figure.title}. {figure.finding}")}"></picture>'
    )


def _images(figure: Figure) -> str:
    shown = "".join(
        f'<figure><img src="{_inline(image.png, "png")}" alt="{html.escape(image.alt)}">'
        f"<figcaption>{html.escape(image.caption)}</figcaption></figure>"
        for image in figure.images
    )
    return f'<h2>{html.escape(figure.title)}</h2><p>{html.escape(figure.finding)}</p><div class="images">{shown}</div>'


def _inline(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _section(figure: Figure, shown: str) -> str:
    said = " ".join([figure.caption, *figure.notes])
    return f'<section id="{html.escape(figure.name)}">{shown}<p class="caption">{html.escape(said)}</p></section>'


PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$title</title>
<style>
:root { color-scheme: light dark; --page: $light; --ink: $light_text; --soft: $light_quiet; --line: $light_grid; }
@media (prefers-color-scheme: dark) { :root { --page: $dark; --ink: $dark_text; --soft: $dark_quiet; --line: $dark_grid; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1rem; margin: 0; }
p { margin: .25rem 0 .75rem; max-width: 50rem; }
section { border-top: 1px solid var(--line); padding: 1.25rem 0; }
.caption, figcaption { color: var(--soft); font-size: .875rem; }
img { max-width: 100%; height: auto; }
.images { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; max-width: 100%; width: min-content; min-width: 7.5rem; } figure img { max-width: 100vw; display: block; }
</style>
</head>
<body>
<h1>$title</h1>
$lines
$body
</body>
</html>
""")
