"""The page in a real browser: type, stream, stop, compare, and text that would like to be more than text."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import Error, expect

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    "</div></section><a href='javascript:document.title=1'>x</a> &lt;b&gt; ${1} \u202eabc\x1b[2J\n# head\n  two  blanks"
)


@pytest.fixture
def opened(chromium, site):
    """Open the page on scripted responders. At the end it must not have complained, nor asked anybody else."""
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    complaints, asked, excused = [], [], []

    def open_page(*responders, **settings):
        here = site(*responders, **settings)
        page = context.new_page()
        page.here = here
        page.excused = excused
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: asked.append((here.own, request.url)))
        page.goto(here.address)
        return page

    yield open_page
    context.close()
    assert [text for text in complaints if not any(word in text for word in excused)] == []
    assert all(url.startswith((f"http://{own}/", "data:")) for own, url in asked)


def ask(page, question):
    page.get_by_label("Your question").fill(question)
    page.get_by_label("Your question").press("Enter")


def answers(page):
    return page.locator(".answer .said")


def test_a_question_is_typed_and_its_answer_streams_in(opened, responder):
    gate = threading.Event()
    one = responder(["The price", gate, " is 12 euros."], ["Yes."])
    page = opened(one)
    expect(page.get_by_role("heading", level=1)).to_have_text("model of answer")
    expect(page.get_by_text("No question yet.")).to_be_visible()
    ask(page, "What does it cost?")
    # The first words stand there while the rest is not made yet.
    expect(answers(page)).to_have_text("The price")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_hidden()
    expect(page.locator(".answer")).to_have_attribute("aria-busy", "true")
    gate.set()
    expect(answers(page)).to_have_text("The price is 12 euros.")
    expect(page.locator(".asked")).to_have_text("What does it cost?")
    # A screen reader hears the whole answer once, and the next question can be typed at once.
    expect(page.locator("#announce")).to_have_text("answer: The price is 12 euros.")
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.get_by_label("Your question")).to_have_value("")
    page.keyboard.type("Sure?")
    page.keyboard.press("Enter")
    expect(answers(page).nth(1)).to_have_text("Yes.")
    assert one.prompts[1][1] == ("assistant", "The price is 12 euros.")


def test_shift_and_enter_begin_a_line_and_blank_questions_are_not_sent(opened, responder):
    one = responder(["ok"])
    page = opened(one)
    ask(page, "  ")
    page.get_by_label("Your question").fill("first")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_text("ok")
    assert one.prompts == [[("user", "first\nsecond")]]
    assert page.locator(".asked").inner_text() == "first\nsecond"


@pytest.mark.parametrize("how", ["button", "key"])
def test_stop_stops_the_model_and_what_was_said_stays(opened, responder, how):
    gate = threading.Event()
    one = responder(["one ", gate, *["more "] * 500], ["next"])
    page = opened(one)
    ask(page, "q")
    expect(answers(page)).to_have_text("one ")
    if how == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    page.here.wait_until(page.here.site._stop.is_set)
    gate.set()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    assert one.closed == 1
    assert page.here.session.turns[0].interrupted
    ask(page, "r")
    expect(answers(page).nth(1)).to_have_text("next")


def test_leaving_the_page_stops_the_model_too(opened, responder):
    gate = threading.Event()
    one = responder(["one ", gate, *["more "] * 500])
    page = opened(one)
    ask(page, "q")
    expect(answers(page)).to_have_text("one ")
    stop = page.here.site._stop
    page.goto("about:blank")
    page.here.wait_until(stop.is_set)
    gate.set()
    page.here.wait_until(lambda: page.here.session.turns)
    assert one.closed == 1


def test_two_voices_are_compared_side_by_side_and_on_a_phone_one_above_the_other(opened, responder):
    gate = threading.Event()
    page = opened(
        responder(["It costs 12."], label="tuned"), responder(["I do", gate, " not know."], label="base")
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("tuned and base")
    expect(page.get_by_text("tuned is model of tuned, base is model of base")).to_be_visible()
    ask(page, "price?")
    tuned, base = page.get_by_role("region", name="tuned"), page.get_by_role("region", name="base")
    expect(tuned).to_contain_text("It costs 12.")
    expect(base).to_contain_text("I do")
    gate.set()
    expect(base).to_contain_text("I do not know.")
    left, right = tuned.bounding_box(), base.bounding_box()
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    page.set_viewport_size({"width": 360, "height": 700})
    above, below = tuned.bounding_box(), base.bounding_box()
    assert above["x"] == below["x"]
    assert above["y"] + above["height"] < below["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_reset_forgets_on_the_page_and_in_the_model(opened, responder):
    one = responder(["a"], ["b"])
    page = opened(one)
    ask(page, "one")
    expect(answers(page)).to_have_text("a")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "two")
    expect(answers(page)).to_have_text("b")
    assert one.prompts[1] == [("user", "two")]


def test_system_prompt_and_temperature_are_set_and_an_answer_is_drawn_again(opened, responder):
    one = responder(["a"], ["b"])
    page = opened(one)
    page.get_by_text("Settings").click()
    page.get_by_label("System prompt").fill("Be short.")
    page.get_by_role("button", name="Set and start over").click()
    expect(page.locator("#announce")).to_contain_text("starts over")
    ask(page, "q")
    expect(answers(page)).to_have_text("a")
    page.get_by_role("button", name="Sample again").click()
    expect(page.get_by_role("alert")).to_contain_text("at temperature 0 the same answer would come again")
    # Chromium itself notes in the console that a request was refused.
    page.excused.append("422 (Unprocessable")
    page.get_by_label("Temperature").fill("0.8")
    page.get_by_label("Temperature").press("Enter")
    expect(page.locator("#announce")).to_have_text("The temperature is set")
    page.get_by_role("button", name="Sample again").click()
    expect(answers(page)).to_have_text("b")
    assert one.prompts == [[("system", "Be short."), ("user", "q")]] * 2
    assert one.how["temperature"] == 0.8


def test_hostile_text_stays_text_everywhere(opened, responder):
    one, two = responder([HOSTILE], label=HOSTILE), responder(list(HOSTILE), label="base")
    page = opened(one, two)
    ask(page, HOSTILE)
    shown = HOSTILE.replace("\x1b", "")
    expect(page.locator(".turn .after")).to_be_visible()
    for place in (0, 1):
        assert answers(page).nth(place).evaluate("e => e.textContent").replace("\x1b", "") == shown
        assert answers(page).nth(place).evaluate("e => e.childElementCount") == 0
    assert page.locator("img, main a, main script, iframe").count() == 0
    assert page.title().endswith("Tutelage chat")
    page.reload()
    expect(answers(page)).to_have_count(2)
    assert page.locator("img, main a, main script, iframe").count() == 0


def test_the_policy_forbids_what_the_page_itself_never_does(chromium, site, responder):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(site(responder()).address)
    for forbidden in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.insertAdjacentHTML('beforeend', '<img src=x>')",
        "document.body.setAttribute('onclick', 'document.title = 1')",
        "setTimeout('document.title = 1')",
        "document.createElement('script').textContent = 'document.title = 1'",
        "fetch('http://127.0.0.1:9/')",
    ):
        with pytest.raises(Error, match=r"TrustedHTML|TrustedScript|Failed to fetch"):
            page.evaluate(forbidden)
    context.close()


def test_after_a_reload_the_conversation_is_still_there(opened, responder):
    page = opened(responder(["a"], ["b"]), temperature=0.5, system="kind")
    ask(page, "one")
    expect(answers(page)).to_have_text("a")
    page.reload()
    expect(answers(page)).to_have_text("a")
    expect(page.get_by_label("Temperature")).to_have_value("0.5")
    expect(page.get_by_label("System prompt")).to_have_value("kind")


def test_without_the_key_the_page_says_what_to_do(opened, chromium, site, responder):
    here = site(responder())
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://{here.own}/")
    expect(page.get_by_role("alert")).to_contain_text("open the full address")
    context.close()


def test_a_server_that_has_ended_is_said(opened, responder):
    page = opened(responder(["a"]))
    expect(page.get_by_text("No question yet.")).to_be_visible()
    page.here.end()
    page.excused.append("ERR_CONNECTION_REFUSED")
    ask(page, "q")
    expect(page.get_by_role("alert")).to_contain_text("Was it stopped in the terminal?")
    expect(page.get_by_label("Your question")).to_have_value("q")


def test_every_field_and_button_has_a_name_and_can_be_reached_by_keyboard(opened, responder):
    page = opened(responder(["a"]))
    page.get_by_text("Settings").click()
    for control in page.locator("button:visible, input:visible, textarea:visible").all():
        name = control.evaluate("e => e.labels?.[0]?.textContent || e.textContent")
        assert re.search(r"\w", name)
    page.get_by_label("Your question").focus()
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {
        "reset",
        "Settings",
        "temperature",
        "Set",
        "system",
        "Set and start over",
        "question",
        "send",
    } <= seen
