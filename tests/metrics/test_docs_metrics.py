"""docs/metrics.md: every table, block and number in it is computed again here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from rouge_score import rouge_scorer, scoring

from tutelage.metrics import Row, metric_names, paired_difference, score_rows
from tutelage.metrics.catalogue import CatalogueEntry, catalogue, parse
from tutelage.metrics.stats.intervals import Z
from tutelage.scoring.explain import explain_rows, explanation_text

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
NUMBER = re.compile(r"(?<![\w#.|-])\d+(?:\.\d+)?(?![\w-]|\.\d)")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page below one heading."""

    title: str
    text: str

    def tables(self) -> list[list[list[str]]]:
        """Its tables, each as lines of cells, the ruler left out."""
        found = re.findall(r"(?:^\|.*\n?)+", self.text, re.MULTILINE)
        return [[_cells(line) for line in own.splitlines() if not line.startswith("|--")] for own in found]

    def blocks(self) -> list[str]:
        """What `--explain` prints, one explanation each."""
        fences = re.findall(r"```text\n(.*?)```", self.text, re.DOTALL)
        return [own.strip("\n") for fence in fences for own in fence.split("\n\n")]

    def references(self) -> tuple[str, ...]:
        return tuple(_lines(own) for own in re.findall(r"^Reference: `(.*)`$", self.text, re.MULTILINE))

    def prose(self) -> str:
        """Its sentences: without tables, blocks, code and addresses."""
        text = re.sub(r"```text\n.*?```", " ", self.text, flags=re.DOTALL)
        return re.sub(r"^\|.*$|^    .*$|`[^`\n]*`|\]\([^)]*\)", " ", text, flags=re.MULTILINE)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _lines(text: str) -> str:
    return text.replace(" / ", "\n")


def _sections() -> dict[str, Section]:
    parts = re.split(r"^#+ (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {title: Section(title, text) for title, text in zip(parts[::2], parts[1::2], strict=True)}


SECTIONS = _sections()
EXAMPLES = [own for own in SECTIONS.values() if own.references()]


def _examples(section: Section) -> list[tuple[Row, dict[str, str]]]:
    """The rows of the section's table with the scores that it claims."""
    ((head, *lines),) = section.tables()
    assert head[0] == "prediction"
    spec = [name.strip("`") for name in head[1:]]
    return [
        (Row(_lines(cells[0]), section.references()), dict(zip(spec, cells[1:], strict=True)))
        for cells in lines
    ]


def _value(metric: str, rows: list[Row]) -> float:
    return score_rows([metric], rows)[metric].score.value


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda own: own.title)
def test_every_score_of_an_example(section: Section):
    for row, claimed in _examples(section):
        assert claimed == {metric: f"{_value(metric, [row]):.4f}" for metric in claimed}, row.prediction


@pytest.mark.parametrize(
    "section", [own for own in SECTIONS.values() if own.blocks()], ids=lambda own: own.title
)
def test_every_block_is_what_explain_prints(section: Section):
    rows = [row for row, _ in _examples(section)]
    for block in section.blocks():
        found = re.match(r"Line 1, ([^ ]+) = ", block)
        assert found, block
        texts = [explanation_text(explain_rows([found[1]], [row])).partition("\n\n")[2] for row in rows]
        assert block in texts, "\n\n".join(texts)


def test_the_examples_show_what_they_are_said_to():
    (_, _), (_, order) = _examples(SECTIONS["The order of words"])
    assert order["rouge1"] == "1.0000"
    assert float(order["rouge2"]) < float(order["rougeL"]) < 1
    (_, turned), (_, alike) = _examples(SECTIONS['"not" for "very"'])
    assert float(turned["rouge1"]) >= 0.9 > 3 * float(alike["rouge1"]) - 0.1
    (row, _), _ = _examples(SECTIONS["A repeated word"])
    assert "5 cut" in explanation_text(explain_rows(["rouge1"], [row]))


SENTENCES = {
    "ROUGE-2 keeps one pair of four": ("rouge2", "Ben lent Anna her book", (1, 4)),
    "three words of five": ("rougeL", "Ben lent Anna her book", (3, 5)),
    "One word of ten says the opposite": ("rouge1", "The food was not good and we will come again", (9, 10)),
    "Every one of the six words": ("rouge1", "good good good good good good", (1, 6)),
}


