"""The options of an evaluation are declared once, and Python and the command line take these."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import tutelage
from tutelage.cli.evaluate import evaluate as command
from tutelage.cli.submit import submit as submit_command
from tutelage.evaluation.options import EvaluationOptions, SubmissionOptions, meaning

NAMES = {field.name for field in fields(EvaluationOptions)}
OTHER_NAMES = {"benchmarks": "benchmark", "against_base": "against", "data_dir": "data"}


def test_every_option_has_a_sentence_which_is_its_help():
    parameters = inspect.signature(command, eval_str=True).parameters
    assert {OTHER_NAMES.get(name, name) for name in NAMES} == set(parameters) - {"json"}
    for name in NAMES:
        assert meaning(name).endswith(".")
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text("utf-8")
    for name in NAMES - {"model", "benchmarks", "data_dir", "out"}:
        assert meaning(name) in page
    for name in NAMES - {"data_dir", "out"}:  # which all commands share
        assert meaning(name) in parameters[OTHER_NAMES.get(name, name)].annotation.__metadata__[0].help


def test_a_submission_reaches_the_model_by_the_same_options():
    parameters = inspect.signature(submit_command, eval_str=True).parameters
    names = {field.name for field in fields(SubmissionOptions)}
    assert {OTHER_NAMES.get(name, name) for name in names} == set(parameters) - {"json"}
    assert meaning("chat_template", SubmissionOptions) == meaning("chat_template")
    assert (
        parameters["chat_template"] == inspect.signature(command, eval_str=True).parameters["chat_template"]
    )


def test_python_takes_the_same_options_and_no_others():
    with pytest.raises(TypeError, match="limt"):
        tutelage.evaluate("model", "general-probe", limt=3)
    with pytest.raises(tutelage.InputError, match="there is no") as caught:
        tutelage.evaluate("./no-such-model", "general-probe", limit=3, first=True)
    assert "no-such-model" in str(caught.value)
