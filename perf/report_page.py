"""Question: how large is a report, and how soon does it stand on the screen?

    python perf/report_page.py RUN [--browsers 5]

needs the extra `dev` and a Chromium. Takes a finished run's page, and the same page filled to its bounds: items whose
prompt, references and answers all have the 2,000 characters at which texts are cut, every other word marked, as many as fit. Prints size, the time to write the
page, and Chromium's own times from the navigation on (medians, a fresh profile each): first paint, and load.
docs/report.md holds what it printed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from measurement_note import measured_on
from tutelage.report import formatting, run_page
from tutelage.report.examples import MAX_CHARACTERS, MAX_EXAMPLES, ComparedItem, ExampleGroup
from tutelage.report.highlighting import HighlightedText
from tutelage.report.run_page import FinishedRun

TIMES = """() => {
    const [entry] = performance.getEntriesByType("navigation");
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    return [paint ? paint.startTime : NaN, entry.loadEventEnd];
}"""


def filled(run: FinishedRun) -> FinishedRun:
    """The same run with as many and as long examples as a page can have: `MAX_CHARACTERS` bounds their sum."""
    first = run.examples[0]
    example = next(example for group in first.groups for example in group.items)
    words = ["every", "other", "word", "of", "this", "answer", "is", "a", "marked", "one", "and", "so", "on"]
    parts: list[tuple[bool, str]] = []
    while sum(len(text) for _, text in parts) < formatting.MAX_CHARACTERS - 12:
        parts.append((len(parts) % 2 == 1, f"{words[len(parts) % len(words)]} "))
    long_text = HighlightedText(tuple(parts), cut=10_000)
    examples = [longest(example, long_text, n) for n in range(MAX_EXAMPLES)]
    while sum(example.weight for example in examples) > MAX_CHARACTERS:
        examples.pop()
    group = ExampleGroup("random", "At random", tuple(examples), None, 0)
    return replace(run, examples=[replace(first, groups=(group,), total=MAX_EXAMPLES)])


def longest(example: ComparedItem, long_text: HighlightedText, number: int) -> ComparedItem:
    text = formatting.text("".join(text for _, text in long_text.parts))
    return replace(
        example,
        id=f"item {number}",
        prompt=text,
        references=(long_text,),
        base=replace(example.base, text=long_text),
        tuned=replace(example.tuned, text=long_text),
    )


def opened(path: Path, browsers: int) -> tuple[float, float]:
    """Milliseconds to the first paint and to the end of loading, medians over fresh browsers."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    times = []
    with sync_playwright() as playwright:
        for _ in range(browsers):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(path.as_uri(), wait_until="load")
            tab.wait_for_timeout(500)
            times.append(tab.evaluate(TIMES))
            browser.close()
    paints, loads = zip(*times, strict=True)
    return statistics.median(paints), statistics.median(loads)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--browsers", type=int, default=5, help="how often each page is opened")
    options = parser.parse_args(arguments)
    run = run_page.read(options.run)
    print(f"{measured_on()}\n")
    print("| page | items | MB | written in, s | first paint, ms | loaded, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, page_run in (("of the run", run), ("filled to its bounds", filled(run))):
        began = time.perf_counter()
        text = run_page.render(page_run)
        seconds = time.perf_counter() - began
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            path.write_text(text, encoding="utf-8")
            paint, loaded = opened(path, options.browsers)
        count = sum(examples.count for examples in page_run.examples)
        print(
            f"| {name} | {count} | {len(text.encode()) / 1e6:.2f} | {seconds:.2f} | {paint:.0f} | {loaded:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
