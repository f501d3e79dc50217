"""The compiled engine: numba's only importer."""
