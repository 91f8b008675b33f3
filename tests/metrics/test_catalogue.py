from __future__ import annotations

import math
import subprocess
import sys

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import check, expand, higher_is_better
from tutelage.metrics.catalogue import catalogue, parse
from tutelage.metrics.implementation import MetricImplementation, implementation


def test_a_group_hands_its_options_on_and_doubles_go():
    assert expand(["rouge", "rougeL"]) == ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    assert expand(["rouge:stemmer=false"])[0] == "rouge1:stemmer=false"


def test_every_metric_of_the_catalogue_has_a_family_and_is_told():
    for name, entry in catalogue().items():
        assert isinstance(implementation(parse(name)), MetricImplementation)
        assert entry.summary
        assert entry.low < entry.high
        assert not math.isnan(entry.low)
        assert higher_is_better(name) is (entry.better == "higher")


def test_groups_and_metrics_are_listed():
    assert {"rouge", "rouge1", "accuracy", "states_fact"} <= set(catalogue())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("rogue1", "rouge1"),
        ("rouge1:stemer=false", "stemmer"),
        ("rouge1:stemmer=no", "true or false"),
        ("rouge1:stemmer", "key=value"),
        ("", "empty name"),
        ("accuracy:x=1", "has no options"),
    ],
)
def test_a_mistake_says_what_is_known(text: str, word: str):
    with pytest.raises(InputError, match=word):
        check(text)


def test_the_signature_names_metric_options_and_version():
    assert parse("rouge1:stemmer=false").signature.startswith("rouge1|stemmer:false|measure:f|")


def test_importing_the_metrics_loads_nothing_heavy():
    code = "import sys, tutelage.metrics; print([m for m in ('torch', 'transformers', 'scipy', 'nltk', 'sacrebleu', 'yaml') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
