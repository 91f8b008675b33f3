"""Do 95 % intervals cover 95 %, and do tests keep quiet when nothing changed? A table for docs/metrics.md.

    python perf/coverage.py [--repetitions 2000] [--alarms 10000] [--write]

Simulations with known truth (`tutelage.metrics.stats.simulation`), the seed fixed beforehand. Prints the share of
repetitions whose interval holds the truth, and the share of tests that say p < 0.05 for one model drawn twice, each
with its Monte-Carlo standard error; with --write the tables go into docs/metrics.md, failures included.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tutelage.core.provenance import measured_on
from tutelage.metrics.stats import simulation
from tutelage.metrics.stats.simulation import Rate

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEADING = "## How far the intervals can be trusted"


def intervals(repetitions: int) -> Iterator[Rate]:
    """Every kind of interval, each with its own truth."""
    yield from simulation.wilson_coverage(repetitions * 10)
    yield from simulation.mean_coverage(repetitions)
    yield from simulation.clustered_coverage(repetitions)
    for metric in ("f1", "mcc", "bleu"):
        yield from simulation.bootstrap_coverage(metric, repetitions)


def alarms(repetitions: int) -> Iterator[Rate]:
    """Every test, at n of 30, 100, 1,000."""
    for test in simulation.ALARMS:
        yield from simulation.false_alarms(test, repetitions)


def table(rates: Iterable[Rate], *, covered: bool) -> list[str]:
    """A Markdown table, printed line by line while it is made."""
    last = "within 92 to 97 %" if covered else "99 % bound below 6.5 %"
    lines = [
        (
            f"| {'interval' if covered else 'test'} | truth | n | repetitions | "
            f"{'covered' if covered else 'alarms'} | ± | {last} |"
        ),
        "|---|---|---:|---:|---:|---:|---|",
    ]
    print("\n".join(lines), flush=True)
    for one in with_means(rates):
        holds = 0.92 <= one.share <= 0.97 if covered else one.bound < 0.065
        verdict = "yes" if holds else "**no**"
        if one.what == "Wilson":
            verdict = "the mean over p counts"
        if not covered:
            verdict += f" ({100 * one.bound:.2f})"
        lines.append(
            f"| {one.what} | {one.truth} | {one.n:,} | {one.repetitions:,} | {100 * one.share:.1f} | "
            f"{100 * one.error:.2f} | {verdict} |"
        )
        print(lines[-1], flush=True)
    return lines


def with_means(rates: Iterable[Rate]) -> Iterator[Rate]:
    """The rates, with Wilson's mean over p behind those of each n."""
    held: list[Rate] = []
    for one in rates:
        yield one
        held = [*(own for own in held if own.n == one.n), one] if one.what == "Wilson" else []
        if len(held) == 3:
            count, repetitions = (
                sum(getattr(own, name) for own in held) for name in ("count", "repetitions")
            )
            yield Rate("Wilson, mean over p", "p .1, .5, .9", one.n, count, repetitions)


def write(covered: list[str], quiet: list[str]) -> None:
    """Put the tables under their heading in the page."""
    text = PAGE.read_text("utf-8")
    head, mark, rest = text.partition(HEADING)
    body = re.match(r"(.*?)(?=\n## |\Z)", rest, re.DOTALL)
    assert mark
    assert body
    following = rest[body.end() :]
    told = [
        "",
        "",
        "Made by `perf/coverage.py --write`: simulations with known truth, their seed fixed beforehand; ± is the",
        "Monte-Carlo standard error. Failures stand here as they fell out.",
        measured_on(),
        "",
        "Of nominal 95 % intervals, how many of 100 hold the truth:",
        "",
        *covered,
        "",
        "Of 100 tests of a model against itself, how many say p < 0.05:",
        "",
        *quiet,
        "",
    ]
    PAGE.write_text(head + mark + "\n".join(told) + following, encoding="utf-8")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--alarms", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/metrics.md")
    given = parser.parse_args(words)
    print(f"{measured_on()}\n")
    covered = table(intervals(given.repetitions), covered=True)
    print()
    quiet = table(alarms(given.alarms), covered=False)
    if given.write:
        write(covered, quiet)


if __name__ == "__main__":
    main()
