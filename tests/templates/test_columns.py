from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.templates import (
    TaskTemplate,
    column_template,
    column_template_names,
    common_columns,
    detect,
    guess_columns,
)
from tutelage.templates.columns import column_templates, matching_templates


def rows(*fields):
    return [Example(str(n), f, Origin("rows.csv", n)) for n, f in enumerate(fields, 2)]


def test_every_layout_is_found_by_its_own_columns_and_renders():
    for layout in column_templates():
        example = rows(
            {n: f"<{n}>" for n in (*layout.columns, *layout.optional, *layout.also_present, *layout.ignored)}
        )[0]
        template = detect([example])
        assert template.name == layout.name
        prompted = template.render(example, "t")
        said = prompted.prompt + prompted.completion
        for name in (*layout.columns, *layout.optional):
            assert f"<{name}>" in said
        assert f"<{layout.columns[-1]}>" in prompted.completion
        assert f"<{layout.columns[0]}>" in prompted.prompt
    assert len(set(column_template_names())) == len(column_template_names())


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
    assert common_columns(examples) == ["prompt", "completion"]
    assert detect(examples).name == "prompt-completion"


def test_two_layouts_that_fit_are_refused_with_the_line_to_write():
    with pytest.raises(InputError) as caught:
        detect(rows({"prompt": "a", "completion": "b", "text": "c", "label": "d"}), where="tasks.0")
    error = caught.value
    assert error.where == "rows.csv, for tasks.0"
    assert "prompt, completion, text, label" in error.found
    assert error.expected == "one of the templates prompt-completion, text-label"
    assert "template: prompt-completion" in error.fix


def fix_of(*fields):
    with pytest.raises(InputError) as caught:
        detect(rows(*fields))
    return caught.value.fix


def test_columns_that_say_nothing_get_the_mapping_spelt_out_as_a_guess():
    examples = rows({"ID": "0", "Reference Summary": "short one", "talk": "a much longer text than that"})
    with pytest.raises(InputError) as caught:
        detect(examples)
    assert "ID, Reference Summary, talk" in caught.value.found
    line = """prompt: "{{ talk }}"  and  completion: "{{ row['Reference Summary'] }}\""""
    assert line in caught.value.fix
    assert "by the name of the answer" in caught.value.fix
    template = TaskTemplate("{{ talk }}", "{{ row['Reference Summary'] }}")
    assert template.render(examples[0], "t").completion == "short one"
    found = guess_columns(examples)
    assert (found.prompt, found.completion, found.is_certain) == ("talk", "Reference Summary", True)
    columns = caught.value.expected.removeprefix("columns such as ").split(", ")
    assert len(set(columns)) == len(columns) > 3


# The columns in the order of the file; what asks and what answers; whether both names say it.
HEADERS = """
Question,Answer -> Question,Answer
Answer,Question -> Question,Answer
QUESTION,ANSWER -> QUESTION,ANSWER
query,reply -> query,reply
query,response -> query,response
User,Bot -> User,Bot
Bot,User -> User,Bot
Human,Assistant -> Human,Assistant
customer,agent -> customer,agent
agent_message,customer_message -> customer_message,agent_message
userQuery,botReply -> userQuery,botReply
Prompt,Completion -> Prompt,Completion
prompt,chosen,rejected -> prompt,chosen
rejected,chosen,prompt -> prompt,chosen
prompt,response,chosen,rejected -> prompt,chosen
question,correct_answer,wrong_answer_1 -> question,correct_answer
correct_answer,question,distractor1,distractor2,support -> question,correct_answer
query,positive,negative -> query,positive
source,target -> source,target
target,source -> source,target
src,tgt -> src,tgt
q,a -> q,a
a,q -> q,a
input,output -> input,output
Output,Input -> Input,Output
Instruction,Input,Output -> Instruction,Output
instruction,response -> instruction,response
id,system_prompt,question,response -> question,response
system,user,assistant -> user,assistant
Context,Question,Answer -> Question,Answer
context,answer -> context,answer
question_id,question_text,answer_id,answer_text -> question_text,answer_text
question 1,answer 1 -> question 1,answer 1
InputText,TargetText -> InputText,TargetText
prompt_length,prompt,completion -> prompt,completion
prompt,answer_type,answer -> prompt,answer
prompt,score_chosen,chosen -> prompt,chosen
Unnamed: 0,Prompt,Response -> Prompt,Response
problem,expected_output -> problem,expected_output
question,sql -> question,sql
text,label -> text,label
Label,Text -> Text,Label
user,text,label -> text,label
premise,hypothesis,label -> premise,label
review,stars -> review,stars
article,highlights -> article,highlights
summary,article -> article,summary
Document,Summary -> Document,Summary
dialogue,summary -> dialogue,summary
Description,Patient,Doctor -> Patient,Doctor
frage,antwort -> frage,antwort
Antworten,Fragen -> Fragen,Antworten
Svar,Spørgsmål -> Spørgsmål,Svar
replies,queries -> queries,replies
Antwort,Frage -> Frage,Antwort
pregunta,respuesta -> pregunta,respuesta
Réponse,Question -> Question,Réponse
domanda,risposta -> domanda,risposta
resposta,pergunta -> pergunta,resposta
вопрос,ответ -> вопрос,ответ
问题,答案 -> 问题,答案
質問,回答 -> 質問,回答
Câu hỏi,Trả lời -> Câu hỏi,Trả lời
Vastaus,Kysymys -> Kysymys,Vastaus
răspuns,întrebare -> întrebare,răspuns
válasz,kérdés -> kérdés,válasz
пытанне,адказ -> пытанне,адказ
תשובה,שאלה -> שאלה,תשובה
پاسخ,پرسش -> پرسش,پاسخ
คำตอบ,คำถาม -> คำถาม,คำตอบ
bad_answer,good_answer,question -> question,good_answer
prompt,not_chosen,chosen -> prompt,chosen
prompt,non_preferred,preferred -> prompt,preferred
question,false_answer,true_answer -> question,true_answer
question,model_answer,reference_answer -> question,reference_answer
query,neg,pos -> query,pos
harmful_prompt,response -> harmful_prompt,response
negative_prompt,prompt,response -> prompt,response
simplified,original -> original,simplified
to,from -> from,to
en,de -> en,de ?
de,en -> de,en ?
title,body -> title,body ?
subject,body -> subject,body ?
id,english,german -> english,german
word,definition -> word,definition ?
description,code -> description,code ?
topic,essay -> topic,essay ?
db_id,question,query -> question,query ?
prompt,response_a,response_b -> prompt,response_a ?
question,human_answers,chatgpt_answers -> question,human_answers ?
sentence1,sentence2 -> sentence1,sentence2 ?
column_1,column_2 -> column_1,column_2 ?
""".strip().splitlines()