@pytest.mark.parametrize("said", SENTENCES)
def test_numbers_in_words(said: str):
    metric, prediction, counts = SENTENCES[said]
    (section,) = (own for own in EXAMPLES if said in " ".join(own.prose().split()))
    (row,) = (row for row, _ in _examples(section) if row.prediction == prediction)
    (one,) = explain_rows([metric], [row])
    best = one.explanation.best  # type: ignore[attr-defined]
    assert (best.matches, best.predicted) == counts


CONSTANTS = {
    "A score, an interval, a signature": {"95", "100", "1000", "200", "30"},
    "rouge_score's `mid` is random": {"1000"},
    "A standard error divided once too often": {"1000"},
    "BLEU of short texts": {"0"},
    "IFEval: verdicts that rest on chance or on a download": {
        "834"
    },  # counted by tests/metrics/ifeval/test_published.py
    # nominal level, the test's threshold, and what the table's verdicts ask for, as perf/coverage.py has them
    "How far the intervals can be trusted": {"95", "100", "0.05", "30", "1000"}
    | {"1.96", ".02", ".98", "93", "97", "88", "92", "300", "3", "2", "10", "0", "1"},
}


@pytest.mark.parametrize("section", SECTIONS.values(), ids=lambda own: own.title)
def test_no_number_in_the_text_is_made_up(section: Section):
    """Numbers of sentences stand in a checked table or block of their section, or are checked by name below."""
    checked = {cell for table in section.tables() for line in table for cell in line}
    checked |= set(NUMBER.findall("\n".join(section.blocks()))) | CONSTANTS.get(section.title, set())
    checked |= {number for number, made in COMPUTED.get(section.title, {}).items() if made() == number}
    found = set(NUMBER.findall(section.prose()))
    assert found <= checked


def _pair() -> tuple[list[Row], list[Row]]:
    """Two models on 200 rows: 120 right, 22 gained, 8 lost."""
    before = ["yes"] * 120 + ["no"] * 80
    after = ["no"] * 8 + ["yes"] * 112 + ["yes"] * 22 + ["no"] * 58
    return tuple([Row(said, ("yes",)) for said in own] for own in (before, after))  # type: ignore[return-value]


def _difference() -> list[str]:
    base, tuned = (score_rows(["accuracy"], rows)["accuracy"] for rows in _pair())
    found = paired_difference(base, tuned)
    return [f"{found.value:+.4f}", f"{found.low:+.4f}", f"{found.high:+.4f}", f"{found.p:.4f}"]


def _pairs() -> list[Row]:
    above = list(SECTIONS)[: list(SECTIONS).index("Where other programs differ, and what is done here")]
    return [
        row
        for title in above
        if SECTIONS[title].references()
        for row, claimed in _examples(SECTIONS[title])
        if "rouge1" in claimed
    ]


def _bertscore(pair: int) -> str:
    """F1 by bert-score over the random BERT of two layers, as recorded for tests/parity/test_bertscore.py."""
    path = Path(__file__).parents[1] / "parity" / "bertscore.json"
    return f"{json.loads(path.read_text('utf-8'))['values']['bert|2|False'][pair][2]:.4f}"


COMPUTED: dict[str, dict[str, Callable[[], str]]] = {
    "BERTScore: words that are near each other": {
        "0.9673": lambda: _bertscore(4),
        "0.9981": lambda: _bertscore(2),
    },
    "A score, an interval, a signature": {"0.0161": lambda: _difference()[3]},
    "rouge_score's `mid` is random": {"10": lambda: str(len(_pairs()))},
    "A standard error divided once too often": {"31.6": lambda: f"{math.sqrt(1000):.1f}"},
    "How far the intervals can be trusted": {"3.84": lambda: f"{Z * Z:.2f}"},
}


def test_intervals_shrink_as_the_page_says():
    section = SECTIONS["A score, an interval, a signature"]
    for right, n, *figures in section.tables()[0][1:]:
        rows = [Row("yes" if at < int(right) else "no", ("yes",)) for at in range(int(n))]
        score = score_rows(["accuracy"], rows)["accuracy"].score
        assert figures == [f"{score.value:.4f}", f"{score.low:.4f}", f"{score.high:.4f}"]


