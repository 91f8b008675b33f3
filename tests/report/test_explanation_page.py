from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tutelage.metrics import Row
from tutelage.report import explanation_page
from tutelage.report.explanation_page import render_explanations
from tutelage.scoring.explain import explain_corpus_metrics, explain_rows

METRICS = [
    "rouge1",
    "rouge2",
    "rougeL",
    "rougeLsum",
    "bleu",
    "token_f1",
    "accuracy",
    "squad_em",
    "states_fact",
]
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</mark></div><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "</title><svg onload=alert(1)>",
    "<iframe src='https://evil.example'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "{{ 7 * 7 }}{% for x in y %}{{ ''.__class__ }}",
    "&lt;script&gt; &amp; &#x3c;script>",
    "<!--", "-->", "]]>", "\x00<scr\x00ipt>", "\u202egnp.exe", "\x1b]0;title\x07", "\ud800",
    "<base href='//evil.example'>", "<meta http-equiv=refresh content=0>",
    "<style>*{background:url(//evil.example)}</style>", "\ufeff<script>", "x" * 30_000,
]  # fmt: skip
VOID = {"meta", "link", "br"}


class Parsed(HTMLParser):
    """A page's elements, attributes and texts; complains of elements that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.marks: list[tuple[str | None, str]] = []
        self.data: list[tuple[float, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        self.texts.append((tag, data))
        if tag == "mark":
            self.marks.append((attributes.get("class"), data))
        if tag == "data":
            self.data.append((float(attributes["value"] or "nan"), data))


def row(text: str = "the the cat", reference: str = "the cat sat", **fields: object) -> Row:
    told = {"must_contain": ["cat", "dog"], "must_not_contain": ["the"], "refusal": ["no"], **fields}
    return Row(text, (reference, "dog"), told)  # type: ignore[arg-type]


def test_one_file_that_needs_no_network_and_no_script():
    text = render_explanations(explain_corpus_metrics(["bleu"], [row()]) + explain_rows(METRICS, [row()]))
    found = Parsed(text)
    assert not {"script", "iframe", "object", "embed", "form", "base", "img"} & set(found.tags)
    assert not [one for one in found.attributes if one[1].startswith("on")]
    assert {value for _, name, value in found.attributes if name in {"href", "src"}} == {"data:,"}
    policy = dict(one[1:] for one in found.attributes if one[0] == "meta")["content"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert policy is not None
    assert "url(" not in text
    assert "@import" not in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_data_and_models_stays_text(text: str):
    plain = Parsed(render_explanations(explain_rows(METRICS, [row("cat", "cat")])))
    hostile = Row(
        text, (text, "dog"), {"must_contain": [f"x{text}"], "must_not_contain": [f"y{text}"]}, task=text
    )
    page = render_explanations(explain_corpus_metrics(["bleu"], [hostile]) + explain_rows(METRICS, [hostile]))
    page.encode("utf-8")
    found = Parsed(page)
    allowed = {*plain.tags, "details", "summary", "i", "small", "mark", "q", "b", "p"}
    assert set(found.tags) <= allowed
    assert not [one for one in found.attributes if one[1].startswith("on") or one[1] in {"src", "action"}]
    styles = [value for _, name, value in found.attributes if name == "style"]
    assert all(value and value.startswith("width: ") and len(value) < 20 for value in styles)
    assert page.count("</style>") == 1
    assert not any(char in page for char in "\x00\x1b\u202e\ud800")


def test_the_marks_are_those_of_the_explanation():
    (one,) = explain_rows(["rouge1"], [row()])
    found = Parsed(render_explanations([one]))
    assert found.marks[2:] == [("counted", "the"), ("cut", "the"), ("counted", "cat"), ("counted", "the cat")]


def test_text_around_marks_is_whole_and_in_order():
    text = "  <b>the</b> & the\n cat  "
    found = Parsed(render_explanations(explain_rows(["rouge1"], [Row(text, ("the cat",))])))
    shown = "".join(data for tag, data in found.texts if tag in {"div", "mark"})
    assert text in shown


def test_every_figure_stands_beside_its_raw_number():
    explanations = explain_corpus_metrics(["bleu"], [row()]) + explain_rows(METRICS, [row()])
    found = Parsed(render_explanations(explanations))
    values = [one.explanation.value for one in explanations]
    assert set(values) <= {value for value, _ in found.data}
    for value, shown in found.data:
        digits = len(shown.partition(".")[2])
        assert shown == f"{value:.{digits}f}"


def test_long_texts_and_lists_are_cut_and_say_so():
    many = " ".join(f"w{n}" for n in range(explanation_page.MAX_CHIPS + 5))
    assert "and 5 more" in render_explanations(explain_rows(["rouge1"], [Row(many, ("x",))]))
    long = "x" * (explanation_page.MAX_CHARACTERS + 7)
    for metric in ("rouge1", "accuracy"):
        text = render_explanations(explain_rows([metric], [Row(long, ("y",))]))
        assert f"the text has {len(long)} characters" in text
        assert long not in text


def test_a_row_that_is_not_counted_and_an_empty_page_say_so():
    text = render_explanations(explain_rows(["states_fact"], [row(answerable=False)]))
    assert "not counted" in text
    assert "The metric does not count this row." in text
    assert "There is nothing to explain." in render_explanations([])
    assert "empty</i>" in render_explanations(explain_rows(["rouge1"], [row("")]))


def test_the_order_that_killed_bleu_is_named():
    page = render_explanations(
        explain_rows(["bleu"], [Row("the cat mat the on sat", ("the cat sat on the mat",))])
    )
    assert '<div class="share killer">\n    <span class="name">order 4</span>' in page
    assert "Order 4 did most harm" in page
