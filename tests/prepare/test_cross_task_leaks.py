"""Rows of one data set under two templates: no test row of one is trained on by the other, and template words do not count."""

from __future__ import annotations

import random
from dataclasses import replace

from tutelage.config.task_block import Task
from tutelage.core.types import Origin, Prompted
from tutelage.prepare.cross_task_leaks import (
    sources,
    with_earlier_training_rows,
    without_earlier_test_rows,
    without_leaks,
)
from tutelage.prepare.task_rows import TaskRows

TEMPLATE = "Read what stands below with care and then answer in one word what is asked of you: {}"


def story(number: int) -> str:
    return " ".join(f"w{(number * 31 + k * 7) % 997}x{number}" for k in range(12))


def task(name: str, words: str, train: range, test: range, validation: range = range(0)) -> TaskRows:
    def rows(numbers: range) -> tuple[Prompted, ...]:
        return tuple(
            Prompted(f"{name}:{n}", name, words.format(story(n)), "yes", "own", Origin(name, n + 1))
            for n in numbers
        )

    one = Task.model_validate({"name": name, "data": {"path": "r.jsonl"}})
    splits = {"train": len(train), "validation": len(validation), "test": len(test)}
    return TaskRows(one, rows(train), rows(validation), rows(test), {"splits": splits})


def numbers(rows: tuple[Prompted, ...]) -> set[int]:
    return {row.origin.line - 1 for row in rows}


def test_a_row_that_another_task_of_the_source_is_tested_on_is_not_trained_on():
    one = task("one", TEMPLATE, range(60), range(60, 70), range(70, 74))
    two = task("two", "{} - which is it?", range(20, 80), range(10), range(80, 84))
    first, second = without_leaks([one, two], ["s", "s"])
    assert numbers(first.train) == set(range(10, 60))
    assert numbers(second.train) == set(range(20, 60)) | set(range(70, 80))
    assert (first.card["shared"], second.card["shared"]) == (10, 10)
    assert first.card["splits"] == {"train": 50, "validation": 4, "test": 10}
    assert first.test == one.test


def test_tasks_that_read_the_same_bytes_are_of_one_source():
    def named(name: str, content: str) -> TaskRows:
        one = task(name, "{}", range(1), range(0))
        return replace(one, card={"source": {"sha256": content}})

    # b and c are of one data set by name, a and b by what they read: so all three are.
    found = sources([named("a", "1"), named("squad_x", "1"), named("squad_y", "2"), named("d", "3")])
    assert found == ["a", "a", "a", "d"]
    assert len(set(sources([named("squad_x", "2"), named("a", "1"), named("squad_y", "1")]))) == 1


def test_sources_are_the_components_of_names_and_bytes():
    draw = random.Random(0)
    for _ in range(300):
        told = [(draw.choice("abcde"), draw.choice("12345")) for _ in range(draw.randint(1, 7))]
        found = sources(
            [
                replace(task(name, "{}", range(1), range(0)), card={"source": {"sha256": content}})
                for name, content in told
            ]
        )
        parts = [{n} for n in range(len(told))]
        for _ in told:  # whoever shares a name or bytes with a part belongs to it
            for n, (name, content) in enumerate(told):
                near = [m for m, other in enumerate(told) if other[0] == name or other[1] == content]
                whole = set().union(*(part for part in parts if part & {n, *near}))
                parts = [part for part in parts if not part & whole] + [whole]
        assert {frozenset(m for m, one in enumerate(found) if one == name) for name in found} == set(
            map(frozenset, parts)
        )


def test_words_of_the_template_and_other_sources_take_nothing_away():
    one, two = (
        task("one", TEMPLATE, range(60), range(60, 70)),
        task("two", TEMPLATE, range(100, 160), range(160, 170)),
    )
    assert without_leaks([one, two], ["s", "s"]) == [one, two]
    same = task("two", TEMPLATE, range(60), range(60, 70))
    assert without_leaks([one, same], ["s", "t"]) == [one, same]


def test_an_exemplar_counts_as_the_row_before_which_it_stands():
    one, two = (
        task("one", TEMPLATE, range(60), range(60, 70)),
        task("two", "{}?", range(100, 160), range(20, 25)),
    )
    shown = (("user", TEMPLATE.format(story(22))), ("assistant", "yes"))
    first = replace(
        one, train=(*one.train[:10], replace(one.train[10], history=shown, shots=1), *one.train[11:])
    )
    assert numbers(without_leaks([first, two], ["s", "s"])[0].train) == set(range(60)) - {10, *range(20, 25)}


def test_a_row_that_an_earlier_run_tested_is_not_trained_on_whatever_its_source():
    new = task("new", TEMPLATE, range(60), range(60, 70), range(70, 74))
    earlier = task("earlier", "{} - which is it?", range(0), range(5))
    worded_alike = task("alike", TEMPLATE, range(0), range(70, 72))
    (cleaned,) = without_earlier_test_rows([new], [earlier, worded_alike])
    assert numbers(cleaned.train) == set(range(5, 60))
    assert numbers(cleaned.validation) == {72, 73}
    assert cleaned.card == {"splits": {"train": 55, "validation": 2, "test": 10}, "shared": 7}
    (counted,) = without_earlier_test_rows(
        [replace(new, card={**new.card, "shared": 3})], [earlier, worded_alike]
    )
    assert counted.card["shared"] == 10
    assert without_earlier_test_rows([new], [task("other", TEMPLATE, range(0), range(900, 910))]) == [new]


def test_test_rows_that_an_earlier_run_trained_on_are_counted():
    new = task("new", TEMPLATE, range(60), range(60, 70))
    other = task("other", "{} - which is it?", range(80, 90), range(90, 95))
    earlier = task("earlier", "{} - which is it?", range(64, 80), range(60, 62))
    counted, untouched = with_earlier_training_rows([new, other], [earlier])
    assert counted.card["trained_before"] == 6  # 64 to 69; what was only tested does not count
    assert counted.test == new.test
    assert untouched == other
