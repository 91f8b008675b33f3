from __future__ import annotations

import json

import pytest

from tutelage.config import load
from tutelage.config.init import init
from tutelage.config.init_columns import UnclearColumnsError
from tutelage.core.errors import InputError, InputErrors

LONG = "a summary of more than a handful of words, number {}"


@pytest.fixture(autouse=True)
def no_model_at_hand(tmp_path_factory, monkeypatch):
    """Lengths are then estimates, the same on every machine."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path_factory.getbasetemp() / "no-cache"))


def made(tmp_path, rows, name="rows.jsonl", folder=None, **chosen):
    data = tmp_path / name
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = (folder or tmp_path) / "mine.yaml"
    recipe.parent.mkdir(exist_ok=True)
    recipe.write_text(init(data, folder=recipe.parent, **chosen))
    return recipe.read_text(), load(recipe, benchmarks=["general-probe"])


def test_known_columns_make_a_recipe_that_loads_and_renders(tmp_path):
    rows = [{"dialogue": f"Hello {n}.", "summary": LONG.format(n), "id": n} for n in range(50)]
    text, recipe = made(tmp_path, rows)
    task = recipe.tasks[0]
    assert "50 rows with the columns dialogue, summary, id" in text
    assert "the template dialogue-summary fits them" in text
    assert task.prompt == "Summarize the following conversation.\n\n{{ dialogue }}"
    assert task.metrics == ("rougeL", "rouge1", "rouge2")
    assert task.max_new_tokens == 24
    assert recipe.tune.max_length == 128
    assert (tmp_path / task.data.path).is_file()


def test_the_path_is_relative_to_where_the_recipe_lies(tmp_path):
    rows = [{"prompt": f"p{n}", "completion": LONG.format(n)} for n in range(5)]
    _, recipe = made(tmp_path, rows, folder=tmp_path / "recipes")
    assert recipe.tasks[0].data.path == "../rows.jsonl"


def test_repeated_short_completions_are_labels(tmp_path):
    rows = [{"text": f"text {n}", "label": ["good", "quite bad"][n % 2]} for n in range(20)]
    text, recipe = made(tmp_path, rows)
    assert recipe.tasks[0].metrics == ("accuracy",)
    assert "for 2 labels" in text
    assert recipe.tasks[0].max_new_tokens == 8


def test_short_answers_that_differ_are_matched_exactly(tmp_path):
    rows = [{"question": f"What is {n}+1?", "answer": str(n + 1)} for n in range(20)]
    assert made(tmp_path, rows)[1].tasks[0].metrics == ("exact_match", "rougeL")


def test_columns_that_say_nothing_are_a_question_with_both_readings_and_the_commands(tmp_path):
    rows = [{"who": "x", "odd text": LONG.format(n), "talk": "long " * 50 + str(n)} for n in range(9)]
    with pytest.raises(UnclearColumnsError) as caught:
        made(tmp_path, rows)
    error = caught.value
    assert error.expected == "odd text asks, talk answers  or  talk asks, odd text answers"
    assert f"init {tmp_path}/rows.jsonl --prompt 'odd text' --completion talk  or  tutelage init" in error.fix
    assert [name for name, _ in error.columns] == ["who", "odd text", "talk"]
    text, recipe = made(tmp_path, rows, prompt=["odd text", "who"], completion="talk")
    assert "as named by --prompt and --completion" in text
    assert recipe.tasks[0].prompt == "{{ row['odd text'] }}\n\n{{ who }}"
    assert recipe.tasks[0].completion == "{{ talk }}"


@pytest.mark.parametrize(
    ("prompt", "completion", "problem"),
    [
        (["a"], None, "go together"),
        ([], "b", "go together"),
        (["aa"], "b", "no such column"),
        (["a"], "a", "would hold its answer"),
        (["a"], "c", "holds no text"),
    ],
)
def test_columns_that_a_person_names_must_be_there(tmp_path, prompt, completion, problem):
    with pytest.raises(InputError, match=problem):
        made(tmp_path, [{"a": "x", "b": "y", "c": ["z"]}] * 3, prompt=prompt, completion=completion)


def test_the_names_of_columns_say_which_answers_whatever_is_longer(tmp_path):
    rows = [{"Answer": LONG.format(n) * 9, "Question": f"q{n}", "Rejected": f"no {n}"} for n in range(9)]
    text, recipe = made(tmp_path, rows)
    assert "# by the columns' names; left out: Rejected" in text
    assert (recipe.tasks[0].prompt, recipe.tasks[0].completion) == ("{{ Question }}", "{{ Answer }}")


def test_rows_that_go_on_from_others_or_are_not_wanted_are_refused(tmp_path):
    chain = [
        {"id": n, "parent_id": n - 1 if n else None, "prompt": f"p{n}", "completion": "c"} for n in range(4)
    ]
    with pytest.raises(InputError, match="chained by parent_id"):
        made(tmp_path, chain)
    wanted = [{"prompt": f"p{n}", "completion": "c", "label": n % 2 == 0} for n in range(4)]
    with pytest.raises(InputError, match="label says which completions are wanted"):
        made(tmp_path, wanted)
    assert made(tmp_path, [row | {"label": True} for row in wanted])[1].tasks
    turns = [{"role": "user", "content": "a"}]
    for problem, row in (
        ("chosen and rejected hold whole", {"chosen": "a b", "rejected": "c d"}),
        ("chosen and rejected hold whole", {"prompt": "a", "chosen": turns, "rejected": turns}),
        ("no two columns of text, one that asks", {"messages": json.dumps(turns)}),
    ):
        with pytest.raises(InputError, match=problem):
            made(tmp_path, [row] * 3)


def test_a_column_that_says_the_split_is_found(tmp_path):
    rows = [
        {"prompt": str(n), "completion": LONG.format(n), "part": "test" if n % 5 else "train"}
        for n in range(10)
    ]
    assert made(tmp_path, rows)[1].tasks[0].split.column == "part"


def test_names_with_signs_do_not_break_the_recipe(tmp_path):
    names = 'a: "b" #\n!', "{{ c }}"
    rows = [{names[0]: LONG.format(n), names[1]: "é" * 90 + str(n)} for n in range(4)]
    _, recipe = made(tmp_path, rows, name="my rows: #1.jsonl", prompt=[names[0]], completion=names[1])
    assert recipe.tasks[0].name == "my-rows-1"
    assert recipe.tasks[0].data.path == "my rows: #1.jsonl"


def test_long_rows_get_the_largest_length_and_are_told(tmp_path):
    text, recipe = made(tmp_path, [{"prompt": "x" * 30_000, "completion": LONG.format(0)}])
    assert recipe.tune.max_length == 1024
    assert "tokens of a row; the longest here has at most about 10," in text
    assert "1 prompts are cut" in text


def test_rows_without_two_texts_and_bad_files_are_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        made(tmp_path, [{"a": 1, "b": "text"}])
    assert caught.value.found == "a: a number, b: text"
    with pytest.raises(InputErrors):
        made(tmp_path, [{"prompt": "x", "completion": ""}, {"prompt": "x", "completion": None}])
    with pytest.raises(InputError, match="not there"):
        init(tmp_path / "none.csv")


def test_a_file_of_conversations_makes_a_recipe_that_loads_as_it_stands(tmp_path):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": LONG.format(1)}]
    text, recipe = made(tmp_path, [{"messages": turns + turns}] * 4)
    assert "rows.jsonl (messages): 8 rows" in text
    assert "the turns of a conversation stay together" in text
    assert recipe.tasks[0].prompt == "{{ prompt }}"


def test_a_file_of_entities_is_scored_as_entities(tmp_path):
    (tmp_path / "x.conll").write_text("Anna\tB-PER\nruns\tO\n\n" * 5)
    (tmp_path / "x.yaml").write_text(init(tmp_path / "x.conll", folder=tmp_path))
    recipe = load(tmp_path / "x.yaml", benchmarks=["general-probe"])
    assert recipe.tasks[0].metrics == ("entity_f1:form=text",)


def test_an_instance_of_super_ni_keeps_all_its_references(tmp_path):
    task = {
        "Definition": ["Say it."],
        "Instances": [{"input": str(n), "output": ["a", "b"]} for n in range(4)],
    }
    (tmp_path / "t.json").write_text(json.dumps(task))
    (tmp_path / "t.yaml").write_text(init(tmp_path / "t.json", folder=tmp_path))
    assert load(tmp_path / "t.yaml", benchmarks=["general-probe"]).tasks[0].references == "references"
