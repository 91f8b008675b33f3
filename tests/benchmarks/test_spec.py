from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.benchmarks.library import read_spec
from tutelage.benchmarks.spec import Spec
from tutelage.core.errors import InputError, InputErrors

HEAD = "version: 1\nname: shop\ntitle: A shop\nitems: items.jsonl\nparts:\n"
PART = "  a: {title: A, kind: choose}\n"


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """What is said against a spec's text."""
    monkeypatch.chdir(tmp_path)
    path = Path("my/spec.yaml")
    path.parent.mkdir()

    def read(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(InputError) as caught:
            read_spec(path)
        return caught.value

    return read


@pytest.fixture
def accept(tmp_path):
    def read(text):
        (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
        return read_spec(tmp_path / "spec.yaml")[0]

    return read


def test_the_smallest_spec_has_these_defaults(accept):
    spec = accept(HEAD + PART)
    assert (spec.metrics, spec.language, spec.development, spec.description) == (("accuracy",), "en", "", "")
    part = spec.parts["a"]
    assert (part.prompt, part.answer, part.prefix) == ("{{ input }}", "{{ choice }}", "")
    assert (part.normalise, part.choices) == ("none", ())


def test_a_spec_with_everything_is_read_as_it_stands(accept, spec, write):
    path = write(spec)
    assert read_spec(path / "spec.yaml")[0].model_dump()["parts"]["numbers"]["stop"] == ("\n",)
    text = (
        "\ufeff"
        + HEAD
        + "  a: {title: A, kind: choose, choices: [yes, no], answer: 'It is {{ choice }}', normalise: characters}\n"
    )
    part = accept(text).parts["a"]
    assert part.choices == ("yes", "no")  # texts: YAML 1.2 has no other truth than true and false
    assert part.normalise == "characters"


def test_parts_keep_their_order(accept):
    names = [f"p{n}" for n in (3, 1, 2, 10)]
    assert list(accept(HEAD + "".join(f"  {n}: {{title: A, kind: choose}}\n" for n in names)).parts) == names


@pytest.mark.parametrize("field", ["version", "name", "title", "items", "parts"])
def test_a_field_that_must_be_there_is_missed_by_name(refusal, field):
    text = (HEAD + PART) if field != "parts" else HEAD.replace("parts:\n", "")
    error = refusal("".join(line + "\n" for line in text.splitlines() if not line.startswith(field + ":")))
    assert error.problem == f"the field {field} is missing"
    assert error.where == f"my/spec.yaml:1: {field}"
    assert error.expected == Spec.model_fields[field].description
    assert error.fix == f"write  {field}:  and its value"


@pytest.mark.parametrize(
    "case",
    [
        ("version: 0", "1: version", "out of range", "0", "1 or more"),
        ("version: '1'", "1: version", "not a whole number", '"1"', "a whole number"),
        ("version: true", "1: version", "not a whole number", "true", "a whole number"),
        ("version: 1.5", "1: version", "not a whole number", "1.5", "a whole number"),
        ("name: my shop", "2: name", "not a name", '"my shop"', "letters, digits, . _ and -"),
        ("name: -shop", "2: name", "not a name", '"-shop"', "beginning with a letter or digit"),
        ("name: a/b", "2: name", "not a name", '"a/b"', "letters, digits, . _ and -"),
        ("name: 5", "2: name", "not text", "5", "text"),
        ("title: ''", "3: title", "nothing is there", '""', "some text"),
        ("title:", "3: title", "not text", "null", "text"),
        ("title: [a, b]", "3: title", "not text", 'a list: ["a", "b"]', "text"),
        ("items: ''", "4: items", "nothing is there", '""', "some text"),
        ("metrics: accuracy", "6: metrics", "not a list", '"accuracy"', "a list"),
        ("metrics: []", "6: metrics", "nothing is there", "[]", "at least one"),
        ("metrics: [accuracy, 5]", "6: metrics.1", "not text", "5", "text"),
        ("parts: {}", "5: parts", "nothing is there", "{}", "at least one"),
        ("parts: [a]", "5: parts", "not names with values", 'a list: ["a"]', "names with values"),
        ("parts: {a: 5}", "5: parts.a", "not fields with values", "5", "fields with values"),
    ],
)
def test_a_wrong_value_is_reported_with_its_line_and_what_is_expected(refusal, case):
    line, where, problem, found, expected = case
    field = line.partition(":")[0]
    lines = ["version: 1", "name: shop", "title: A shop", "items: i", "parts: {a: {title: A, kind: choose}}"]
    text = "\n".join(
        [
            *(line if own.startswith(field + ":") else own for own in lines),
            *([line] if field == "metrics" else []),
        ]
    )
    error = refusal(text)
    assert error.where == f"my/spec.yaml:{where}"
    assert error.problem == problem
    assert error.found == found
    assert expected in error.expected
    assert not any(word in error.block().lower() for word in ("tuple", "dictionary", "pattern", "instance"))


@pytest.mark.parametrize(
    "case",
    [
        ("{title: A, kind: chose}", "kind", "not one of the choices", '"chose"', "did you mean choose?"),
        ("{title: A, kind: quiz}", "kind", "not one of the choices", '"quiz"', "take one of these"),
        ("{title: A, kind: choose, anser: x}", "anser", "no field anser", "anser", "did you mean answer?"),
        ("{title: A, kind: choose, zzz: x}", "zzz", "no field zzz", "zzz", "remove it"),
        ("{kind: choose}", "title", "the field title is missing", "the fields", "write  "),
        ("{title: A}", "kind", "the field kind is missing", "the fields", "write  "),
        (
            "{title: A, kind: choose, prompt: 'What?'}",
            "prompt",
            "uses no field of the rows",
            '"What?"',
            "write the field's name",
        ),
        (
            "{title: A, kind: choose, prompt: '{{ title }}?'}",
            "prompt",
            "must read input",
            "title",
            "write {{ input }}",
        ),
        (
            "{title: A, kind: choose, answer: yes}",
            "answer",
            "uses no field of the rows",
            '"yes"',
            "write the field's name",
        ),
        ("{title: A, kind: choose, choices: [a]}", "choices", "two or more different texts", '"a"', None),
        (
            "{title: A, kind: choose, choices: [a, b, a]}",
            "choices",
            "two or more different",
            '"a", "b", "a"',
            None,
        ),
        ("{title: A, kind: choose, choices: [a, '']}", "choices", "two or more different", '"a", ""', None),
        ("{title: A, kind: choose, choices: [a, ' ']}", "choices", "two or more different", '"a", " "', None),
        (
            "{title: A, kind: choose, choices: ab}",
            "choices",
            "not a list",
            '"ab"',
            "write [ab]",
        ),
        ("{title: A, kind: choose, stop: [x]}", "stop", "no meaning for kind: choose", '["x"]', "remove it"),
        (
            "{title: A, kind: choose, max_new_tokens: 4}",
            "max_new_tokens",
            "no meaning for kind: choose",
            "4",
            "remove it",
        ),
        (
            "{title: A, kind: choose, extraction: whole}",
            "extraction",
            "no meaning for kind: choose",
            "whole",
            "remove it",
        ),
        (
            "{title: A, kind: choose, normalise: words}",
            "normalise",
            "not one of the choices",
            '"words"',
            "take one of these",
        ),
        (
            "{title: A, kind: generate}",
            "max_new_tokens",
            "allowed some tokens",
            "no such field",
            "set max_new_tokens",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 0}",
            "max_new_tokens",
            "allowed some tokens",
            "0",
            "set max_new_tokens",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: -1}",
            "max_new_tokens",
            "out of range",
            "-1",
            "the field says: For",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 5000}",
            "max_new_tokens",
            "out of range",
            "5000",
            "the field says: For",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 4, extraction: first-numbr}",
            "extraction",
            "no such extraction rule",
            "first-numbr",
            "did you mean first-number?",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 4, extraction: zzz}",
            "extraction",
            "no such extraction rule",
            "zzz",
            "take one of these",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 4, stop: ['']}",
            "stop",
            "a stop text is empty",
            '""',
            "remove it",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 4, choices: [a, b]}",
            "choices",
            "no meaning for kind: generate",
            '["a", "b"]',
            "remove it",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 4, answer: '{{ choice }}'}",
            "answer",
            "no meaning for kind: generate",
            "{{ choice }}",
            "remove it",
        ),
        (
            "{title: A, kind: generate, max_new_tokens: 4, normalise: none}",
            "normalise",
            "no meaning for kind: generate",
            "none",
            "remove it",
        ),
    ],
)
def test_a_parts_mistake_is_told_with_its_line_and_what_to_do(refusal, case):
    part, field, problem, found, fix = case
    error = refusal(HEAD + PART + "\n\n  b: " + part + "\n")
    assert error.where == f"my/spec.yaml:9: parts.b.{field}"
    assert problem in error.problem
    assert (found is None and error.found is None) or found in error.found
    assert fix is None or error.fix.startswith(fix)


