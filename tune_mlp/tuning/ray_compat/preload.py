"""What a worker of our own Ray imports as soon as it runs, while the driver still prepares; `cluster.py` gives Ray its name.

A worker is a process that is all ours: what was made so far stays, and garbage is never again looked for in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib

from tune_mlp.imports import large_imports

# What can't be imported is said by the first trial's setup. Here it would end the process, and Ray would start the next one.
with contextlib.suppress(BaseException), large_imports():
    importlib.import_module("torch")
    importlib.import_module("tune_mlp.tuning.trainable")
    gc.freeze()
