from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.core.nouns import Example, Origin
from tutelage.templates import TaskTemplate, columns_of, detect, guess, named, names
from tutelage.templates.columns import fitting, layouts


def rows(*fields):
    return [Example(str(n), f, Origin("rows.csv", n)) for n, f in enumerate(fields, 2)]


def test_every_layout_is_found_by_its_own_columns_and_renders():
    for layout in layouts():
        example = rows(
            {n: f"<{n}>" for n in (*layout.columns, *layout.optional, *layout.beside, *layout.ignored)}
        )[0]
        template = detect([example])
        assert template.name == layout.name
        prompted = template.render(example, "t")
        said = prompted.prompt + prompted.completion
        for name in (*layout.columns, *layout.optional):
            assert f"<{name}>" in said
        assert f"<{layout.columns[-1]}>" in prompted.completion
        assert f"<{layout.columns[0]}>" in prompted.prompt
    assert len(set(names())) == len(names())


def test_alpaca_rows_with_and_without_input():
    examples = rows(
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {"instruction": "Hi.", "input": "", "output": "Hello."},
    )
    template = detect(examples)
    assert template.name == "instruction-output"
    assert [p.prompt for p in template.render_all(examples, "t")] == ["Add.\n\n1 2", "Hi."]
    assert template.render(rows({"instruction": "Hi.", "output": "Hello."})[0], "t").prompt == "Hi."


def test_other_columns_do_not_disturb():
    template = detect(rows({"fname": "dev_0", "dialogue": "Hi.", "summary": "S.", "topic": "t"}))
    assert template.name == "dialogue-summary"
    assert template.prompt_fields == ("dialogue",)


def test_a_column_that_some_rows_lack_is_no_column():
    examples = rows(
        {"prompt": "a", "completion": "b", "text": "c", "label": "d"}, {"prompt": "a", "completion": "b"}
    )
    assert columns_of(examples) == ["prompt", "completion"]
    assert detect(examples).name == "prompt-completion"


def test_two_layouts_that_fit_are_refused_with_the_line_to_write():
    with pytest.raises(InputError) as caught:
        detect(rows({"prompt": "a", "completion": "b", "text": "c", "label": "d"}), where="tasks.0")
    error = caught.value
    assert error.where == "rows.csv, for tasks.0"
    assert "prompt, completion, text, label" in error.found
    assert error.expected == "one of the templates prompt-completion, text-label"
    assert "template: prompt-completion" in error.fix


def test_columns_that_say_nothing_get_the_mapping_spelt_out():
    examples = rows({"ID": "0", "Reference Summary": "short one", "talk": "a much longer text than that"})
    with pytest.raises(InputError) as caught:
        detect(examples)
    assert "ID, Reference Summary, talk" in caught.value.found
    line = """prompt: "{{ talk }}"  and  completion: "{{ row['Reference Summary'] }}\""""
    assert line in caught.value.fix
    template = TaskTemplate("{{ talk }}", "{{ row['Reference Summary'] }}")
    assert template.render(examples[0], "t").completion == "short one"
    assert guess(examples) == ("talk", "Reference Summary")


def test_a_name_of_the_library():
    assert named("dialogue-summary", references="r").references == "r"
    with pytest.raises(InputError) as caught:
        named("dialog-summary", where="tasks.0.template")
    assert caught.value.where == "tasks.0.template"
    assert caught.value.found == "dialog-summary"
    assert "did you mean dialogue-summary?" in caught.value.fix


def test_a_layout_that_covers_more_wins():
    assert [layout.name for layout in fitting(["instruction", "input", "output"])] == ["instruction-output"]
    assert fitting(["nothing"]) == []
