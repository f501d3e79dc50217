"""Responses, each with the type of its content."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send


class MessageResponse(Response):
    """A message as JSON, or its JSON. What is asked for often is answered by it: FastAPI would check the message once more, and take a
    second turn of a thread for that."""

    media_type = "application/json"

    def render(self, content: BaseModel | bytes) -> bytes:
        """Return the body."""
        return content if isinstance(content, bytes) else content.model_dump_json().encode()


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


class FileDownload(FileResponse):
    """A file, always whole. Parts that a `Range` header asks for would be answers beside the API's description, and a wrong one, which
    HTTP lets a server ignore, would be refused in plain text."""

    def __init__(self, path: Path, name: str) -> None:
        """`name` is the one under which a browser saves it."""
        headers = {**attachment(name), "Accept-Ranges": "none"}
        super().__init__(path, media_type=BinaryResponse.media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]
        await super().__call__({**scope, "headers": headers}, receive, send)


class PageResponse(Response):
    """A page of HTML."""

    media_type = "text/html"


class EventsResponse(StreamingResponse):
    """A stream of server-sent events."""

    media_type = "text/event-stream"


def attachment(name: str) -> dict[str, str]:
    """Return the header that lets a browser save a file under this name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
