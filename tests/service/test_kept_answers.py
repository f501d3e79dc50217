"""Answers that are kept: the same bytes for the same table, and none of an older one."""

from __future__ import annotations

import gc
import weakref

import pandas as pd

from tune_mlp.service.kept_answers import KEPT, MOST_BYTES, KeptAnswers


class Writing:
    """Counts how often an answer was written."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return str(self.times).encode().ljust(self.size)


def test_an_answer_is_written_once_while_the_table_is_the_same() -> None:
    kept, table, writing = KeptAnswers(), pd.DataFrame({"a": [1]}), Writing()
    assert kept.of(table, "first page", writing) == kept.of(table, "first page", writing)
    assert writing.times == 1
    kept.of(table, "second page", writing)
    assert writing.times == 2


def test_another_table_is_written_anew_even_if_it_is_equal() -> None:
    kept, table, writing = KeptAnswers(), pd.DataFrame({"a": [1]}), Writing()
    kept.of(table, "page", writing)
    kept.of(table.copy(), "page", writing)
    assert writing.times == 2
    kept.of(table, "page", writing)
    assert writing.times == 3, "the last table's answer alone is kept"


def test_a_table_that_nobody_needs_isnt_held() -> None:
    kept, table = KeptAnswers(), pd.DataFrame({"a": [1]})
    held = weakref.ref(table)
    kept.of(table, "page", Writing())
    del table
    gc.collect()
    assert held() is None


def test_few_and_short_answers_are_kept() -> None:
    kept, table, long, short = KeptAnswers(), pd.DataFrame({"a": [1]}), Writing(MOST_BYTES + 1), Writing()
    for _ in range(2):
        kept.of(table, "long", long)
    assert long.times == 2
    for page in range(KEPT + 1):
        kept.of(table, page, short)
    kept.of(table, KEPT, short)
    kept.of(table, 1, short)
    assert short.times == KEPT + 1
    kept.of(table, 0, short)
    assert short.times == KEPT + 2, "the one that was asked for longest ago has gone"
