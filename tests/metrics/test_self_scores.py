"""References as answers to themselves: which metrics fall short, how that is said, and that the advice holds for the same rows."""

from __future__ import annotations

import pytest

from tutelage.metrics import Row, metric_names
from tutelage.metrics.catalogue import catalogue, parse
from tutelage.metrics.self_scores import MOST_ROWS, _table, rejected_answers, shortfalls

HINDI = ("भारत की राजधानी नई दिल्ली है", "यहाँ संख्या दो है अब")
THAI = ("สวัสดีชาวโลก", "ประเทศไทยมีประชากรหลายล้านคน")
CHINESE = ("今天天气很好。我们去公园", "你好世界你好世界")
JAPANESE = ("今日は天気がとても良いです", "こんにちは世界の皆さん")
VIETNAMESE = ("Số 5 đường Nguyễn Huệ, Quận Một", "Tôi không biết điều đó")
RUSSIAN_WITH_LATIN = tuple(f"Заказ {n} готов (order {n})" for n in range(5))
ENGLISH = ("The order is on its way.", "It will arrive on Monday, I think.")


def rows(references, **fields):
    return [Row("", (text,), fields) for text in references]


@pytest.mark.parametrize(
    ("metric", "references", "kind", "count", "advice"),
    [
        ("rougeL", HINDI, "unread", 2, "rougeL:tokenizer=unicode reads them"),
        ("rougeL:stemmer=false", HINDI, "unread", 2, "rougeL:stemmer=false:tokenizer=unicode reads them"),
        ("rougeL", CHINESE, "unread", 2, "rougeL:tokenizer=cjk reads them"),
        ("rougeL", THAI, "unread", 2, "chrf reads them"),
        ("rougeL", RUSSIAN_WITH_LATIN, "broken", 5, "rougeL:tokenizer=unicode reads them"),
        ("rougeL", VIETNAMESE, "broken", 2, "rougeL:tokenizer=unicode reads them"),
        ("rougeL:tokenizer=unicode", JAPANESE, "unspaced", 2, "rougeL:tokenizer=cjk reads them"),
        ("rouge2", ("yes", "no", "not yet"), "short", 2, "take rougeL"),
        ("bleu", CHINESE, "unspaced", 2, "bleu:tokenize=zh reads them"),
        ("bleu", JAPANESE, "unspaced", 2, "bleu:tokenize=char reads them"),
        ("sentence_bleu", THAI, "unspaced", 2, "sentence_bleu:tokenize=char reads them"),
        ("bleu", ("yes", "not yet"), "constant", 2, "take chrf"),
        ("ter", CHINESE, "unspaced", 2, "chrf reads them"),
        ("length_ratio", CHINESE, "unspaced", 2, "take the metric out"),
        ("token_f1", CHINESE, "unspaced", 2, "rouge1:tokenizer=cjk reads them"),
        ("squad_em", ("A", "B"), "unread", 1, "rouge1 reads them"),
        ("mcc", ("yes", "yes"), "constant", 2, "take accuracy"),
        ("f1:average=binary:positive=Yes", ("yes", "no"), "constant", 2, "positive is one of"),
        ("pearson:invalid=-1", ("1", "1"), "constant", 2, "take exact_match"),
        ("numeric_match", ("twelve", "3"), "less", 1, "take case_insensitive_str_match"),
        ("entity_f1", ("O O", "O"), "constant", 2, "bring rows with entities"),
        ("entity_f1_strict", ("I-PER O B-LOC", "B-PER"), "less", 1, "take entity_f1"),
        ("entity_f1_strict", ("B-PER I-PER", "I-LOC O"), "less", 1, "take entity_f1"),
        ("entity_f1_strict:scheme=iobes", ("B-PER I-PER", "S-LOC"), "less", 1, "take entity_f1"),
    ],
)  # fmt: skip
def test_what_falls_short_is_said_with_advice_that_holds(metric, references, kind, count, advice):
    (found,) = shortfalls([metric], rows(references))
    assert (found.metrics, found.kind, len(found.rows)) == ((metric,), kind, count)
    assert advice in found.fix
    advised = found.fix.removeprefix("take ").split()[0]
    if advised.partition(":")[0] in catalogue():
        assert shortfalls([advised], rows(references)) == []


@pytest.mark.parametrize("metric", [name for name in catalogue() if not catalogue()[name].reads])
def test_english_sentences_have_full_marks(metric):
    entry = parse(metric).entry
    if entry.module in ("correlation", "entities"):
        references = ("1", "2") if entry.module == "correlation" else ("B-PER O", "B-LOC")
    else:
        references = ("1", "2") if metric == "numeric_match" else ENGLISH
    options = (
        ":invalid=-1" if "invalid" in entry.options else ":positive=1" if metric == "multirc_f1a" else ""
    )
    if metric == "multirc_f1a":
        references = ("1", "0")
    if metric in ("rouge7", "rouge8", "rouge9"):
        references = (" ".join(ENGLISH) + " Or not.",)
    assert shortfalls([metric + options], rows(references)) == []


def test_labels_and_facts_that_the_reference_does_not_have():
    possible = rows(("good", "bad", "neutral"), labels=["good", "bad"])
    labels, valid = shortfalls(["label_f1", "label_mcc", "valid_label"], possible)
    assert (labels.metrics, valid.metrics) == (("label_f1", "label_mcc"), ("valid_label",))
    assert labels.rows == valid.rows == (2,)
    (fact,) = shortfalls(["states_fact"], rows(("Call us.", "Call 112."), must_contain=["112"]))
    assert fact.rows == (0,)


def test_one_matter_of_several_metrics_is_said_once():
    (found,) = shortfalls(["rouge1", "rougeL"], rows(("", *ENGLISH)))
    assert found.metrics == ("rouge1", "rougeL")
    assert not found.total
    assert (
        found.sentence
        == 'rouge1, rougeL: 1 of 3 references has no word that it reads, such as ""; exact_match reads them'
    )


def test_of_many_rows_an_even_sample_is_looked_at():
    many = rows(["a right answer"] * MOST_ROWS + ["नहीं"] * MOST_ROWS)
    (found,) = shortfalls(["rougeL"], many)
    assert (len(found.rows), found.of) == (MOST_ROWS // 2, MOST_ROWS)
    assert all(many[index].references == ("नहीं",) for index in found.rows)


def test_answers_that_are_taught_and_count_as_wrong():
    taught = [Row("The answer is 4.", ("4",)), Row("5", ("5",))]
    (found,) = rejected_answers(["exact_match", "gsm8k:extract=last", "token_f1"], taught)
    assert (found.metrics, found.rows, found.kind) == (("exact_match",), (0,), "rejected")


def test_the_table_names_metrics_and_modules_that_exist():
    table = _table()
    assert set(table["not_asked"]) <= set(metric_names())
    assert set(table["by_module"]) <= {entry.module for entry in catalogue().values()}
    for alternatives in table["by_module"].values():
        names = [text for text in alternatives.get("try", ()) if "=" not in text or ":" in text]
        assert [parse(name).entry.name for name in names] == [name.partition(":")[0] for name in names]