@pytest.mark.parametrize(
    ("metric", "problem", "fix"),
    [
        ("acuracy", "there is no such metric", "did you mean accuracy?"),
        ("rouge1:stemer=false", "there is no such option", "did you mean stemmer?"),
        ("rouge1:stemmer=perhaps", "stemmer cannot be that", None),
        ("''", "there is no such metric", "choose one of these"),
    ],
)
def test_a_metric_that_is_not_known_is_refused_where_it_stands(refusal, metric, problem, fix):
    error = refusal(HEAD + PART + f"metrics:\n  - accuracy\n  - {metric}\n")
    assert error.where == "my/spec.yaml:9: metrics.1"
    assert (error.problem, error.fix) == (problem, fix)
    assert error.found
    assert error.expected


def test_all_mistakes_of_the_fields_come_at_once(refusal, mistakes):
    error = refusal(
        "version: 0\nname: a b\ntitel: x\nitems: ''\nmetrics: []\nparts:\n  a:\n    kind: chose\n"
    )
    assert isinstance(error, InputErrors)
    assert sorted(mistakes(error)) == [
        ("spec.yaml:1: title", "the field title is missing"),
        ("spec.yaml:1: version", "out of range"),
        ("spec.yaml:2: name", "not a name"),
        ("spec.yaml:3: titel", "there is no field titel"),
        ("spec.yaml:4: items", "nothing is there"),
        ("spec.yaml:5: metrics", "nothing is there"),
        ("spec.yaml:7: parts.a.title", "the field title is missing"),
        ("spec.yaml:8: parts.a.kind", "not one of the choices"),
    ]
    assert str(error).startswith("my/spec.yaml: 8 mistakes\n")
    assert "did you mean title?" in str(error)


