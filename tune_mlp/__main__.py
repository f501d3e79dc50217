"""`python -m tune_mlp WORD` is `tune-mlp WORD`."""

import sys

from tune_mlp.cli import main

sys.exit(main())
