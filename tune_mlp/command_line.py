"""Command lines that a message suggests, quoted so that they can be pasted into a shell as they stand."""

from __future__ import annotations

import shlex


def command_line(*words: object) -> str:
    """Write a `tune-mlp` command with these words: `tune-mlp export 'runs/my run' --to xlsx`."""
    return shlex.join(["tune-mlp", *map(str, words)])


def option(name: str, value: object) -> str:
    """Write one option and its value: `--dataset my_data:load`."""
    return shlex.join([name, str(value)])
