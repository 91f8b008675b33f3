"""Examples of a task as prompts, with exemplars before them, byte by byte as the reference program writes them.

Prefixes, the order of the appended choices and the draw of exemplars are those of `bigbench` 1.0.0 (`api/json_task.py`), with its
seed, 42.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tutelage.benchmarks.bigbench.task_file import BigBenchTask, TaskExample
from tutelage.core import seeds
from tutelage.core.errors import InputError

SEED = 42
MAX_SHOTS = 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """An example as the model reads it: its exemplars, and the question."""

    exemplars: tuple[str, ...]
    question: str


def prompts(task: BigBenchTask, shots: int) -> Iterator[Prompt]:
    """The prompts of all examples of a task, in their order.

    Args:
        task: the task.
        shots: how many exemplars stand before each question, from 0 to 3.

    Raises:
        InputError: there are too few examples for so many exemplars.
    """
    if shots > MAX_SHOTS:
        raise InputError(
            "BIG-bench is asked with few exemplars",
            where="shots",
            found=str(shots),
            expected=f"0 to {MAX_SHOTS}",
        )
    if shots and len(task.examples) < shots + 1:
        raise InputError(
            "there are too few exemplars",
            where=task.name,
            found=f"{len(task.examples)} examples",
            expected=f"at least {shots + 1}",
        )
    questions = [question_of(task, example) for example in task.examples]
    if not shots:
        yield from (Prompt((), question) for question in questions)
        return
    generator = seeds.legacy_generator(SEED)
    others = _others(task.examples)
    for index, question in enumerate(questions):
        drawn = generator.choice(len(task.examples) - 1 - len(others[index]), shots, replace=False)
        chosen = [_place(int(number), sorted([index, *others[index]])) for number in drawn]
        exemplars = []
        for place in chosen:
            targets = task.examples[place].targets
            exemplars.append(questions[place] + targets[int(generator.choice(len(targets)))])
        yield Prompt(tuple(exemplars), question)


def question_of(task: BigBenchTask, example: TaskExample) -> str:
    """An example's input between the task's prefixes, the choices behind it in the reference program's order."""
    text = task.setting("example_input_prefix", "\nQ: ") + example.text
    if example.scores and task.appends_choices:
        prefix = task.setting("choice_prefix", "\n  choice: ")
        choices = sorted(example.scores)
        text += "".join(prefix + choices[place] for place in _choice_order(len(choices)))
    return text + task.setting("example_output_prefix", "\nA: ")


@cache
def _choice_order(count: int) -> tuple[int, ...]:
    """The order of so many sorted choices, which is drawn anew for every example and so always the same."""
    return tuple(map(int, seeds.legacy_generator(SEED).permutation(count)))


def _others(examples: Sequence[TaskExample]) -> list[list[int]]:
    """For each example the others that equal it: they are no exemplars for it either."""
    places: dict[tuple[object, ...], list[int]] = {}
    keys = [(example.text, example.targets, tuple(sorted(example.scores.items()))) for example in examples]
    for index, key in enumerate(keys):
        places.setdefault(key, []).append(index)
    return [[place for place in places[key] if place != index] for index, key in enumerate(keys)]


def _place(number: int, left_out: Sequence[int]) -> int:
    """The place among all examples of the one with this number among those that are not left out."""
    for place in left_out:
        number += number >= place
    return number
