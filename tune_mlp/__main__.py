"""`python -m tune_mlp WORD` is `tune-mlp WORD`."""

from tune_mlp.cli import command

command()
