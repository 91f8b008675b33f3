"""Real data sets load by their paths, with the counts that their READMEs state."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tutelage.config.data_block import Data
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError
from tutelage.data import DataSource, load
from tutelage.metrics import Row, mentions, score_rows
from tutelage.metrics.tag_schemes import conlleval_entities

DATA = Path(os.environ.get("TUTELAGE_DATA") or "absent")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="TUTELAGE_DATA names no folder of data sets")

INDUCTION = "instruction/instruction_induction/raw/execute"
CHAINS = {"layout": "flan-cot"}
BANKING = {"labels": {"file": "customer_support/banking77_categories.json", "options": True}}
# path: (rows, layout, template, what the data block says besides)
SETS = {
    "dialogsum/dialogsum.dev.jsonl": (500, "plain", "dialogue-summary", {}),
    "mts_dialog/MTS-Dialog-TrainingSet.csv": (1201, "plain", "dialogue-section", {}),
    "mts_dialog/MTS-Dialog-ValidationSet.csv": (100, "plain", "dialogue-section", {}),
    "mts_dialog/MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv": (200, "plain", "dialogue-section", {}),
    "customer_support/bitext_sample.csv.gz": (6480, "plain", "bitext", {}),
    "customer_support/banking77_train.csv": (10003, "plain", "text-category", {}),
    "ner/btc/a.conll": (1000, "entities", "entities", {}),
    "ner/btc/b.conll": (2000, "entities", "entities", {}),
    "ner/btc/e.conll": (200, "entities", "entities", {}),
    "ner/btc/f.conll": (2000, "entities", "entities", {}),
    "ner/btc/g.conll": (2138, "entities", "entities", {}),
    "ner/btc/h.conll": (2000, "entities", "entities", {}),  # the 2,001st sentence is one empty token, and noted
    "ner/wnut17/wnut17train.conll": (3394, "entities", "entities", {}),
    "ner/wnut17/emerging.dev.conll": (1009, "entities", "entities", {}),
    "instruction/flan_cot/aqua_train.tsv.gz": (2728, "flan-cot", "flan-cot", CHAINS),
    "instruction/flan_cot/gsm8k_train.tsv.gz": (7473, "flan-cot", "flan-cot", CHAINS),
    "instruction/flan_cot/qasc_train.tsv.gz": (1084, "flan-cot", "flan-cot", CHAINS),
    "instruction/flan_cot/sensemaking_train.tsv.gz": (6070, "flan-cot", "flan-cot", CHAINS),
    "instruction/flan_cot/strategyqa_train.tsv.gz": (2061, "flan-cot", "flan-cot", CHAINS),
    "instruction/self_instruct/seed_tasks.jsonl": (175, "self-instruct", "instruction-output", {}),
    "instruction/self_instruct/user_oriented_instructions.jsonl": (252, "self-instruct", "instruction-output", {}),
    "instruction/super_ni/task1393_superglue_copa_text_completion.json": (496, "super-ni", "super-ni", {}),
    "instruction/super_ni/task648_answer_generation.json": (281, "super-ni", "super-ni", {}),
    "instruction/super_ni/task957_e2e_nlg_text_generation_generate.json.gz": (2161, "super-ni", "super-ni", {}),
    "instruction/super_ni/testset_task1239_ted_translation_gl_ja.json": (1000, "super-ni", "super-ni", {}),
    "instruction/super_ni/testset_task1290_xsum_summarization.json.gz": (1000, "super-ni", "super-ni", {}),
    "instruction/super_ni/testset_task1292_yelp_review_full_text_categorization.json.gz": (1000, "super-ni", "super-ni", {}),
    "instruction/super_ni/testset_task1435_ro_sts_parallel_language_translation_ro_to_en.json": (1000, "super-ni", "super-ni", {}),
    "instruction/super_ni/testset_task1728_web_nlg_data_to_text.json.gz": (1000, "super-ni", "super-ni", {}),
}  # fmt: skip
UNSURE = {  # columns that name nothing: the error spells the mapping, and the mapping loads
    "mts_dialog/correlation_study/MTS-Dialog-Automatic-Summaries-ValidationSet.csv": 400,
    f"{INDUCTION}/cause_and_effect.json": 25,
    f"{INDUCTION}/common_concept.json": 16,
}
FILES = sorted(path.relative_to(DATA).as_posix() for path in (DATA / INDUCTION).glob("*.json"))
P3 = sorted(path.relative_to(DATA).as_posix() for path in (DATA / "instruction/t0_p3").glob("*.jsonl"))


def words(path, said):
    task = Task(data=Data(path=path, **said))
    loaded = load(task.data.source(), root=DATA)
    template = task.template_for(loaded.examples, where="tasks.0", default=loaded.template)
    return loaded, template, template.render_all(loaded.examples, task.name)


@pytest.mark.parametrize("path", SETS)
def test_a_set_loads_by_its_path(path):
    rows, layout, name, said = SETS[path]
    if not (DATA / path).is_file():
        pytest.skip(f"TUTELAGE_DATA has no {path}")
    loaded, template, prompted = words(path, said)
    assert len(prompted) == rows
    assert loaded.source["layout"] == layout
    assert template.name == name
    assert len({row.id for row in prompted}) == rows


@pytest.mark.parametrize("path", [path for path in FILES if path not in UNSURE])
def test_instruction_induction_loads(path):
    stated = re.search(rf"\| {re.escape(path.removeprefix('instruction/'))} \| (\d+)", README())
    loaded, template, _ = words(path, {})
    assert len(loaded.examples) == int(stated[1])
    assert template.name == "input-output"


@pytest.mark.parametrize("path", P3)
def test_p3_loads(path):
    stated = re.search(rf"\| {re.escape(path.removeprefix('instruction/'))} \| (\d+)", README())
    loaded, template, _ = words(path, {})
    assert len(loaded.examples) == int(stated[1])
    assert template.name == "prompt-completion"


def test_a_glob_reads_all_of_p3():
    loaded = load(DataSource(path="instruction/t0_p3/*.jsonl"), root=DATA)
    assert len(loaded.examples) == sum((DATA / path).read_bytes().count(b"\n") for path in P3)
    assert len({row.id for row in loaded.examples}) == len(loaded.examples)
    with pytest.raises(InputError, match="several formats") as caught:
        load(DataSource(path="instruction/t0_p3"), root=DATA)
    assert "t0_p3/*.jsonl" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "rows", "to"),
    [
        ("train", 29000, "de"),
        ("val", 1014, "fr"),
        ("test_2016_flickr", 1000, "de"),
        ("test_2017_flickr", 1000, "fr"),
    ],
)
def test_multi30k_pairs_its_lines(name, rows, to):
    _, template, prompted = words([f"multi30k/{name}.en.gz", f"multi30k/{name}.{to}.gz"], {})
    assert len(prompted) == rows
    assert template.name == "translation-pair"
    assert prompted[0].prompt.startswith("Translate this from English to ")


def test_banking77_with_its_names_as_options():
    loaded, template, prompted = words("customer_support/banking77_train.csv", BANKING)
    assert len(prompted) == 10003
    assert template.name == "text-label-options"
    assert len(loaded.examples[0].fields["options"]) == 77
    assert "- card_arrival\n" in prompted[0].prompt


@pytest.mark.parametrize("path", UNSURE)
def test_where_the_columns_say_nothing_the_error_spells_the_lines_to_write(path):
    if not (DATA / path).is_file():
        pytest.skip(f"TUTELAGE_DATA has no {path}")
    with pytest.raises(InputError, match="do not say which") as caught:
        words(path, {})
    prompt, completion = re.findall(r'(?:prompt|completion): "(\{\{ .*? \}\})"', caught.value.fix)
    task = Task(data=Data(path=path), prompt=prompt, completion=completion)
    loaded = load(task.data.source(), root=DATA)
    template = task.template_for(loaded.examples, where="tasks.0", default=loaded.template)
    assert len(template.render_all(loaded.examples, "t")) == UNSURE[path]


@pytest.mark.parametrize("path", ["ner/wnut17/emerging.dev.conll", "ner/btc/e.conll"])
def test_entities_go_to_text_and_back(path):
    loaded = load(DataSource(path=path), root=DATA)
    same = 0
    for row in loaded.examples:
        tags, lost = mentions.to_tags(mentions.from_text(row.fields["entities"]), row.fields["tokens"])
        assert not lost
        same += conlleval_entities(tags) == conlleval_entities(row.fields["tags"])
    assert same == len(loaded.examples)
    gold = [Row(r.fields["entities"], (r.fields["entities"],), r.fields) for r in loaded.examples]
    names = ["entity_f1:form=text", "entity_f1_strict:form=text", "entity_f1_strict:form=text:scheme=iobes"]
    assert [scored.score.value for scored in score_rows(names, gold).values()] == [1.0, 1.0, 1.0]


def README() -> str:  # noqa: N802 - the file's name
    return (DATA / "instruction" / "README.md").read_text("utf-8")