def test_all_contradictions_come_at_once(refusal, mistakes):
    error = refusal(
        HEAD
        + "  a:\n    title: A\n    kind: generate\n    extraction: hole\n    choices: [x]\n    stop: ['', y]\n"
        + "  b:\n    title: B\n    kind: choose\n    prompt: none\n    answer: none\n    choices: [x]\n    stop: [y]\n"
        + "metrics: [rogue1, mc]\n"
    )
    assert sorted(mistakes(error)) == [
        ("spec.yaml:10: parts.a.choices", "choices has no meaning for kind: generate"),
        ("spec.yaml:11: parts.a.stop", "a stop text is empty"),
        ("spec.yaml:15: parts.b.prompt", "the template uses no field of the rows"),
        ("spec.yaml:16: parts.b.answer", "the template uses no field of the rows"),
        ("spec.yaml:17: parts.b.choices", "the choices must be two or more different texts"),
        ("spec.yaml:18: parts.b.stop", "stop has no meaning for kind: choose"),
        ("spec.yaml:19: metrics.0", "there is no such metric"),
        ("spec.yaml:19: metrics.1", "there is no such metric"),
        ("spec.yaml:6: parts.a.max_new_tokens", "an answer must be allowed some tokens"),
        ("spec.yaml:9: parts.a.extraction", "there is no such extraction rule"),
    ]


