"""Measured speeds that can't be are doubted."""

from __future__ import annotations

from tune_mlp.planning.plan import Layout, plausible


def test_a_layout_can_be_as_much_faster_as_it_has_cores_and_no_more() -> None:
    assert plausible([Layout(2, 1), Layout(1, 1, 0.5), Layout(1, 2, 0.7)])
    assert plausible([Layout(1, 1), Layout(8, 1, 7.5)])
    assert not plausible([Layout(2, 1), Layout(1, 1, 1 / 63.5)])
    assert not plausible([Layout(1, 1), Layout(2, 1, 63.5)])
