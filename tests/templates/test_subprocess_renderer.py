"""The child process: the same texts as here, and bounded where the sandbox is not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.templates import TaskTemplate, sandbox, subprocess_main, subprocess_renderer
from tutelage.templates.environment import ENVIRONMENT
from tutelage.templates.render_jobs import RenderJob, render_here
from tutelage.templates.sandbox import RenderedText, RenderFailure
from tutelage.templates.subprocess_renderer import RenderLimits, SubprocessRenderer

from .escapes import ESCAPES, TELLTALES
from .grammar import Grammar

FIELDS = {"a": "text", "b": "", "l": ["p", "q"], "o": {"x": 1}, "n": 3}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system's limits are Linux's")


@pytest.fixture(scope="module")
def renderer():
    one = SubprocessRenderer(RenderLimits(memory=400 << 20, cpu_seconds=1, wall_seconds=4.0))
    yield one
    one.close()


def job(source, **fields):
    return RenderJob(fields or FIELDS, ((source, {}),))


def valid(source):
    try:
        sandbox.check(source, where="w")
    except InputError:
        return False
    return True


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.text(max_size=9) | st.integers() | st.none() | st.lists(st.text(max_size=3), max_size=2),
        min_size=1,
    ),
    st.integers(0, 10**6),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_child_renders_as_this_process_does(renderer, fields, seed):
    sources = [
        "{{ a }}",
        "{{ row.a }}-{{ a }}{{ b }}",
        "{% for k in row %}{{ k }}{% endfor %}",
        "{{ c | upper }}é\u2028",
    ]
    sources += [Grammar(seed).template()]
    jobs = [RenderJob(fields, tuple((s, {"c": "beside"}) for s in sources if valid(s)))]
    assert renderer(jobs) == render_here(jobs)


@pytest.mark.parametrize("source", ESCAPES)
def test_no_known_escape_escapes(renderer, source, monkeypatch):
    monkeypatch.setenv("SECRET", "CANARY")
    if not valid(source):
        return
    outcomes = [] if "range(0, 10**12" in source else [render_here([job(source)])[0][0]]
    outcomes.append(renderer([job(source)])[0][0])
    for outcome in outcomes:
        said = outcome.text if isinstance(outcome, RenderedText) else outcome.detail
        assert not any(mark in said for mark in TELLTALES), said


def test_there_are_sixty_escapes_and_more():
    assert len(set(ESCAPES)) >= 60


def fuzzed(renderer, count, start):
    sources = [source for seed in range(start, start + count) if valid(source := Grammar(seed).template())]
    assert len(sources) > count / 3
    done = 0
    while done < len(sources):  # a text that took too much ends a call
        outcomes = renderer([job(source) for source in sources[done:]])
        assert outcomes
        for (outcome,), source in zip(outcomes, sources[done:], strict=False):
            if isinstance(outcome, RenderedText):
                assert len(outcome.text) < 1_000_000, source
                assert not any(mark in outcome.text for mark in TELLTALES), source
            else:
                assert isinstance(outcome, RenderFailure)
                assert outcome.kind != "died", source
        done += len(outcomes)


def test_random_templates_give_text_or_our_own_failure(renderer):
    fuzzed(renderer, 2_000, 0)


@pytest.mark.long
def test_many_random_templates_give_text_or_our_own_failure(renderer):
    fuzzed(renderer, 10_000, 10_000)


def test_nothing_is_computed_before_a_row_is_rendered():
    started = time.monotonic()
    sandbox.check("{{ 'a' * 10**10 }}{{ 10 ** (10 ** 8) }}{{ a }}", where="w")
    sandbox.check("{% if 9 ** (9 ** 9) %}{{ a }}{% endif %}", where="w")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ " + "(" * 5000 + "a" + ")" * 5000 + " }}", "nested"),
        ("{% for x in a %}" * 30 + "{{ x }}" + "{% endfor %}" * 30, "nested"),
        ("{{ a }}{{ 1" + "0" * 5000 + " }}", "valid"),
    ],
)
def test_templates_that_python_cannot_compile_are_refused(source, problem):
    with pytest.raises(InputError, match=problem):
        sandbox.check(source, where="w")


@LINUX
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ (a * 10**10) | length }}", "memory"),
        ("{{ a.center(10**10) | length }}", "memory"),
        (
            "{% set x = [a] %}{% for i in range(60) %}{% set x = x %}{% endfor %}{{ '%9999999999d' | format(n) }}",
            "memory",
        ),
        ("{{ (n ** (10 ** 9)) | length }}", "time"),
        ("{% for i in range(9999) %}{{ a * 9999 }}{% endfor %}", "too-long"),
    ],
)
def test_what_takes_too_much_is_ended_and_told(renderer, source, why):
    jobs = [job("{{ a }}"), job(source), job("{{ b }}")]
    outcomes = renderer(jobs)
    assert outcomes[0] == [RenderedText("text", (("a", 0, 4),))]
    assert outcomes[1][0].kind == why
    assert len(outcomes) == (2 if why == "time" else 3)
    assert renderer([job("{{ a }}")]) == [[RenderedText("text", (("a", 0, 4),))]]


@LINUX
def test_the_clock_ends_a_text_that_the_system_does_not():
    slow = SubprocessRenderer(RenderLimits(memory=400 << 20, cpu_seconds=100, wall_seconds=1.0))
    try:
        (outcome,) = slow(
            [job("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{{ a }}")]
        )
        assert outcome[0] == RenderFailure("time", "more than 1 s")
    finally:
        slow.close()


@LINUX
def test_a_row_is_told_with_its_line_the_limit_and_what_to_do(monkeypatch):
    monkeypatch.setattr(
        subprocess_renderer,
        "shared_renderer",
        SubprocessRenderer(RenderLimits(memory=400 << 20, cpu_seconds=1, wall_seconds=60.0)),
    )
    source = "{{ a }}{% if n > 5 %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}"
    template = TaskTemplate(source, "{{ a }}", where="tasks.2", untrusted=True)
    rows = [Example(str(n), {"a": "x", "n": n}, Origin("rows.jsonl", n)) for n in range(1, 9)]
    with pytest.raises(InputError) as caught:
        template.render_all(rows, "t")
    subprocess_renderer.shared_renderer.close()
    assert caught.value.where == "rows.jsonl:6"
    assert caught.value.problem == "the prompt template takes too long for this row"
    assert caught.value.found == "more than 1 s of processor time"
    assert "tasks.2.prompt" in caught.value.fix


def test_a_child_has_no_environment_no_files_and_ends_with_its_keeper():
    renderer = SubprocessRenderer()
    assert renderer([job("{{ a }}")])[0][0].text == "text"
    process = renderer._process
    folder = Path(renderer._folder.name)
    assert list(folder.iterdir()) == []
    if sys.platform == "linux":
        assert Path(f"/proc/{process.pid}/environ").read_bytes() == b""
        assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) == 3
        assert "in a process of its own: at most 1,024 MB of memory, 5 s" in renderer.describe_limits()
    renderer.close()
    assert process.returncode == 0
    assert not folder.exists()
    renderer.close()


def test_a_child_whose_keeper_is_killed_ends_too():
    code = (
        "import sys, os, time; from tutelage.templates.subprocess_renderer import shared_renderer; from tutelage.templates.render_jobs import RenderJob;"
        "shared_renderer([RenderJob({'a': 'x'}, (('{{ a }}', {}),))]); print(shared_renderer._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_child_that_dies_by_itself_is_replaced(renderer):
    assert renderer([job("{{ a }}")])[0][0].text == "text"
    renderer._process.kill()
    assert renderer([job("{{ a }}"), job("{{ n }}")]) == render_here([job("{{ a }}"), job("{{ n }}")])


def test_a_value_that_is_no_json_stops_at_once(renderer):
    with pytest.raises(TypeError, match="JSON"):
        renderer([job("{{ a }}"), job("{{ a }}", a=object())])
    assert renderer([job("{{ a }}")]) == render_here([job("{{ a }}")])


def test_rows_after_a_stop_get_their_own_texts(renderer, monkeypatch):
    def stop(process):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(renderer, "_answer", stop)
        with pytest.raises(KeyboardInterrupt):
            renderer([job("{{ a }}") for _ in range(1000)])
    assert renderer([job("{{ n }}")]) == render_here([job("{{ n }}")])


@pytest.mark.parametrize("value", ["<b>Tom &amp; x</b> http://a.b", ["b", "a"], {"k": 1}, 3.5])
def test_every_filter_does_in_the_child_what_it_does_here(renderer, value):
    sources = [f"{{{{ a | {name} | string }}}}{{{{ n }}}}" for name in sorted(ENVIRONMENT.filters)]
    assert len(sources) > 40
    jobs = [RenderJob({"a": value, "n": 1}, tuple((source, {}) for source in sources))]
    found = renderer(jobs)
    assert found == render_here(jobs)
    assert not any("OSError" in one.detail for one in found[0] if isinstance(one, RenderFailure))


def test_batches_are_bounded_and_nothing_is_lost(monkeypatch, renderer):
    monkeypatch.setattr(subprocess_renderer, "MAX_BATCH_ROWS", 7)
    monkeypatch.setattr(subprocess_renderer, "MAX_BATCH_CHARACTERS", 50)
    jobs = [job("{{ a }}", a="x" * (i % 40)) for i in range(100)]
    assert [
        one
        for batch in subprocess_renderer.split_batches(jobs, subprocess_renderer.job_size)
        for one in batch
    ] == jobs
    assert (
        max(len(batch) for batch in subprocess_renderer.split_batches(jobs, subprocess_renderer.job_size))
        <= 7
    )
    assert renderer(jobs) == render_here(jobs)


def test_only_what_is_read_goes_over_the_pipe():
    sent = json.loads(
        subprocess_renderer.write_jobs(
            [RenderJob({"a": "x", "b": "y", "c": "z"}, (("{{ a }}{{ row['b'] }}", {}),))]
        )
    )
    assert sent["rows"][0][0] == {"a": "x", "b": "y"}
    sent = json.loads(
        subprocess_renderer.write_jobs(
            [RenderJob({"a": "x", "b": "y"}, (("{% for k in row %}{{ k }}{% endfor %}", {}),))]
        )
    )
    assert sent["rows"][0][0] == {"a": "x", "b": "y"}


def test_where_a_system_has_no_limits_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert subprocess_main.apply_limits(1 << 30) == {"memory": False, "time": False}
    subprocess_main.allow_cpu_time(1)
    renderer = SubprocessRenderer()
    renderer.limits_held = {"memory": False, "time": False}
    assert (
        renderer.describe_limits()
        == "in a process of its own: 30 s by the clock; this system sets no limit to a process's memory"
    )


def test_a_template_gives_the_same_words_twice():
    with pytest.raises(InputError, match="random"):
        sandbox.check("{{ l | random }}", where="w")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ o.items | safe }}", "a method"),
        ("{{ range | upper }}{{ namespace | string }}", "A METHODa method"),
        (
            "{% set s = namespace(k=1) %}{% for i in range(3) %}{% set s.k = s.k + i %}{% endfor %}{{ s.k }}",
            "4",
        ),
        ("{{ o.items | escape | upper }}", "A METHOD"),
        ("{{ (l | attr('index')) | string }}", "a method"),
        ("{{ a.upper() }}{{ o.items() | list | length }}{{ l | map('upper') | join }}", "TEXT1PQ"),
        ("{{ '{}-{}'.format(a, n) }}", "text-3"),
    ],
)
def test_no_address_gets_into_a_text(source, text):
    assert sandbox.try_render(source, FIELDS).text == text


def test_parts_of_python_are_no_text():
    assert sandbox.try_render("{{ '<' ~ 'function f at 0x12>' }}{{ a }}", FIELDS).kind == "not-text"
    said = "<class 'x'> <generator object at 0x7f>"
    assert (
        sandbox.try_render("{{ a }}<function f at 0x12>", {"a": said}).text == f"{said}<function f at 0x12>"
    )


def test_a_list_with_something_missing_in_it_is_no_text():
    assert sandbox.try_render("{{ l | map(attribute='x') }}", FIELDS) == RenderFailure("not-text", "a list")


def test_half_a_character_is_no_text():
    outcome = sandbox.try_render("{{ '\\ud800' }}{{ a }}", {"a": "x"})
    assert isinstance(outcome, RenderFailure)
    assert "surrogate" in outcome.detail
