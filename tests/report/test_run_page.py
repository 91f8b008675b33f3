from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tutelage.core import outputs
from tutelage.core.errors import InputError
from tutelage.metrics import holm
from tutelage.report import formatting as shown
from tutelage.report import run_page as page
from tutelage.report import write
from tutelage.report.headline import headline, meaning
from tutelage.report.protection import search_table
from tutelage.report.scores import charts
from tutelage.results import document
from tutelage.results.store import Store

from .conftest import FakeRun
from .payloads import HAND, PAYLOADS

OUTLINE = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "nav",
    "main",
    "section",
    "h1",
    "h2",
    "footer",
    "script",
}
VOID = {"meta", "link", "br", "hr", "img", "input"}
LINKS = {"data:,", "#measured", "#training", "#examples", "#data", "#use"}


class Parsed(HTMLParser):
    """A page's elements, attributes and texts; complains of elements that do not close."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.open, self.data = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        self.texts.append((tag, data))
        if tag == "data":
            self.data.append((float(attributes["value"]), data))


def parsed(folder):
    return Parsed(write(folder).read_text("utf-8"))


def numbers(value):
    if isinstance(value, dict):
        return {n for inner in value.values() for n in numbers(inner)}
    if isinstance(value, list):
        return {n for inner in value for n in numbers(inner)}
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_one_file_that_needs_no_network_and_no_script(fake_run):
    run = fake_run()
    found = parsed(run.folder)
    assert not {"iframe", "object", "embed", "form", "base", "img"} & set(found.tags)
    assert not [one for one in found.attributes if one[1].startswith("on")]
    assert {value for _, name, value in found.attributes if name in {"href", "src"}} == LINKS
    text = (run.folder / "report.html").read_text("utf-8")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)
    assert len(text) < 3_000_000


def test_the_one_script_is_ours_and_the_only_one_the_policy_lets_run(fake_run):
    run = fake_run()
    found = parsed(run.folder)
    ours = (Path(page.__file__).parent / "templates" / "page.js").read_text("utf-8")
    assert [text for tag, text in found.texts if tag == "script"] == [ours]
    hashed = base64.b64encode(hashlib.sha256(ours.encode()).digest()).decode()
    policy = next(
        value for _, name, value in found.attributes if name == "content" and "default-src" in value
    )
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{hashed}'"
    )


def test_every_number_shown_stands_in_what_the_run_left(fake_run):
    run = fake_run()
    found = parsed(run.folder)
    known = numbers(json.loads((run.folder / "results.json").read_text()))
    known |= numbers(json.loads((run.folder / "data" / "card.json").read_text()))
    with Store.open(run.folder / "results.sqlite", read_only=True) as store:
        known |= {value for step in store.steps() for value in step.values()}
        for one in store.evaluations():
            known |= {value for scored in one.scores().values() for value in scored.items.tolist()}
            known |= {float(len(one.items()))}
    counted = {float(n) for n in range(241)}  # how many items gained and lost
    assert len(found.data) > 80
    for value, text in found.data:
        assert value in known or (value in counted and text == f"{value:.0f}"), (value, text)
        shown = text.replace("\N{MINUS SIGN}", "-").replace("\N{NARROW NO-BREAK SPACE}", "").lstrip("+< ")
        sizes = [abs(value), abs(value) * 100]
        assert any(abs(abs(float(shown)) - size) <= 0.0501 for size in sizes), (value, text)


def test_the_large_figures_are_the_primary_metrics(fake_run):
    run = fake_run()
    found = parsed(run.folder)
    results = json.loads((run.folder / "results.json").read_text())
    for name, group, metric in (
        ("support-bot", "tasks", "states_fact"),
        ("general-probe", "watched", "accuracy"),
    ):
        outcome = results[group][name]
        for side in ("base", "tuned"):
            value = outcome[side][metric]["value"]
            assert (value, f"{100 * value:.1f}") in found.data[:14]


def test_the_verdict_stands_on_top_and_parts_are_there(fake_run):
    run = fake_run()
    texts = [text for _, text in parsed(run.folder).texts]
    verdict = run.comparison.verdict
    headline = next(text for text in texts if text.startswith("It got better at support\u2011bot"))
    assert headline.startswith("It got better at support\u2011bot, is still wrong in ")
    assert headline.endswith(" (on only 48 items), but forgot some of general\u2011probe.")
    meaning = next(text for text in texts if text.startswith(" Before you use it, look at what was lost"))
    assert texts.index(headline) < texts.index(meaning) < texts.index("What it learned, what it forgot")
    assert verdict.sentence in texts
    assert "spelling" in texts
    assert "Parts that got worse: spelling of general-probe" in verdict.sentence


def test_the_search_of_scales_is_a_sentence_a_table_and_a_chart(fake_run):
    texts = [text for _, text in parsed(fake_run().folder).texts]
    assert "Delivered at 0.7 of the change." in texts
    rows = {
        "0.4": ("within budget", "+30.0 (+21.0 to +39.0)"),
        "0.7": ("delivered", "+61.0 (+52.0 to +70.0)"),
        "0.85": ("not within budget", ""),
        "1": ("not tried", "+70.0 (+61.0 to +79.0)"),
    }
    for scale, (state, gain) in rows.items():
        at = next(n for n, text in enumerate(texts) if text == scale and texts[n + 1] == state)
        assert not gain or texts[at + 2] == gain
    assert "Gain against loss on general-probe" in texts
    assert any(text.startswith("2.0 (0.0 to 4.0), p") for text in texts)


def marks_of(search, name="general-probe"):
    """The chart's marks by scale: (kind, whether the loss is known, whether the gain is), and its scales without a mark."""
    chart = search_table(search).charts[0]
    return {
        point.scale: (point.kind, point.x is not None, point.y is not None) for point in chart.points
    }, chart


