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

from tutelage.core.provenance import measured_on
from tutelage.report import formatting, run_page
from tutelage.report.examples import MOST, ROOM, Group, Shown
from tutelage.report.highlighting import Pieces
from tutelage.report.run_page import Left

TIMES = """() => {
    const [entry] = performance.getEntriesByType("navigation");
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    return [paint ? paint.startTime : NaN, entry.loadEventEnd];
}"""


def filled(left: Left) -> Left:
    """The same run with as many and as long items as a page can have: `ROOM` bounds their sum."""
    first = left.examples[0]
    model = next(item for group in first.groups for item in group.items)
    words = ["every", "other", "word", "of", "this", "answer", "is", "a", "marked", "one", "and", "so", "on"]
    parts: list[tuple[bool, str]] = []
    while sum(len(text) for _, text in parts) < formatting.LONGEST - 12:
        parts.append((len(parts) % 2 == 1, f"{words[len(parts) % len(words)]} "))
    long = Pieces(tuple(parts), cut=10_000)
    items = [longest(model, long, n) for n in range(MOST)]
    while sum(item.weight for item in items) > ROOM:
        items.pop()
    group = Group("random", "At random", tuple(items), None, 0)
    return replace(left, examples=[replace(first, groups=(group,), total=MOST)])


def longest(model: Shown, long: Pieces, number: int) -> Shown:
    text = formatting.text("".join(text for _, text in long.parts))
    return replace(
        model,
        id=f"item {number}",
        prompt=text,
        references=(long,),
        base=replace(model.base, text=long),
        tuned=replace(model.tuned, text=long),
    )


def opened(path: Path, browsers: int) -> tuple[float, float]:
    """Milliseconds to the first paint and to the end of loading, medians over fresh browsers."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    found = []
    with sync_playwright() as playwright:
        for _ in range(browsers):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(path.as_uri(), wait_until="load")
            tab.wait_for_timeout(500)
            found.append(tab.evaluate(TIMES))
            browser.close()
    paints, loads = zip(*found, strict=True)
    return statistics.median(paints), statistics.median(loads)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--browsers", type=int, default=5, help="how often each page is opened")
    options = parser.parse_args(arguments)
    left = run_page.read(options.run)
    print(f"{measured_on()}\n")
    print("| page | items | MB | written in, s | first paint, ms | loaded, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, one in (("of the run", left), ("filled to its bounds", filled(left))):
        began = time.perf_counter()
        text = run_page.render(one)
        seconds = time.perf_counter() - began
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            path.write_text(text, encoding="utf-8")
            paint, loaded = opened(path, options.browsers)
        count = sum(examples.count for examples in one.examples)
        print(
            f"| {name} | {count} | {len(text.encode()) / 1e6:.2f} | {seconds:.2f} | {paint:.0f} | {loaded:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
