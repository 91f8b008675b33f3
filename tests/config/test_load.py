from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tutelage.config import from_mapping, load, resolved
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.hashing import of_json

BUNDLED = Path(__file__).parents[2] / "recipes"
SMALL = "model: m\ntasks:\n  - data: {path: rows.jsonl}\n"
WHOLE = """\
model: m
tasks:
  - name: sums
    data: {path: rows.jsonl}
    prompt: "Sum up.\\n\\n{{ text }}"
    completion: "{{ summary }}"
    split: {train: 240, validation: 0.1, test: 60, group_by: text}
    metrics: [rougeL]
tune:
  method: lora
  learning_rate: 1e-3
watch:
  - {benchmark: probe, limit: 50}
retain: {probe: 5}
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refusals(path, sets=(), **kwargs):
    with pytest.raises(InputError) as caught:
        load(path, sets, **kwargs)
    error = caught.value
    found = error.errors if isinstance(error, InputErrors) else (error,)
    for one in found:
        assert one.where, one
        assert one.found, one
        assert one.expected or one.fix, one
    return {str(one.where).removeprefix(f"{path}:"): one for one in found}


@pytest.mark.parametrize("name", ["dialogsum", "support-bot"])
def test_the_bundled_recipes_load(name):
    recipe = load(BUNDLED / f"{name}.yaml", benchmarks=["general-probe"])
    assert recipe.name == name
    assert recipe.root == BUNDLED
    assert recipe.tasks[0].name == name
    assert recipe.retain == {"general-probe": 5.0}


def test_the_smallest_recipe_has_sensible_defaults(written):
    recipe = load(written(SMALL))
    task = recipe.tasks[0]
    assert (recipe.name, recipe.model, task.name, task.max_new_tokens) == ("mine", "m", "rows", 64)
    assert (recipe.tune.method, recipe.tune.rate, recipe.tune.options["alpha"]) == ("lora", 5e-4, 32.0)
    assert load(written(SMALL), ["tune.method=full"]).tune.rate == 2e-5
    assert task.data.source().path == "rows.jsonl"
    assert task.split.settings().test == 0.1
    assert recipe.template_text() is None


def test_a_whole_recipe_keeps_counts_and_fractions_apart(written):
    recipe = load(written(WHOLE))
    settings = recipe.tasks[0].split.settings()
    assert (settings.train, settings.validation, settings.test, settings.group_by) == (240, 0.1, 60, "text")
    assert isinstance(settings.train, int)
    assert recipe.tune.learning_rate == 0.001
    assert recipe.watch[0].limit == 50


def test_resolved_is_plain_complete_and_loads_again_as_the_same(written, tmp_path):
    for text in (
        SMALL,
        WHOLE,
        (BUNDLED / "dialogsum.yaml").read_text(),
        (BUNDLED / "support-bot.yaml").read_text(),
    ):
        value = resolved(load(written(text)))
        assert value["tune"]["learning_rate"] > 0
        assert value["tune"]["alpha"] == 2 * value["tune"]["rank"]
        assert value["tune"]["truncate"] == {"side": "end"}
        assert str(tmp_path) not in str(value)
        again = written(yaml.safe_dump(value), "again.yaml")
        assert of_json(resolved(load(again))) == of_json(value)


def test_the_hash_knows_every_setting_and_not_the_layout(written):
    base = of_json(resolved(load(written(WHOLE))))
    assert of_json(resolved(load(written("# a comment\n" + WHOLE.replace("1e-3", "0.001"))))) == base
    assert of_json(resolved(load(written(WHOLE), ["tune.seed=1"]))) != base


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        (
            ("method: lora", "method: loar"),
            "10: tune.method",
            ("not one of the choices", "loar", "did you mean lora?"),
        ),
        (
            ("method: lora", "metod: lora"),
            "10: tune.metod",
            ("no field metod", "metod", "did you mean method?"),
        ),
        (("model: m", "modle: m"), "1: modle", ("no field modle", "modle", "did you mean model?")),
        (("rougeL", "rougL"), "8: tasks.0.metrics.0", ("no such metric", "rougL", "did you mean rougeL?")),
        (
            ("group_by: text", "groupby: text"),
            "7: tasks.0.split.groupby",
            ("no field groupby", "groupby", "did you mean group_by?"),
        ),
        (("1e-3", "1e-3x"), "11: tune.learning_rate", ("not a number", "1e-3x", "without quotes")),
        (("1e-3", "'1e-3'"), "11: tune.learning_rate", ("not a number", "1e-3", "without quotes")),
        (("1e-3", "0"), "11: tune.learning_rate", ("out of range", "0", "highest learning rate")),
        (("train: 240", "train: yes"), "7: tasks.0.split.train", ("not a share", "yes", "write 0.1")),
        (("test: 60", "test: 1.5"), "7: tasks.0.split.test", ("not a share", "1.5", "write 1 for a count")),
        (("test: 60", "test: -1"), "7: tasks.0.split.test", ("not a share", "-1", "write 0")),
        (
            ("group_by: text", "column: part"),
            "7: tasks.0.split",
            ("a column says the split", "column and test", "remove"),
        ),
        (("[rougeL]", "rougeL"), "8: tasks.0.metrics", ("not a list", "rougeL", "write [rougeL]")),
        (("[rougeL]", "[]"), "8: tasks.0.metrics", ("nothing is there", "[]", "leave it out")),
        (("name: sums", "name: a/b"), "3: tasks.0.name", ("not a name", "a/b", "name it so")),
        (("{{ text }}", "{{ text"), "5: tasks.0.prompt", ("not valid Jinja", "{{ text", "correct")),
        (
            ("{{ text }}", "{ text }"),
            "5: tasks.0.prompt",
            ("uses no field", "{ text }", "two pairs of braces"),
        ),
        (
            ("path: rows.jsonl", "path: a, hub: b/c"),
            "4: tasks.0.data",
            ("from a path or from the hub", "both", "keep one"),
        ),
        (
            ("path: rows.jsonl", "path: a, local: b"),
            "4: tasks.0.data",
            ("local goes with hub", "path and local", "remove local"),
        ),
        (
            ('    completion: "{{ summary }}"\n', ""),
            "3: tasks.0",
            ("prompt and completion, or a template", "prompt", "add the other"),
        ),
        (
            ("    prompt:", "    template: question-answer\n    prompt:"),
            "3: tasks.0",
            ("prompt and completion, or a template", "template", "remove template"),
        ),
        (
            ("    prompt:", "    template: questionanswer\n    prompt:"),
            "5: tasks.0.template",
            ("no such template", "questionanswer", "question-answer"),
        ),
        (
            ("retain: {probe: 5}", "retain: {prob: 5}"),
            "14: retain.prob",
            ("not watched", "prob", "did you mean probe?"),
        ),
        (
            ("retain: {probe: 5}", "retain: {probe: 500}"),
            "14: retain.probe",
            ("out of range", "500", "points"),
        ),
        (("limit: 50", "limit: 0"), "13: watch.0.limit", ("out of range", "0", "Most items of each part")),
        (
            ("{benchmark: probe, limit: 50}", "{limit: 50}"),
            "13: watch.0.benchmark",
            ("is missing", "limit", "write  benchmark:"),
        ),
        (
            ("  method: lora", "  targets: q_proj"),
            "10: tune.targets",
            ("not a choice of layers", "q_proj", "write [q_proj]"),
        ),
        (
            ("  method: lora", "  targets: gate_up"),
            "10: tune.targets",
            ("not a choice of layers", "gate_up", "did you mean gate-up?"),
        ),
        (("  method: lora", "  betas: [0.9]"), "10: tune.betas.1", ("too few", "0.9", "add")),
        (("  method: lora", "  rank: 1.5"), "10: tune.rank", ("not a whole number", "1.5", "whole number")),
        (("  method: lora", "  rank: true"), "10: tune.rank", ("not a whole number", "true", "whole number")),
        (
            ("  method: lora", "  activation_checkpointing: yes"),
            "10: tune.activation_checkpointing",
            ("not true or false", "yes", "true or false"),
        ),
        (("model: m", "model: 5"), "1: model", ("not text", "5", 'quotes: "5"')),
        (
            ("  - name: sums", "  - {name: sums, data: {path: x}}\n  - name: sums"),
            "4: tasks.1.name",
            ("two of one name", "sums", "rename"),
        ),
    ],
)
def test_a_mistake_says_where_what_and_what_to_do(written, change, where, says):
    (old, new), (problem, found, help_) = change, says
    assert old in WHOLE
    errors = refusals(written(WHOLE.replace(old, new, 1)))
    assert where in errors
    error = errors[where]
    assert problem in error.problem
    assert found in error.found
    assert help_ in f"{error.expected} {error.fix}"


def test_a_typo_in_a_benchmarks_name_when_they_are_known(written):
    path = written(WHOLE.replace("benchmark: probe", "benchmark: prob"))
    error = refusals(path, benchmarks=["probe", "mmlu"])["13: watch.0.benchmark"]
    assert "no such benchmark" in error.problem
    assert "did you mean probe?" in error.fix
    load(written(WHOLE.replace("probe", "./own/probe.yaml")), benchmarks=["probe"])


def test_all_mistakes_are_told_at_once(written):
    text = (
        WHOLE.replace("method: lora", "metod: lora")
        .replace("rougeL", "rougL")
        .replace("{probe: 5}", "{prob: 5}")
    )
    assert set(refusals(written(text))) == {"10: tune.metod", "8: tasks.0.metrics.0", "14: retain.prob"}


def test_one_mistake_is_told_once(written):
    assert set(refusals(written(SMALL.replace("path:", "pth:")))) == {"3: tasks.0.data.pth"}


@pytest.mark.parametrize(
    ("content", "problem", "found"),
    [
        (b"", "not a recipe", "nothing"),
        (b"- a\n", "not a recipe", "a list"),
        (b"just text\n", "not a recipe", "text"),
        (b"model: \xff\n", "not UTF-8", "0xff at byte 8"),
        (b"\xff\xfem\x00", "UTF-16", "ff fe"),
        (b"model: m\n" * 200_000, "too large", "bytes"),
        (b"model: m\ntasks: []\n", "nothing is there", "[]"),
        (b"model: m\n", "field tasks is missing", "model"),
    ],
)
def test_what_is_no_recipe(written, content, problem, found):
    (error,) = refusals(written(content)).values()
    assert problem in error.problem
    assert found in error.found


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match="the recipe is") as caught:
            load(path)
        assert str(path) in str(caught.value.where)


def test_set_changes_fields_and_list_items(written):
    recipe = load(
        written(WHOLE),
        [
            "tune.method=full",
            "tasks.0.metrics=[rouge1, rouge2]",
            "tasks.0.split.seed=7",
            "tasks.0.prompt={{ text }} in short:",
            "watch.0.limit=5",
            "watch.1.benchmark=other",
            "tune.truncate.side=start",
            "retain.other=2.5",
            "tune.steps=",
        ],
    )
    assert recipe.tune.method == "full"
    assert recipe.tasks[0].metrics == ("rouge1", "rouge2")
    assert recipe.tasks[0].split.seed == 7
    assert recipe.tasks[0].prompt == "{{ text }} in short:"
    assert [watch.benchmark for watch in recipe.watch] == ["probe", "other"]
    assert recipe.tune.truncate.side == "start"
    assert recipe.retain == {"probe": 5.0, "other": 2.5}


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        ("tune.rank=many", "--set tune.rank=many: tune.rank", "many"),
        ("tune.rnk=3", "--set tune.rnk=3: tune.rnk", "rnk"),
        ("tune.rank", "--set tune.rank", "tune.rank"),
        ("=3", "--set =3", "=3"),
        ("tune..rank=3", "--set tune..rank=3", "tune..rank=3"),
        ("tasks.5.name=x", "--set tasks.5.name=x", "tasks has 1 items"),
        ("tasks.first.name=x", "--set tasks.first.name=x", "tasks has 1 items"),
        ("model.size=3", "--set model.size=3", "model is text"),
    ],
)
def test_a_wrong_set_names_itself(written, change, where, found):
    errors = refusals(written(WHOLE), [change])
    assert where in errors
    assert found in errors[where].found


def test_plain_values_make_the_same_recipe(written):
    path = written(SMALL)
    assert from_mapping({"name": "mine", **yaml.safe_load(SMALL)}, root=path.parent) == load(path)
    with pytest.raises(InputError, match="there is no field modle"):
        from_mapping({"modle": "x", "tasks": [{"data": {"path": "x"}}]})


def test_a_bundled_chat_template_is_found_by_name(written):
    recipe = load(written(SMALL), ["chat_template=chatml-plain"])
    assert "im_start" in (recipe.template_text() or "")


@pytest.mark.parametrize(
    "told", ["a", {"data": {"path": "general.jsonl"}, "prompt": "{{ q }}", "completion": "{{ r }}"}]
)
def test_a_replay_is_written_down_as_it_is_read(told):
    tasks = [{"name": name, "data": {"path": "rows.jsonl"}} for name in "ab"]
    recipe = from_mapping({"name": "r", "tasks": tasks, "replay": {"from": told, "share": 0.1}})
    written = resolved(recipe)
    assert resolved(from_mapping(json.loads(json.dumps(written)))) == written
    assert "from" in written["replay"]