@pytest.mark.parametrize("longer", ["first", "last"])
@pytest.mark.parametrize("line", HEADERS)
def test_names_say_which_column_asks_then_their_order_and_never_their_length(line, longer):
    header, _, right = line.partition(" -> ")
    right, guessed, _ = right.partition(" ?")
    columns = header.split(",")
    sizes = range(len(columns), 0, -1) if longer == "first" else range(1, len(columns) + 1)
    examples = rows(
        *({name: f"text {n} " * size for name, size in zip(columns, sizes, strict=True)} for n in range(4))
    )
    found = guess_columns(examples)
    assert (found.prompt, found.completion) == tuple(right.split(","))
    assert found.is_certain is not bool(guessed)
    assert ("a guess" in found.note) is bool(guessed)


def test_columns_of_numbers_and_of_one_text_are_taken_last_where_names_say_nothing():
    made = [
        {"nr": str(n), "tag": "x", "day": f"2024-01-0{n}", "b": f"u {n}", "a": f"v {n}"} for n in range(1, 9)
    ]
    found = guess_columns(rows(*made))
    assert (found.prompt, found.completion) == ("b", "a")
    assert not found.is_certain
    assert guess_columns(rows(*({"one": str(n), "two": str(n + 1)} for n in range(9)))) is None


def test_a_rejected_answer_is_never_learned_nor_asked():
    for header in (["chosen", "rejected"], ["rejected", "prompt"], ["question", "wrong answer", "id"]):
        assert guess_columns(rows(dict.fromkeys(header, "text"))) is None
    assert (
        "left out: rejected" in guess_columns(rows(dict.fromkeys(["prompt", "chosen", "rejected"], "x"))).note
    )


def test_rows_of_other_shapes_are_told_without_columns_that_are_not_there():
    kinds = [{"prompt": "a", "completion": "b"}] * 2 + [{"question": "a", "answer": "b"}] * 2
    with pytest.raises(InputError, match="no column stands in every row") as caught:
        detect(rows(*kinds))
    assert caught.value.found == "prompt, completion in 2 rows; question, answer in 2 rows"
    assert "{{" not in caught.value.fix
    assert "messages holds JSON in a text" in fix_of({"messages": '[{"role": "user", "content": "Hi"}]'})
    assert "{{" not in fix_of({"only": "one text", "n": 3})


def test_chains_by_parent_are_refused_whatever_the_columns_are_called():
    for prompt, answer in (("prompt", "answer"), ("prompt", "completion"), ("Frage", "Antwort")):
        for parent in ("parent_id", "parentId", "Parent ID"):
            chain = [
                {"id": str(n), parent: str(n - 1) if n else "", prompt: "a", answer: "b"} for n in range(3)
            ]
            with pytest.raises(InputError, match=f"chained by {parent}"):
                detect(rows(*chain))
    assert detect(rows({"parent_id": None, "prompt": "a", "completion": "b"})).name == "prompt-completion"


def test_a_name_of_the_library():
    assert column_template("dialogue-summary", references="r").references == "r"
    with pytest.raises(InputError) as caught:
        column_template("dialog-summary", where="tasks.0.template")
    assert caught.value.where == "tasks.0.template"
    assert caught.value.found == "dialog-summary"
    assert "did you mean dialogue-summary?" in caught.value.fix


def test_a_layout_that_covers_more_wins():
    assert [layout.name for layout in matching_templates(["instruction", "input", "output"])] == [
        "instruction-output"
    ]
    assert matching_templates(["nothing"]) == []
