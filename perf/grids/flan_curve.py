"""Question: does instruction tuning on more tasks help on clusters of tasks that were held out, and does chain of thought matter?

FLAN's protocol (Wei et al. 2022, sections 2.1 to 2.3 and 4.1) at the size of SmolLM2-135M-Instruct: 1, 5, 15 or 43 tasks of P3 and
Super-NaturalInstructions are taught, in nested sets, with or without five chain-of-thought tasks as a quarter of the rows. The same
number of rows is trained on in each cell. Language inference and paraphrase are held out: their tasks are asked in every wording of
the library, by generation and by rank classification.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NEEDS_DATA = True
COUNTS = (1, 5, 15, 43)
COT = {"without": "without chain of thought", "with": "with"}
COT_TASKS = ("aqua", "gsm8k", "qasc", "sensemaking", "strategyqa")
COT_SHARE = 0.25
P3, NI = "instruction/t0_p3/{}.jsonl", "instruction/super_ni/{}"
TAUGHT = (
    P3.format("ag_news_classify"),
    # 5
    P3.format("amazon_polarity_Is_this_review"),
    P3.format("social_i_qa_Generate_answer"),
    P3.format("samsum_Generate_a_summary_for_this_dialogue"),
    P3.format("adversarial_qa_dbert_based_on"),
    # 15
    P3.format("qasc_is_correct_1"),
    P3.format("wiki_qa_Decide_good_answer"),
    P3.format("wiqa_does_the_supposed_perturbation_have_an_effect"),
    P3.format("quartz_answer_question_based_on"),
    P3.format("imdb_Movie_Expressed_Sentiment"),
    P3.format("gigaword_TLDR"),
    P3.format("kilt_tasks_hotpotqa_complex_question"),
    P3.format("cosmos_qa_context_answer_to_question"),
    P3.format("dbpedia_14_given_a_list_of_category_what_does_the_title_belong_to"),
    NI.format("testset_task1728_web_nlg_data_to_text.json.gz"),
    # 43
    P3.format("ag_news_classify_question_first"),
    P3.format("amazon_polarity_Is_this_product_review_positive"),
    P3.format("app_reviews_categorize_rating_using_review"),
    P3.format("app_reviews_convert_to_rating"),
    P3.format("commonsense_qa_answer_given_question_without_options"),
    P3.format("commonsense_qa_answer_to_question"),
    P3.format("cosmos_qa_context_description_question_answer_id"),
    P3.format("dbpedia_14_given_a_choice_of_categories_"),
    P3.format("adversarial_qa_droberta_based_on"),
    P3.format("dream_baseline"),
    P3.format("duorc_ParaphraseRC_answer_question"),
    P3.format("adversarial_qa_dbidaf_based_on"),
    P3.format("adversarial_qa_droberta_answer_the_following_q"),
    P3.format("gigaword_first_sentence_title"),
    P3.format("kilt_tasks_hotpotqa_combining_facts"),
    P3.format("qasc_is_correct_2"),
    P3.format("quartz_answer_question_below"),
    P3.format("quoref_Answer_Friend_Question"),
    P3.format("ropes_background_new_situation_answer"),
    P3.format("rotten_tomatoes_Movie_Expressed_Sentiment_2"),
    P3.format("social_i_qa_Check_if_a_random_answer_is_valid_or_not"),
    P3.format("wiki_bio_guess_person"),
    P3.format("wiqa_effect_with_label_answer"),
    P3.format("yelp_review_full_format_rating"),
    NI.format("task648_answer_generation.json"),
    NI.format("task957_e2e_nlg_text_generation_generate.json.gz"),
    NI.format("task1393_superglue_copa_text_completion.json"),
    NI.format("testset_task1435_ro_sts_parallel_language_translation_ro_to_en.json"),
)
SPLIT = {"train": 160, "validation": 0, "test": 2, "near_duplicate_threshold": 0.95}
HELD_OUT_SPLIT = {"train": 1, "validation": 10, "test": 30}
"""In 11 wordings and two ways of answering: 2,640 questions a model."""
WATCH = [{"benchmark": "general-probe:original"}]
CLUSTERS = ("language-inference", "paraphrase")
MRPC = "mrpc.jsonl"
TUNE = {
    "method": "lora",
    "rank": 16,
    "steps": 60,
    "batch_size": 8,
    "learning_rate": 5e-4,
    "max_length": 512,
    "truncate": {"side": "start"},
    "keep": "last",
}


def cells(data: Path, scratch: Path) -> dict[str, dict[str, Any]]:
    """The recipe of each cell; MRPC's published file is rewritten as JSON lines below `scratch`."""
    write_mrpc(data / "glue" / "MRPC" / "msr_paraphrase_test.txt", scratch / MRPC)
    return {f"{count}-{cot}-cot": recipe(count, cot=cot == "with") for count in COUNTS for cot in COT}


