"""Responses that aren't JSON, each with the type of its content."""

from __future__ import annotations

from fastapi.responses import Response, StreamingResponse


class YamlResponse(Response):
    """A study's text."""

    media_type = "application/yaml"


class TextResponse(Response):
    """Plain text."""

    media_type = "text/plain"


class CsvResponse(Response):
    """A table as CSV."""

    media_type = "text/csv"


class ParquetResponse(Response):
    """A table as Parquet."""

    media_type = "application/vnd.apache.parquet"


class BinaryResponse(Response):
    """A file of a model."""

    media_type = "application/octet-stream"


class PageResponse(Response):
    """A page of HTML."""

    media_type = "text/html"


class EventsResponse(StreamingResponse):
    """A stream of server-sent events."""

    media_type = "text/event-stream"


def attachment(name: str) -> dict[str, str]:
    """Return the header that lets a browser save a file under this name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
