"""A module that each worker of our own Ray imports as soon as it starts, while the driver still prepares the study.

`cluster_start.PRELOAD` tells Ray its name. The worker trains trials of one study and nothing else, so all objects that exist
after the imports stay to its end, and the garbage collector needn't look at them again.
"""

from __future__ import annotations

import contextlib
import gc
import importlib

from tune_mlp.imports import large_imports

# An import that fails here would end the process, and Ray would start another one. The first trial's setup fails on the same
# import, and reports it.
with contextlib.suppress(BaseException), large_imports():
    importlib.import_module("torch")
    importlib.import_module("tune_mlp.tuning.trainable")
    gc.freeze()
