"""What does it cost to render templates in a process of their own?

    python perf/templates.py [--rows 20000]

The same template and rows in this process and in the child, by turns in one run; prints microseconds a row and the ratio.
A last line has the library's path: binding, choice of wording and rendering.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import median

from measurement_note import measured_on
from tutelage.core.types import Example, Origin
from tutelage.templates import LibraryTemplate, TaskTemplate, bind_template, close, find

TURNS = 5


def rows(count: int) -> list[Example]:
    """Reviews of about 350 characters."""
    text = "The soup came late but warm, and the bread was fresh. " * 6
    return [
        Example(str(n), {"text": f"Visit {n}. {text}", "label": n % 2}, Origin("rows.jsonl", n))
        for n in range(count)
    ]


def microseconds(template: TaskTemplate | LibraryTemplate, examples: list[Example]) -> float:
    """Of one row."""
    started = time.perf_counter()
    template.render_all(examples, "task")
    return (time.perf_counter() - started) / len(examples) * 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    examples = rows(parser.parse_args(arguments).rows)
    words = ("How was it?\n\n{{ text }}", "{{ label }}")
    ours, untrusted = TaskTemplate(*words), TaskTemplate(*words, untrusted=True)
    untrusted.render_all(examples[:1], "task")  # the child starts once a run
    taken = [(microseconds(ours, examples), microseconds(untrusted, examples)) for _ in range(TURNS)]
    here, apart = (median(column) for column in zip(*taken, strict=True))
    print(measured_on())
    print(f"in this process {here:6.1f} us a row")
    print(f"in the child    {apart:6.1f} us a row, {apart / here:.2f} times that")
    library = bind_template(find("sentiment"), examples, labels=["negative", "positive"])
    print(f"the library     {median(microseconds(library, examples) for _ in range(TURNS)):6.1f} us a row")
    close()


if __name__ == "__main__":
    main()