def test_a_paired_difference_is_as_the_page_says():
    section = SECTIONS["A score, an interval, a signature"]
    _, before, after, change = section.tables()[1]
    for cells, rows in zip((before, after), _pair(), strict=True):
        score = score_rows(["accuracy"], rows)["accuracy"].score
        assert cells[1:] == [f"{score.value:.4f}", f"{score.low:.4f}", f"{score.high:.4f}"]
    assert change[1:] == _difference()[:3]
    assert before[3] > after[2]
    base, tuned = _pair()
    assert len(base) == 200
    assert sum(a.prediction != b.prediction for a, b in zip(base, tuned, strict=True)) == 30
    assert f"p = {_difference()[3]} " in section.text


def test_the_signature_is_the_one_shown():
    score = score_rows(["rouge1"], [Row("a b", ("a",)), Row("a b", ("a b",))])["rouge1"].score
    assert f"    {score.signature}\n" in PAGE.read_text("utf-8")


def test_rouge_scores_mid_moves_with_the_seed():
    scorer = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=True)
    section = SECTIONS["rouge_score's `mid` is random"]
    assert f"(`scoring.py`, {version('rouge-score')})" in section.text
    rows = _pairs()
    assert f"the {len(rows)} pairs" in " ".join(section.text.split())
    mean = f"{_value('rouge1', rows):.4f}"
    before = np.random.get_state()  # noqa: NPY002 - rouge_score draws from the global generator
    try:
        for seed, mid, own in section.tables()[0][1:]:
            np.random.seed(int(seed))  # noqa: NPY002 - the same
            aggregator = scoring.BootstrapAggregator()
            for row in rows:
                aggregator.add_scores(scorer.score(row.references[0], row.prediction))
            assert mid == f"{aggregator.aggregate()['rouge1'].mid.fmeasure:.4f}"
            assert own == mean
    finally:
        np.random.set_state(before)  # noqa: NPY002 - the same
    assert len({mid for _, mid, _ in section.tables()[0][1:]}) > 1


def test_the_replicates_spread_is_the_standard_error():
    """The mean of 100 rows has a known error: the replicates' spread is it, and divided by their root it is not."""
    dice = np.random.default_rng(0)
    rows = dice.random(100)
    replicates = np.array([dice.choice(rows, 100).mean() for _ in range(1000)])
    known = rows.std(ddof=1) / 10
    assert replicates.std(ddof=1) == pytest.approx(known, rel=0.1)
    wrong = replicates.std(ddof=1) / math.sqrt(len(replicates))
    assert known / wrong == pytest.approx(math.sqrt(1000), rel=0.1)


def test_cola_by_accuracy_rewards_one_answer_for_everything():
    answers = {
        "always acceptable": "1111111111",
        "five of the seven and two of the three right": "1111100001",
    }
    ((_, *lines),) = SECTIONS["CoLA by accuracy"].tables()
    assert {cells[0] for cells in lines} == set(answers)
    for said, *figures in lines:
        rows = [Row(guess, (true,)) for guess, true in zip(answers[said], "1111111000", strict=True)]
        assert figures == [f"{_value(name, rows):.4f}" for name in ("accuracy", "balanced_accuracy", "mcc")]


def _range(entry: CatalogueEntry) -> str:
    ends = f"from {entry.low:g}" if math.isinf(entry.high) else f"{entry.low:g} to {entry.high:g}"
    directions = {"higher": "", "lower": ", lower is better", "none": ", no direction"}
    return ends + directions.get(entry.better, f", best at {entry.target}")


def test_the_table_is_the_catalogue():
    (_, *lines), _ = SECTIONS["All metrics"].tables()
    expected = [
        [
            f"`{name}`",
            entry.summary,
            _range(entry),
            entry.paper,
            entry.program,
            " ".join(f"`{key}`" for key in entry.options),
        ]
        for name, entry in catalogue().items()
    ]
    assert lines == expected
    assert "rouge" in metric_names()
    assert not any("|" in cell for cells in expected for cell in cells)


def test_the_options_are_the_catalogues():
    _, (_, *lines) = SECTIONS["All metrics"].tables()
    told = {}
    for name, entry in catalogue().items():
        for key, option in entry.options.items():
            default = str(parse(name).options[key]).lower()
            choices = option.get("choices", [])
            several = f" ({', '.join(map(str, choices))})" if len(choices) > 1 else ""
            told[f"`{key}`", f"`{default}`" if default else "", f"{option['help']}{several}"] = None
    assert [tuple(cells) for cells in lines] == list(told)


def test_the_section_for_the_simulation_is_there():
    assert "`perf/coverage.py --write`" in SECTIONS["How far the intervals can be trusted"].text
