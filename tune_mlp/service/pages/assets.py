"""The pages' static files, under addresses that change with their content, so that a browser may keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from tune_mlp.charts.theme import css_variables
from tune_mlp.service.faults import UnknownStudy

router = APIRouter(include_in_schema=False)

THEME = "theme.css"
"""The colours of the charts as CSS; it is made from the charts' theme, not a file."""
SHARED = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js", "chart_fit.js")
"""The files that the report holds, too; there is one copy of them, beside the report."""
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A static file as it is sent."""

    content: bytes
    packed: bytes
    """The content, compressed by gzip."""
    kind: str
    digest: str
    """The start of the content's SHA-256, which stands in the file's address."""


@cache
def assets() -> dict[str, Asset]:
    """Return all static files by their names, read once."""
    found = {THEME: _asset(THEME, css_variables().encode())}
    own = Path(str(resources.files("tune_mlp.service").joinpath("static")))
    for path in sorted(own.iterdir()):
        if path.suffix in KINDS:
            found[path.name] = _asset(path.name, path.read_bytes())
    report = Path(str(resources.files("tune_mlp.report").joinpath("assets")))
    for name in SHARED:
        text = (report / name).read_text(encoding="utf-8")
        found[name] = _asset(name, _without_source_map(text).encode())
    return found


def address_of(name: str) -> str:
    """Return where a static file is found, such as `/static/0a1b2c3d4e/app.js`."""
    return f"/static/{assets()[name].digest}/{name}"


@router.get("/static/{digest}/{name}")
def static_file(request: Request, digest: str, name: str) -> Response:
    """Send a static file; the browser asks for it once."""
    asset = assets().get(name)
    if asset is None or asset.digest != digest:
        raise UnknownStudy(f"there is no file {name!r:.60} of this version")
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.kind, headers=headers)


@router.get("/favicon.ico")
def favicon() -> Response:
    """Send the icon, for browsers that ask for it under its old name."""
    asset = assets()["icon.svg"]
    return Response(asset.content, media_type=asset.kind, headers={"Cache-Control": "public, max-age=86400"})


def _asset(name: str, content: bytes) -> Asset:
    digest = hashlib.sha256(content).hexdigest()[:10]
    return Asset(content, gzip.compress(content, 9, mtime=0), KINDS[Path(name).suffix], digest)


def _without_source_map(text: str) -> str:
    """Leave out the line that names a file that isn't served."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("//# sourceMappingURL"))
