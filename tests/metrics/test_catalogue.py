from __future__ import annotations

import math
import subprocess
import sys

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import expand, metric_names
from tutelage.metrics.catalogue import catalogue, parse
from tutelage.metrics.implementation import MetricImplementation, implementation


def test_a_groups_options_apply_to_its_members_and_duplicates_are_dropped():
    assert expand(["rouge", "rougeL"]) == ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    assert expand(["rouge:stemmer=false"])[0] == "rouge1:stemmer=false"


def test_every_metric_of_the_catalogue_is_implemented_and_described():
    for name, entry in catalogue().items():
        assert isinstance(implementation(parse(name)), MetricImplementation)
        assert entry.summary
        assert entry.low < entry.high
        assert not math.isnan(entry.low)
        assert (entry.target is not None) == (entry.better == "target")


def test_groups_and_metrics_are_listed():
    assert {"rouge", "rouge1", "accuracy", "states_fact"} <= set(metric_names())


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
def test_a_mistake_names_what_exists(text: str, word: str):
    with pytest.raises(InputError, match=word):
        expand([text])


def test_the_signature_names_metric_options_and_version():
    assert parse("rouge1:stemmer=false").signature.startswith("rouge1|stemmer:false|measure:f|")


def test_importing_the_metrics_loads_nothing_heavy():
    code = "import sys, tutelage.metrics; print([m for m in ('torch', 'transformers', 'scipy', 'nltk', 'sacrebleu', 'yaml') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
