"""The pages that a browser shows: rendered on the server, under the same address as the API."""

from tune_mlp.service.pages.error_pages import error_page
from tune_mlp.service.pages.router import router

__all__ = ["error_page", "router"]