def test_a_candidate_of_which_a_part_fell_names_the_part(fake_run):
    search = fake_run()._search()
    failed = search["candidates"][-1]
    test = next(iter(failed["losses"].values()))
    test.update(within=True, fell=["knowledge", "format"])
    states = {row.scale: row.state for row in search_table(search).rows}
    assert states[f"{failed['scale']:g}"] == "fell: knowledge, format"


def test_the_chart_draws_hollow_what_was_measured_in_part_and_names_what_was_not_tried(fake_run):
    run = fake_run()
    search = {**run._search(), "path": [0.4, 0.7, 0.85, 0.9, 1.0]}
    marks, chart = marks_of(search)
    assert marks == {
        "0.4": ("within", True, True),
        "0.7": ("delivered", True, True),
        "0.85": ("part", True, False),  # it failed: no gain was asked for
        "1": ("part", False, True),  # the gain of the whole change is always measured
    }
    assert chart.not_tried == "0.9"
    points = {point.scale: point for point in chart.points}
    assert points["0.85"].text == "at 0.85 gain not measured, loss 6.0"
    assert points["1"].text == "at 1 gain 70.0, loss not measured"
    # Nothing that is drawn is cut off: the axes reach to the ends of all intervals.
    drawn = [end for point in chart.points for side in (point.x, point.y) if side for end in side]
    assert 0 <= min(drawn) < max(drawn) <= 100
    assert chart.x.low <= -1.5
    assert chart.x.high >= 8
    assert chart.y.high >= 79
    page = parsed(run.folder)
    classes = [value for tag, name, value in page.attributes if tag == "g" and name == "class"]
    first = classes.index("b within")
    assert classes[first : first + 4] == ["b within", "t", "b", "b"]
    dashed = [value for tag, name, value in page.attributes if (tag, name) == ("line", "class")]
    assert dashed.count("unknown") == 2
    (caption,) = (text for _, text in page.texts if "Hollow marks" in text)
    assert "Not tried, so without a mark" not in caption  # every scale of this one has something measured


def test_a_whole_change_that_failed_has_loss_and_gain(fake_run):
    search = fake_run()._search()
    candidates = [*search["candidates"][:2], {**search["candidates"][2], "scale": 1.0}]
    marks, chart = marks_of({**search, "path": [0.4, 0.7, 1.0], "candidates": candidates})
    assert marks["1"] == ("part", True, True)
    assert chart.not_tried == ""


def test_a_search_in_which_the_smallest_scale_failed_has_only_hollow_marks(fake_run):
    search = fake_run()._search()
    failed = {**search["candidates"][2], "scale": 0.4}
    marks, chart = marks_of({**search, "candidates": [failed], "chosen": None})
    assert marks == {"0.4": ("part", True, False), "1": ("part", False, True)}
    assert chart.not_tried == "0.7, 0.85"


