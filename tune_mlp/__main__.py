"""`python -m tune_mlp WORD` is `tune-mlp WORD`."""

from typing import NoReturn

from tune_mlp.early_interrupt import answer_interrupts


def command() -> NoReturn:
    """Run `tune-mlp` as a process, and end it."""
    answer_interrupts()
    from tune_mlp.cli import command  # late: it takes half a second, in which Ctrl-C must be answered

    command()


if __name__ == "__main__":
    command()
