"""Do 95 % intervals cover 95 %, and do tests keep quiet when nothing changed? Tables for docs/metrics.md.

    OMP_NUM_THREADS=1 python perf/coverage.py [--parts 50] [--change-parts 10] [--alarms 10000] [--sizes 10,30,100]
        [--metrics f1,ece] [--write]

Simulations with known truth (`perf/simulations`), the seed fixed beforehand. Of each kind of metric it
prints how many intervals hold the truth, averaged over the true value (from .02 to .98, in ten equal parts with `--parts`
repetitions each), and in the part with the fewest; the same for differences of two models; and how many tests give p < 0.05
for one model drawn twice. With --write each table replaces the one in docs/metrics.md, failures included; a number of 0
leaves a table out.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from measurement_note import measured_on
from simulations import rates
from simulations.rates import Coverage
from simulations.worlds import CALIBRATED, WORLDS, World

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEADING = "## How far the intervals can be trusted"
COVERED = ["metric", "items and models", "n", "repetitions", "covered", "±", "lowest tenth", "as promised"]
ALARMS = ["test", "truth", "n", "repetitions", "alarms", "±", "99 % bound below 6.5 %"]


def promised(covered: Coverage, n: int) -> bool:
    """On average 93 to 97 % and nowhere below 88 % from 30 items on, 92 % on average below, up to chance.

    Chance: the count is not among the 1 in 1,000 most extreme ones of a rate that keeps the promise.
    """
    from scipy.stats import binom

    mean, lowest = covered.mean, covered.lowest
    least = float(binom.ppf(0.001, mean.repetitions, 0.93 if n >= 30 else 0.92))
    most = float(binom.isf(0.001, mean.repetitions, 0.97)) if n >= 30 else mean.repetitions
    of_part = float(binom.ppf(0.001 / len(covered.parts), lowest.repetitions, 0.88)) if n >= 30 else 0
    return least <= mean.count <= most and lowest.count >= of_part


def covered_rows(
    measure: Callable[[World, int, int], Coverage],
    worlds: Sequence[World],
    sizes: Sequence[int],
    repetitions: int,
) -> Iterable[list[str]]:
    """Lines of a table of coverage."""
    for world in worlds:
        for n in sizes:
            covered = measure(world, n, repetitions)
            mean = covered.mean
            yield [
                f"`{world.metric}`",
                world.description,
                f"{n:,}",
                f"{mean.repetitions:,}",
                f"{100 * mean.share:.1f}",
                f"{100 * mean.error:.1f}",
                f"{100 * covered.lowest.share:.0f}",
                "yes" if promised(covered, n) else "**no**",
            ]


def clustered_rows(repetitions: int, sizes: Sequence[int]) -> Iterable[list[str]]:
    """The clustered interval, for which one true value stands."""
    for rate in rates.clustered_coverage(repetitions, sizes):
        yield [rate.method, rate.truth, f"{rate.n:,}", f"{rate.repetitions:,}", f"{100 * rate.share:.1f}",
               f"{100 * rate.error:.1f}", "", "yes" if promised(Coverage((rate,)), rate.n) else "**no**"]  # fmt: skip


def alarm_rows(repetitions: int, sizes: tuple[int, ...]) -> Iterable[list[str]]:
    """Lines of the table of false alarms."""
    for test in rates.ALARMS:
        for rate in rates.false_alarms(test, repetitions, sizes=sizes):
            verdict = "yes" if rate.bound < 0.065 else "**no**"
            yield [
                rate.method,
                rate.truth,
                f"{rate.n:,}",
                f"{rate.repetitions:,}",
                f"{100 * rate.share:.1f}",
                f"{100 * rate.error:.2f}",
                f"{verdict} ({100 * rate.bound:.2f})",
            ]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, printed line by line while it is made."""
    lines = [f"| {' | '.join(columns)} |", "|---|---|" + "---:|" * (len(columns) - 3) + "---|"]
    print("\n" + "\n".join(lines), flush=True)
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return lines


def write(name: str, lines: Sequence[str]) -> None:
    """Replace the table named so in the page, with the day and the processor on which it was made."""
    text = PAGE.read_text("utf-8")
    head, mark, rest = text.partition(f"<!-- {name} -->\n")
    assert mark, name
    following = re.sub(r"\A(Measured [^\n]*\n)?\n?(\|[^\n]*\n)*", "", rest)
    PAGE.write_text(
        head + mark + "\n".join([measured_on(), "", *lines, "", ""]) + following.lstrip("\n"),
        encoding="utf-8",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=int, default=50, help="repetitions a tenth of the true values")
    parser.add_argument("--change-parts", type=int, default=10, help="the same for differences")
    parser.add_argument("--alarms", type=int, default=10_000, help="repetitions of each test")
    parser.add_argument("--sizes", default="10,30,100,300,1000", help="numbers of items")
    parser.add_argument("--metrics", default="", help="metrics whose names begin so; all when left out")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/metrics.md")
    chosen = parser.parse_args(arguments)
    sizes = tuple(int(size) for size in chosen.sizes.split(","))
    begins = tuple(chosen.metrics.split(","))
    worlds = [world for world in WORLDS if world.metric.startswith(begins)]
    tables: dict[str, list[str]] = {}
    print(measured_on())
    if chosen.parts:
        calibrated = [CALIBRATED] if "ece".startswith(begins) else []
        tables["scores"] = table(
            COVERED,
            chain(
                covered_rows(rates.coverage, worlds, sizes, chosen.parts),
                covered_rows(rates.calibrated_coverage, calibrated, sizes, 10 * chosen.parts),
                clustered_rows(10 * chosen.parts, [n for n in sizes if n >= 30]),
            ),
        )
    if chosen.change_parts:
        rows = covered_rows(rates.change_coverage, worlds, sizes, chosen.change_parts)
        tables["differences"] = table(COVERED, rows)
    if chosen.alarms:
        tables["alarms"] = table(ALARMS, alarm_rows(chosen.alarms, tuple(n for n in sizes if n >= 30)))
    for name, lines in tables.items():
        if chosen.write:
            write(name, lines)


if __name__ == "__main__":
    main()