@pytest.mark.parametrize(
    ("text", "where", "problem", "found"),
    [
        ("", "my/spec.yaml", "not a benchmark spec", "nothing"),
        ("# nothing\n", "my/spec.yaml", "not a benchmark spec", "nothing"),
        ("- a\n", "my/spec.yaml", "not a benchmark spec", "a list"),
        ("version\n", "my/spec.yaml", "not a benchmark spec", "text"),
        ("version: 1\nname: a: b\n", "my/spec.yaml:2", "not valid YAML", "name: a: b"),
        ("version: 1\nversion: 2\n", "my/spec.yaml:2", "the key stands twice", "version a second time"),
        ("version: 1\nparts: &a {}\n", "my/spec.yaml:2", "not used here", "the anchor &a"),
        (b"version: 1\nname: caf\xe9\n", "my/spec.yaml:2", "not UTF-8", "0xe9"),
        ("version: 1\nname: a".encode("utf-16"), "my/spec.yaml:1", "not UTF-8", "0xff"),
    ],
)
def test_a_file_that_is_no_spec_is_refused_in_words(refusal, text, where, problem, found):
    error = refusal(text)
    assert error.where == where
    assert problem in error.problem
    assert found in error.found
    assert error.fix


def test_a_spec_that_is_not_there_or_a_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="the benchmark's spec is not there"):
        read_spec(tmp_path / "spec.yaml")
    with pytest.raises(InputError, match="the benchmark's spec is a folder"):
        read_spec(tmp_path)


@pytest.mark.parametrize("metric", ["states_fact", "multirc_em", "brier", "perplexity"])
def test_a_metric_that_reads_what_items_do_not_have_is_refused(refusal, metric):
    lines = ["version: 1", "name: shop", "title: A shop", "items: i", "parts: {a: {title: A, kind: choose}}"]
    error = refusal("\n".join([*lines, f"metrics: [{metric}]"]))
    assert (error.where, error.found) == ("my/spec.yaml:6: metrics.0", metric)
    assert "which these answers do not have" in error.problem


def test_the_first_metric_must_be_able_to_decide_a_verdict(refusal, monkeypatch):
    def refuse(name):
        raise InputError("cannot be the primary metric", found=name)

    monkeypatch.setattr("tutelage.metrics.check_primary", refuse)
    error = refusal(HEAD + PART + "metrics: [exact_match, accuracy]\n")
    assert (error.where, error.found) == ("my/spec.yaml:7: metrics.0", "exact_match")
    assert error.problem == "cannot be the primary metric"


SUBSET = "{title: The oldest, items: [items.jsonl]}"


@pytest.mark.parametrize(
    ("fields", "where", "problem"),
    [
        ({"added_items": "[items.jsonl]"}, "added_items.0", "the file stands twice"),
        ({"added_items": "[a.jsonl, a.jsonl]"}, "added_items.1", "the file stands twice"),
        ({"added_items": "['']"}, "added_items.0", "nothing is there"),
        ({"subsets": "{old: {title: Old, items: []}}"}, "subsets.old.items", "nothing is there"),
        ({"subsets": f"{{development: {SUBSET}}}"}, "subsets.development", "not a name for a subset"),
        ({"subsets": f"{{all: {SUBSET}}}"}, "subsets.all", "not a name for a subset"),
        ({"subsets": f"{{'a:b': {SUBSET}}}"}, "subsets", "not a name for a subset"),
        ({"subsets": "{old: {items: [items.jsonl]}}"}, "subsets.old", "the field title is missing"),
        ({"subsets": "{old: {title: Old, items: [itms.jsonl]}}"}, "subsets.old.items", "no such file"),
        (
            {"subsets": "{old: {title: Old, items: [items.jsonl, items.jsonl]}}"},
            "items",
            "the file stands twice",
        ),
    ],
)
def test_files_and_subsets_that_do_not_fit_are_told_with_their_place(refusal, fields, where, problem):
    head = {"items": "items.jsonl", **fields}
    text = HEAD.replace("items: items.jsonl\n", "".join(f"{name}: {value}\n" for name, value in head.items()))
    error = refusal(text + PART)
    assert where in str(error.where)
    assert problem in error.problem
