"""The routes of the HTTP API, all below /api."""
