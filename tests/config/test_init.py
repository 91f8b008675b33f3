from __future__ import annotations

import json

import pytest

from tutelage import Row, score
from tutelage.config import load
from tutelage.config.init import init
from tutelage.config.init_columns import UnclearColumnsError
from tutelage.config.init_lengths import TokenCounter, estimated_tokens
from tutelage.config.init_metrics import suitable_metrics
from tutelage.core.errors import InputError, InputErrors
from tutelage.data import DataSource
from tutelage.data import load as load_rows

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


@pytest.mark.parametrize(
    "reply",
    ["We open at {}, on all days.", "请在{}点来店里。", "it takes two days from {} on until we have it"],
)
def test_canned_replies_are_no_labels(tmp_path, reply):
    rows = [{"question": f"Number {n}, when?", "answer": reply.format(n % 3)} for n in range(30)]
    text, recipe = made(tmp_path, rows)
    assert "accuracy" not in recipe.tasks[0].metrics
    assert "Answer with one of" not in text


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
    assert "prompts cut: 1" in text


def test_rows_without_two_texts_and_bad_files_are_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        made(tmp_path, [{"a": 1, "b": "text"}])
    assert caught.value.found == "a: a number, b: text"
    with pytest.raises(InputErrors):
        made(tmp_path, [{"prompt": "x", "completion": ""}, {"prompt": "x", "completion": None}])
    with pytest.raises(InputError, match="not there"):
        init(tmp_path / "none.csv")


def test_a_file_of_conversations_makes_a_recipe_that_loads_as_it_stands(tmp_path):
    exchanges = [
        [{"role": "user", "content": f"Hi {n}"}, {"role": "assistant", "content": LONG.format(n)}]
        for n in range(4)
    ]
    text, recipe = made(tmp_path, [{"messages": exchange * 2} for exchange in exchanges])
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


def texts(rows, answer, **extra):
    return [
        {"question": f"Tell me about {n} and {n * 7}?", "answer": answer(n), **extra} for n in range(rows)
    ]


@pytest.mark.parametrize(
    ("answer", "metrics"),
    [
        ("The answer to number {} is longer than four words", ("rougeL", "rouge1", "rouge2")),
        (
            "Die Antwort für Nummer {} ist länger als vier Wörter",
            ("rougeL:tokenizer=unicode", "rouge1:tokenizer=unicode", "chrf"),
        ),
        (
            "Ответ на вопрос {} длиннее четырёх слов",
            ("rougeL:tokenizer=unicode", "rouge1:tokenizer=unicode", "chrf"),
        ),
        (
            "प्रश्न {} का उत्तर चार शब्दों से लंबा है",
            ("rougeL:tokenizer=unicode", "rouge1:tokenizer=unicode", "chrf"),
        ),
        (
            "第{}天天气好、去公园散步了、非常开心、回家很晚",
            ("rougeL:tokenizer=cjk", "rouge1:tokenizer=cjk", "chrf"),
        ),
        (
            "会議{}では、来週の予定と予算について話し合いました",
            ("rougeL:tokenizer=cjk", "rouge1:tokenizer=cjk", "chrf"),
        ),
        ("{} คำตอบนี้ยาวกว่าสี่คำและไม่มีช่องว่างระหว่างคำ", ("chrf",)),
        (
            "{} 질문에 대한 대답은 네 단어보다 깁니다",
            ("rougeL:tokenizer=unicode", "rouge1:tokenizer=unicode", "chrf"),
        ),
        ("सुबह {} बजे", ("exact_match", "rougeL:tokenizer=unicode")),
    ],
)
def test_metrics_read_the_script_of_the_answers(answer, metrics):
    answers = [answer.format(n) for n in range(12)]
    suitable = suitable_metrics(answers)
    assert suitable.names == metrics
    assert suitable.is_other_script is (metrics[-1] != "rouge2")
    for name in metrics:  # each gives the references full marks
        scores = score(name, [Row(text, (text,)) for text in answers]).side.scores
        assert next(iter(scores.values())).score.value == pytest.approx(100 if name == "chrf" else 1)


def test_a_script_beyond_ascii_is_said_beside_the_model(tmp_path):
    assert "this one knows English" in made(tmp_path, texts(6, "Ответ {} длиннее четырёх слов".format))[0]
    assert "this one knows English" not in made(tmp_path, texts(6, "answer {} about it all".format))[0]


@pytest.mark.parametrize(
    ("answers", "least"),
    [
        (["2024-01-05", "1999-12-31"], 11),
        (["第一天天气好"], 13),
        (["एक दो तीन"], 20),
        (["👍👍👍"], 12),
        (["word " * 40], 41),
    ],
)
def test_an_answer_has_room_for_every_reference_and_its_end(tmp_path, answers, least):
    rows = texts(10, lambda n: answers[n % len(answers)] + " " * n)
    assert made(tmp_path, rows)[1].tasks[0].max_new_tokens >= least


def test_the_tokenizer_of_the_model_counts_where_it_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tutelage.config.init.token_counter",
        lambda: TokenCounter(lambda texts: [len(t.split()) for t in texts], is_exact=True),
    )
    text, _ = made(tmp_path, texts(30, lambda n: "word " * (n + 1)))
    assert "max_new_tokens: 40 # of an answer; the longest reference has 30\n" in text
    assert "estimated" not in text