def write_mrpc(published: Path, path: Path) -> None:
    """Rewrite MRPC's table, whose fields are not quoted, as JSON lines."""
    with published.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    lines = (
        json.dumps({"first": row["#1 String"], "second": row["#2 String"], "label": row["Quality"]})
        for row in rows
    )
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def recipe(count: int, *, cot: bool) -> dict[str, Any]:
    """The recipe of one cell."""
    taught = [_taught(number, path) for number, path in enumerate(TAUGHT[:count])]
    rationales = [_rationales(name) for name in COT_TASKS] if cot else []
    mixture = {
        "parts": {"taught": {"tasks": ["taught-*"]}, **({"cot": {"tasks": ["cot-*"]}} if cot else {})},
        "weights": {"taught": 1 - COT_SHARE, "cot": COT_SHARE} if cot else {"taught": 1},
    }
    return {
        "model": "smollm2-135m-instruct",
        "chat_template": "chatml-plain",
        "tasks": [*taught, *rationales, *_held_out()],
        "mixture": mixture,
        "hold_out": list(CLUSTERS),
        "tune": TUNE,
        "watch": WATCH,
    }


def _taught(number: int, path: str) -> dict[str, Any]:
    return {
        "name": f"taught-{number}",
        "source": Path(path).name.removeprefix("testset_").partition(".")[0],
        "data": {"local": path},
        "split": SPLIT,
        "max_new_tokens": 8,
    }


def _rationales(name: str) -> dict[str, Any]:
    return {
        "name": f"cot-{name}",
        "source": name,
        "data": {"local": f"instruction/flan_cot/{name}_train.tsv.gz", "layout": "flan-cot"},
        "split": SPLIT,
        "max_new_tokens": 8,
    }


def _held_out() -> Iterator[dict[str, Any]]:
    questions = {"answer": "both", "test_wordings": "all", "metrics": ["accuracy"], "max_new_tokens": 4}
    yield {
        "name": "rte",
        "data": {"local": "superglue/RTE/val.jsonl"},
        "template": "language-inference",
        "labels": {"not_entailment": "no", "entailment": "yes"},
        "split": HELD_OUT_SPLIT,
        **questions,
    }
    yield {
        "name": "cb",
        "data": {"local": "superglue/CB/val.jsonl"},
        "template": "language-inference",
        "labels": {"contradiction": "no", "entailment": "yes", "neutral": "maybe"},
        "split": HELD_OUT_SPLIT,
        **questions,
    }
    yield {
        "name": "mrpc",
        "data": {"path": MRPC},
        "template": "paraphrase",
        "labels": {"0": "no", "1": "yes"},
        "split": HELD_OUT_SPLIT,
        **questions,
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Gains on the held-out clusters by the number of taught tasks, and what was forgotten."""
    groups = [
        f"held out: {cluster}{way}{wording}"
        for cluster in CLUSTERS
        for way in ("", " (rank classification)")
        for wording in ("", ", best on validation")
    ]
    finished = [(count, cot) for cot in COT for count in COUNTS if f"{count}-{cot}-cot" in results]
    yield "| held out, accuracy | base | " + " | ".join(_title(count, cot) for count, cot in finished) + " |"
    yield "|---|---:|" + "---:|" * len(finished)
    for group in groups:
        measured = [results[f"{count}-{cot}-cot"]["groups"][group] for count, cot in finished]
        base = {f"{100 * group_of_cell['base']['value']:.1f}" for group_of_cell in measured}
        gains = " | ".join(_gain(cell["difference"]) for cell in measured)
        yield f"| {group.removeprefix('held out: ')} | {', '.join(sorted(base))} | {gains} |"
    for watch in WATCH:
        name = watch["benchmark"]
        # Before the probe had 900 items, its 435 original ones had the name alone.
        watched = [results[f"{count}-{cot}-cot"]["watched"] for count, cot in finished]
        probes = [of_cell.get(name) or of_cell[name.partition(":")[0]] for of_cell in watched]
        base = {f"{100 * probe['base']['value']:.1f}" for probe in probes}
        losses = " | ".join(_gain(probe["difference"]) for probe in probes)
        yield f"| watched: {name} | {', '.join(sorted(base))} | {losses} |"
    yield ""
    yield from sorted({results[f"{count}-{cot}-cot"]["measured"] for count, cot in finished})


def _title(count: int, cot: str) -> str:
    return f"{count} taught, {COT[cot]}" if cot == "without" else f"{count} and 5 of chain of thought"


def _gain(difference: Mapping[str, Any]) -> str:
    value, low, high = (100 * difference[end] for end in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