@pytest.mark.parametrize(("lost", "word"), [(0.09, "over"), (0.0, "within")])
def test_a_loss_in_nats_stands_in_headline_and_note(fake_run, lost, word):
    results = json.loads((fake_run().folder / "results.json").read_text("utf-8"))
    watched = results["watched"]["general-probe"]
    watched["difference"]["accuracy"]["p_adjusted"] = 0.5  # the answers alone show nothing
    numbers = {"loss": lost, "low": lost - 0.02, "high": lost + 0.02, "p": 0.01, "p_adjusted": 0.01, "n": 240}
    watched["budget"] = {"nats": 0.05, "word": word, "base": -1.0, "tuned": -1.0 - lost, **numbers}
    (chart,) = charts(results["watched"], watched=True, budgets={"general-probe": {"nats": 0.05}})
    assert chart.budget is None
    assert f"fell by {lost:.3f} nats an item" in chart.nats
    assert chart.nats.endswith(f"at most 0.05 may be lost: {word}.")
    assert chart.lost_nats == (word == "over")
    forgot = "yes" if chart.lost_nats else "no"
    sentence = headline({"learned": "yes", "forgot": forgot}, [], [chart])
    assert sentence.endswith(
        "it forgot some of general-probe." if chart.lost_nats else "it kept general-probe."
    )


def test_losses_in_nats_have_three_decimals(fake_run):
    search = fake_run()._search()
    for candidate in search["candidates"]:
        (test,) = candidate["losses"].values()
        test.update(unit="nats", budget=0.05, loss=test["loss"] / 100)
    table = search_table(search)
    assert table.benchmarks == ("general-probe (budget 0.05 nats)",)
    assert table.rows[0].losses[0].startswith("0.005 (")
    assert table.charts[0].unit == "nats an item"
    assert "loss 0.020" in table.charts[0].points[1].text


SMALL = {"test_items": 10, "probe_items": 12, "steps": 4}


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return parsed(FakeRun(tmp_path_factory.mktemp("harmless"), say=lambda word: f"x {word}", **SMALL).folder)


# The payloads written by hand, and every 13th of those made of shapes, tags and events: each of these is among them.
QUICK = {*HAND, *PAYLOADS[len(HAND) :: 13]}


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(text, id=str(n), marks=() if text in QUICK else pytest.mark.long)
        for n, text in enumerate(PAYLOADS)
    ],
)
def test_hostile_texts_change_nothing_but_the_text(fake_run, harmless, hostile):
    attacked = parsed(fake_run("attacked", say=lambda word: f"{hostile} {word}", **SMALL).folder)
    assert set(attacked.tags) <= set(harmless.tags)
    assert [tag for tag in attacked.tags if tag in OUTLINE] == [
        tag for tag in harmless.tags if tag in OUTLINE
    ]
    known = {(tag, name) for tag, name, _ in harmless.attributes} | {("p", "class"), ("data", "value")}
    assert {(tag, name) for tag, name, _ in attacked.attributes} <= known
    assert {value for _, name, value in attacked.attributes if name in {"href", "src"}} == LINKS
    classes = [
        {value for _, name, value in page.attributes if name == "class"} for page in (attacked, harmless)
    ]
    assert classes[0] <= classes[1] | {"cut"}
    styles = [value for _, name, value in attacked.attributes if name == "style"]
    assert all(re.fullmatch(r"[a-z-]+: [-.\w%]+", value) for value in styles)
    scripts, ours = ([text for tag, text in page.texts if tag == "script"] for page in (attacked, harmless))
    assert scripts == ours
    told = shown.text(f"{hostile} What does the").content[
        :1900
    ]  # each stands whole in one text, as it was written
    assert sum(told in text for _, text in attacked.texts) >= 5


def test_long_texts_are_cut_and_said_to_be(fake_run):
    run = fake_run(say=lambda word: word + "y" * 2500 if word.startswith("The Harbour") else word)
    text = write(run.folder).read_text("utf-8")
    assert max(len(found) for found in re.findall("y+", text)) < 2000
    assert "Cut here: the text has" in text


def test_nothing_watched_is_said_and_not_shown_as_fine(fake_run):
    texts = " ".join(text for _, text in parsed(fake_run(watched=False).folder).texts)
    assert "what it forgot was not measured" in texts
    assert "Nothing was watched, so whether it forgot anything is not known" in texts
    assert "Forgotten: unclear" in texts


def test_nothing_taught_and_nothing_logged_is_said(fake_run):
    texts = " ".join(text for _, text in parsed(fake_run(tasks=False, steps=0).folder).texts)
    assert "What it learned was not measured" in texts
    assert "No training step is on record" in texts


def test_the_run_states_how_it_is_loaded_talked_to_and_repeated(fake_run):
    run = fake_run()
    texts = [text for tag, text in parsed(run.folder).texts if tag == "pre"]
    assert texts[-4:-1] == [
        "import a\nb = 1\nc = 2",
        f"tutelage chat {run.folder} --against base",
        "tutelage run recipes/support-bot.yaml",
    ]
    results = json.loads((run.folder / "results.json").read_text())
    del results["provenance"]["load"]
    (run.folder / "results.json").write_text(json.dumps(results))
    assert "Load it in Python" not in [text for _, text in parsed(run.folder).texts]