def test_a_missing_model_makes_estimates_and_says_so(tmp_path):
    assert "(estimated: the model is not fetched yet)" in made(tmp_path, texts(5, "answer {} here".format))[0]


def test_an_estimate_is_no_lower_than_the_bytes_of_other_scripts():
    assert [estimated_tokens(text) for text in ("", "abcdef", "12", "é", "天", "a b\n")] == [0, 2, 2, 2, 3, 2]


def test_labels_are_listed_in_the_prompt_unless_they_are_many(tmp_path):
    few = [{"text": f"text {n} of it", "label": ["a{b", "c"][n % 2]} for n in range(20)]
    text, recipe = made(tmp_path, few)
    assert recipe.tasks[0].prompt.endswith('Answer with one of these: {{ "a{b" }}, c')
    many = [
        {"text": f"text {n} of it", "label": f"a label with many words number {n % 40}"} for n in range(400)
    ]
    text, recipe = made(tmp_path, many)
    assert "the 40 labels are too many to be listed in the prompt" in text
    assert recipe.tasks[0].prompt == "{{ text }}"
    numbers = [{"text": f"text {n} of it", "label": n % 2} for n in range(20)]
    assert 'labels: {column: "label", names: {0: WORD, 1: WORD}}' in made(tmp_path, numbers)[0]


@pytest.mark.parametrize(
    ("rows", "split", "test_rows"),
    [
        (12, "test: 0.33, seed", 4),
        (30, "validation: 0.1, test: 0.33", 10),
        (300, "test: 0.16", 48),
        (1000, "test: 0.1, seed", 100),
    ],
)
def test_a_small_file_has_more_test_rows_and_what_they_tell(tmp_path, rows, split, test_rows):
    text, _ = made(tmp_path, texts(rows, "answer {} is longer than four words".format))
    points = 280.2 * 0.5 / test_rows**0.5
    assert split in text
    assert f"{test_rows} test rows tell a gain of {points:.0f} points from chance" in text


def test_conversations_whose_openings_are_alike_get_a_split_that_holds(tmp_path):
    rows = [
        {"messages": [
            {"role": "system", "content": "Be polite, ask for the name first and promise nothing that the policy forbids. " * 5},
            {"role": "user", "content": f"Where is my {what}{sign}"},
            {"role": "assistant", "content": "Can you tell me your name, please?"},
        ]}
        for what in ("invoice", "parcel", "key", "refund", "coat", "order")
        for sign in ("?", "!", "...", " please?", " now?")
    ]  # fmt: skip
    text, recipe = made(tmp_path, rows)
    task = recipe.tasks[0]
    assert "many prompts are alike" in text
    assert task.split.near_duplicate_threshold > 0.8
    assert task.prompt == "{{ prompt }}"
    assert recipe.tune.max_length >= 256  # the system prompt counts


def test_rows_without_an_answer_are_left_out_and_counted(tmp_path):
    rows = texts(20, "answer {} of it".format, unused=1)
    rows[3]["answer"] = None
    text, recipe = made(tmp_path, rows)
    assert recipe.tasks[0].data.on_bad_row == "drop"
    assert "# 1 of 20 rows without prompt or completion" in text
    assert "# not used: unused" in text


def test_answers_beyond_the_models_context_are_left_out_and_set_no_length(tmp_path):
    rows = [*texts(9, "answer {} of it".format), {"question": "a", "answer": "é" * 8000}]
    text, recipe = made(tmp_path, rows)
    assert "# 1 of 10 rows with an answer that is longer than the model reads" in text
    assert (recipe.tasks[0].data.on_bad_row, recipe.tasks[0].max_new_tokens) == ("drop", 8)


def test_a_split_that_cannot_hold_is_said(tmp_path):
    assert "this will not hold: too few rows" in made(tmp_path, texts(2, "answer {} of it".format))[0]


def test_true_and_false_are_said_as_yes_and_no(tmp_path):
    rows = [{"text": f"text {n} of it", "is_spam": n % 3 == 0} for n in range(12)]
    _, recipe = made(tmp_path, rows)
    assert recipe.tasks[0].completion == "{{ 'yes' if is_spam else 'no' }}"
    assert recipe.tasks[0].prompt.endswith("one of these: no, yes")


def test_a_list_of_choices_is_refused_with_the_template_that_reads_it(tmp_path):
    rows = [
        {"question": f"which {n}?", "choices": ["a", "b", "c"], "answer": "abc"[n % 3]} for n in range(12)
    ]
    listed = [{"text": row["question"], "options": row["choices"], "label": row["answer"]} for row in rows]
    assert "text-label-options fits them" in made(tmp_path, listed)[0]
    with pytest.raises(InputError) as caught:
        made(tmp_path, rows)
    fields = "fields: {question: question, choices: choices, answer: answer}"
    assert f"template: multiple-choice  and  {fields}" in caught.value.fix
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"model: m\ntasks: [{{data: {{path: rows.jsonl}}, template: multiple-choice, {fields}}}]\n"
    )
    task = load(recipe).tasks[0]
    examples = load_rows(DataSource(path=str(tmp_path / "rows.jsonl")), root=tmp_path).examples
    assert task.template_for(examples, where="tasks.0").render_all(examples, "t")[0].choices == (
        "a",
        "b",
        "c",
    )
