"""Data from a user's own function, `package.module:function`, which is called once and whose result is checked."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import fields
from typing import Any

from tune_mlp.data.arrays import check, from_arrays
from tune_mlp.data.dataset import Dataset
from tune_mlp.errors import DataError, did_you_mean, one_line


def load_custom(name: str, task: str) -> Dataset:
    """Call the function, which returns a Dataset, (x, y) or (x, y, x_test, y_test), and return a Dataset."""
    module_name, _, function_name = name.partition(":")
    folder = _working_directory(name)
    added = folder not in sys.path
    if added:
        sys.path.append(folder)  # at the end: the user named this one module, and no other file here replaces a package
    try:
        function = _function(name, module_name, function_name)
        made = function()
    except DataError:
        raise
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise DataError(f"{name}: the function failed: {one_line(error)}") from error
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)
    if isinstance(made, Dataset):
        check(made, name)
        # The base class: workers can't import the user's module, in which a subclass may be defined.
        return Dataset(**{field.name: getattr(made, field.name) for field in fields(Dataset)})
    if not isinstance(made, tuple) or len(made) not in (2, 4):
        got = f"{len(made)} values" if isinstance(made, tuple) else type(made).__name__
        raise DataError(f"{name}: must return a Dataset, (x, y) or (x, y, x_test, y_test), got {got}")
    try:
        return from_arrays(name, made, task, name)
    except DataError:
        raise
    except Exception as error:  # for example ragged lists, or a tensor that NumPy can't read
        raise DataError(f"{name}: what it returned can't be made into arrays: {one_line(error)}") from error


def _working_directory(name: str) -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise DataError(f"{name}: can't be looked for, since the working directory no longer exists") from None


def _function(name: str, module_name: str, function_name: str) -> Any:
    if not module_name or not function_name:
        raise DataError(f"{name}: expected package.module:function")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise DataError(f"{name}: there is no module {module_name!r} here or among the installed ones") from error
        raise DataError(f"{name}: importing {module_name} failed: {one_line(error)}") from error
    except (Exception, SystemExit) as error:  # a module's code may raise anything
        raise DataError(f"{name}: importing {module_name} failed: {one_line(error)}") from error
    function = getattr(module, function_name, None)
    if function is None:
        hint = did_you_mean(function_name, [key for key in vars(module) if not key.startswith("_")])
        raise DataError(f"{name}: module {module_name} has no {function_name!r}{hint}")
    if not callable(function):
        raise DataError(f"{name}: {function_name!r} must be a function, got {type(function).__name__}")
    return function