def test_writing_again_gives_the_same_page(fake_run):
    run = fake_run()
    first = write(run.folder).read_bytes()
    assert write(run.folder).read_bytes() == first
    assert not [path for path in run.folder.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("missing", ["results.json", "results.sqlite", "recipe.yaml", "data/card.json"])
def test_a_folder_that_is_no_finished_run_is_refused_and_nothing_is_written(fake_run, missing):
    run = fake_run(steps=2, test_items=5, probe_items=6)
    (run.folder / missing).unlink()
    with pytest.raises(InputError) as caught:
        write(run.folder)
    assert missing in caught.value.block()
    assert not (run.folder / "report.html").exists()


def test_better_and_worse_follow_the_adjusted_p(fake_run):
    run = fake_run()
    left = page.read(run.folder)
    parts = left.results["watched"]["general-probe"]["parts"]
    adjusted = holm([part["difference"]["accuracy"]["p"] for part in parts.values()])
    fell = [name for name, p in zip(parts, adjusted, strict=True) if p < 0.05]
    assert fell == ["spelling"]
    text = page.render(left)
    assert text.count('class="change to-fell"') == 2  # the whole and the part


def test_a_page_is_written_over_an_unchanged_one_and_one_of_an_older_version_only(fake_run):
    run = fake_run(steps=2, test_items=5, probe_items=6)
    page = write(run.folder)
    content = page.read_bytes()
    mark = outputs.GENERATOR.encode() + b"\n"
    older = content[: content.rindex(b"<!-- sha256")].replace(mark, b"")
    page.write_bytes(older)
    assert write(run.folder).read_bytes() == content
    for mine in (
        content.replace(b"</h1>", b" (my notes)</h1>"),
        b"<!DOCTYPE html>\n<html>mine</html>",
        b"mine",
    ):
        page.write_bytes(mine)
        with pytest.raises(InputError, match="would be replaced") as caught:
            write(run.folder)
        assert "move it to another place" in caught.value.fix
        assert page.read_bytes() == mine


@pytest.mark.parametrize(
    ("words", "says", "means"),
    [
        (
            {"learned": "yes", "reached": "yes"},
            "It got better at support-bot, reaches the target, and kept",
            "good enough",
        ),
        (
            {"learned": "yes", "reached": "no"},
            "It got better at support-bot, misses the target, but kept",
            "not good enough",
        ),
        ({"learned": "unclear"}, "Whether it got better at support-bot is unclear; it kept", "too few"),
        ({"learned": "no"}, "It got worse at support-bot, but kept", "Do not use it"),
        (
            {"learned": "yes"},
            "It got better at support-bot and kept general-probe.",
            "reach: {states_fact: 90}",
        ),
    ],
)
def test_the_headline_tells_better_from_good_enough(fake_run, words, says, means):
    results = json.loads((fake_run(test_items=80).folder / "results.json").read_text("utf-8"))
    if words["learned"] == "no":
        results["tasks"]["support-bot"]["difference"]["states_fact"].update(value=-0.2, low=-0.3, high=-0.1)
        results["tasks"]["support-bot"]["tuned"]["states_fact"]["value"] = 0.0
    tasks = charts(results["tasks"], watched=False, budgets={})
    watched = charts(results["watched"], watched=True, budgets={})
    verdict = {**words, "forgot": "no"}
    assert headline(verdict, tasks, watched).startswith(says)
    assert means in meaning(verdict, tasks, watched)


def test_few_items_are_said_in_the_headline(fake_run):
    texts = [text for _, text in parsed(fake_run(test_items=15, probe_items=30).folder).texts]
    title = next(text for text in texts if "general\u2011probe" in text)
    assert "(on only 12 items)" in title
    assert "(on only 30 items)" in title


def test_where_less_is_better_and_what_averages_are_stand_where_they_are(fake_run):
    run = fake_run()
    results = json.loads((run.folder / "results.json").read_text("utf-8"))
    outcome = results["watched"]["general-probe"]
    outcome["parts"]["macro"] = outcome["parts"]["spelling"]
    (chart,) = charts(results["watched"], watched=True, budgets={})
    assert [row.name for row in chart.averages] == ["macro"]
    assert "macro" not in [row.name for row in chart.parts]
    assert "lower is better" not in [text for _, text in parsed(run.folder).texts]
    task = results["tasks"]["support-bot"]
    for side in ("base", "tuned", "difference"):
        task[side]["wrongly_refuses"] = task[side]["rightly_refuses"]
    document.write(run.folder / "results.json", results)
    assert "lower is better" in [text for _, text in parsed(run.folder).texts]
