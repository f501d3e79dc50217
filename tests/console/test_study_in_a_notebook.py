"""What a notebook shows of a study that hasn't run yet."""

from __future__ import annotations

from tune_mlp.api import Study


def test_a_study_is_shown_with_its_parameters_and_the_settings_that_were_given() -> None:
    space = {"lr": {"log": [0.001, 0.1]}, "width": 8}
    shown = Study.model_validate(
        {"name": "mine", "data": {"name": "digits"}, "space": space, "trials": 7}
    )._repr_html_()
    assert "<b>mine</b>" in shown
    assert "<tr><td>lr</td><td>{log: [0.001, 0.1]}</td></tr>" in shown
    assert "<tr><td>trials</td><td>7</td></tr>" in shown
    assert "patience" not in shown, "nobody gave it"


def test_text_of_a_study_is_never_taken_for_html() -> None:
    study = Study.model_validate(
        {"description": "<script>", "data": {"name": "csv:<b>.csv", "target": "y"}, "space": {"width": 8}}
    )
    assert "<script>" not in study._repr_html_()
    assert "csv:<b>" not in study._repr_html_()
