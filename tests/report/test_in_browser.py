"""The page in a real Chromium: no complaints, nothing wider than the screen, no serious fault of accessibility."""

from __future__ import annotations

from importlib.resources import files

import pytest

from tutelage.report import write
from tutelage.results import document

from .conftest import FakeRun

SCREENS = {"wide": (1440, 900), "tablet": (820, 1180), "phone": (360, 740)}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return write(FakeRun(tmp_path_factory.mktemp("run")).folder).as_uri()


@pytest.fixture
def opened(chromium, address):
    """Open the page; its complaints are kept in `page.complaints`."""
    contexts = []

    def make(**options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: request.url == address or page.complaints.append(request.url))
        page.goto(address)
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("screen", "scheme"), [("wide", "light"), ("tablet", "dark"), ("phone", "light")])
def test_it_fits_and_anyone_can_read_it(opened, screen, scheme):
    width, height = SCREENS[screen]
    page = opened(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (one["id"], one["impact"], node["html"][:200])
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
    assert serious == []
    assert page.complaints == []


def test_search_and_filters_narrow_the_answers(opened):
    page = opened()
    every = page.locator("article.example")
    shown = page.locator("article.example:visible")
    total = every.count()
    page.get_by_role("button", name="newly wrong").click()
    assert shown.count() == page.locator("article[data-groups~=wrong]").count() > 0
    assert page.locator("#found").text_content() == f"{shown.count()} of {total} answers"
    name = shown.last.locator(".id span").first.text_content()
    page.get_by_label("Search").fill(f"{name.upper()} question")
    assert 0 < shown.count() < page.locator("article[data-groups~=wrong]").count()
    assert all(name in text for text in shown.all_text_contents())
    page.get_by_label("Search").fill("no such words anywhere")
    assert shown.count() == 0
    assert page.locator("#found").text_content() == f"0 of {total} answers"
    page.get_by_label("Search").fill("")
    page.get_by_role("button", name="all", exact=True).click()
    assert page.locator("article.example[hidden]").count() == 0
    assert page.locator("#found").text_content() == ""
    assert page.complaints == []


def test_without_script_everything_is_there(opened):
    page = opened(java_script_enabled=False)
    assert not page.locator("#filters").is_visible()
    assert page.locator("article.example").first.is_visible()
    assert page.locator("details.dataset > summary").count() == 2
    page.locator("details.dataset > summary").nth(1).click()
    assert page.locator("details.dataset").nth(1).locator("article.example").first.is_visible()
    page.locator(".tip summary").first.click()
    assert page.locator(".tip p").first.is_visible()


def test_a_foreign_script_is_stopped_by_the_policy(opened):
    page = opened()
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))"
    )
    assert page.evaluate("window.bad") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


def test_printed_it_is_one_sheet_and_the_rest_on_demand(opened):
    page = opened()
    assert page.pdf(format="A4").count(b"/Type /Page\n") == 1
    page.locator("#print-all").check()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("main").is_visible()
    assert not page.locator("nav").is_visible()
    assert not page.locator("#filters").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


def test_above_the_fold_are_two_sentences_and_two_figures(opened):
    page = opened(viewport={"width": 1280, "height": 900})
    assert page.locator("header .big").count() == 2
    assert page.locator("header :is(h1, .lead)").count() == 2
    assert page.evaluate("document.querySelector('nav').getBoundingClientRect().bottom") < 900


def test_the_menu_of_a_phone_shows_that_it_scrolls(opened):
    page = opened(viewport={"width": 360, "height": 740})
    menu = page.locator("nav ul")
    assert menu.evaluate("(it) => it.scrollWidth > it.clientWidth")
    assert menu.evaluate("(it) => getComputedStyle(it).scrollbarWidth") == "thin"
    assert (
        menu.evaluate("(it) => getComputedStyle(it).backgroundAttachment") == "local, local, scroll, scroll"
    )


def test_one_sheet_has_room_for_a_run_of_many_tasks(chromium, tmp_path):
    run = FakeRun(tmp_path, test_items=15, probe_items=30, steps=4)
    results = document.read(run.folder / "results.json")
    (task,) = results["tasks"].values()
    long_name = "a-task-whose-name-is-rather-long-{}"
    results["tasks"] = {"support-bot": task} | {long_name.format(n): task for n in range(40)}
    results["verdict"]["sentence"] = "It got better at many things. " * 30
    document.write(run.folder / "results.json", results)
    page = chromium.new_page()
    page.goto(write(run.folder).as_uri())
    assert page.pdf(format="A4").count(b"/Type /Page\n") == 1
    assert page.locator(".sheet tbody tr").count() == 6 + 1
    assert page.locator(".sheet").text_content().count("35 more are on the page") == 1
    page.close()
