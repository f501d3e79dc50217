"""What a worker of our own Ray imports as soon as it runs, while the driver still prepares; `cluster.py` gives Ray its name.

A worker is a process that is all ours: what was made so far stays, and garbage is never again looked for in it."""

from __future__ import annotations

import gc

from tune_mlp.imports import large_imports

with large_imports():
    import torch  # noqa: F401

    import tune_mlp.tuning.trainable  # noqa: F401

    gc.freeze()
