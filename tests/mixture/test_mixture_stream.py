from __future__ import annotations

import json
import pickle
from collections import Counter
from itertools import islice

import pyarrow as pa
import pytest

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.data.mapped import MappedRows
from tutelage.mixture import Mix, MixtureOrder, MixtureSource, MixtureStream, TaskSize, task_shares
from tutelage.templates import TaskTemplate, bind_template, find

SIZES = {"sums": 40, "names": 300, "tales": 7}


def rows(name):
    return tuple(
        Example(f"{name}:{n}", {"text": f"{name} {n}", "answer": str(n)}, Origin(name, n + 1, "row"))
        for n in range(SIZES[name])
    )


@pytest.fixture
def mixed():
    sources = [
        MixtureSource(name, rows(name), TaskTemplate(f"The {name}: {{{{ text }}}}", "{{ answer }}"))
        for name in SIZES
    ]
    parts = [TaskSize(name, size) for name, size in SIZES.items()]
    return MixtureStream.of(
        3, sources, task_shares(Mix("m", parts, {"sums": 2, "names": 2, "tales": 1}, cap=100))
    )


def test_rows_come_in_the_orders_order_in_their_own_words(mixed):
    found = mixed.span(700, 1300)
    assert len(found) == 600
    for position, one in enumerate(found, 700):
        pick = mixed.order.at(position)
        name = list(SIZES)[pick.task]
        assert (one.task, one.id) == (name, f"{name}:{pick.row}")
        assert (one.prompt, one.completion) == (f"The {name}: {name} {pick.row}", str(pick.row))
    assert Counter(one.task for one in mixed.span(5000, 6000)) == {"sums": 400, "names": 400, "tales": 200}
    assert len({one.id for one in mixed.span(0, 2000) if one.task == "names"}) == 100  # the cap


@pytest.mark.parametrize(("size", "first"), [(8, 0), (8, 517), (700, 3), (1200, 1), (20_000, 0)])
def test_batches_begin_anywhere(mixed, size, first):
    for number, batch in enumerate(islice(mixed.batches(size, first=first), 3), first):
        assert batch == mixed.span(number * size, (number + 1) * size)


@pytest.mark.parametrize(("size", "workers"), [(16, 1), (16, 3), (100, 4)])
def test_workers_share_the_batches(mixed, size, workers):
    lanes = [mixed.batches(size, first=worker, step=workers) for worker in range(workers)]
    seen = [row for _ in range(12 // workers) for lane in lanes for row in next(lane)]
    assert seen == mixed.span(0, size * (12 // workers) * workers)


def test_mapped_rows_are_the_same_rows(mixed, tmp_path):
    sources = []
    for name, source in zip(SIZES, mixed.sources, strict=True):
        table = pa.Table.from_pylist([dict(row.fields) for row in source.rows])
        with pa.ipc.new_file(str(tmp_path / f"{name}.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=64)
        sources.append(MixtureSource(name, MappedRows(tmp_path / f"{name}.arrow"), source.template))
    found = MixtureStream(mixed.order, sources).span(0, 2000)
    assert [(one.prompt, one.completion) for one in found] == [
        (one.prompt, one.completion) for one in mixed.span(0, 2000)
    ]


def mapped(tmp_path, table, name="r"):
    with pa.ipc.new_file(str(tmp_path / f"{name}.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=16)
    return MappedRows(tmp_path / f"{name}.arrow", name=name)


TEMPLATES = {
    "texts": TaskTemplate("{{ text }} / {{ text }}", "{{ answer }}"),
    "numbers": TaskTemplate("{{ number }} of {{ text }}", "{{ share }}"),
    "computed": TaskTemplate("{{ text | upper }}", "{{ answer }}"),
    "references": TaskTemplate("{{ text }}", "{{ answer }}", references="answer"),
    "labels": TaskTemplate("{{ text }}", "{{ label }}"),
    "wordings": bind_template(
        find("summarisation"), rows("sums"), fields={"text": "text", "summary": "answer"}, where="tasks.0"
    ),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_batchs_columns_are_its_rows_texts(name, in_memory, tmp_path):
    count = 50
    table = pa.table({
        "text": [f"Zeile <{n}> äö\n" for n in range(count)], "answer": [str(n) for n in range(count)],
        "number": range(count), "share": [n / 8 for n in range(count)], "label": [n % 2 for n in range(count)],
    })  # fmt: skip
    told = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["bad", "good"]}}}}
    rows = mapped(tmp_path, table.replace_schema_metadata({b"huggingface": json.dumps(told).encode()}))
    source = MixtureSource("task", list(rows) if in_memory else rows, TEMPLATES[name])
    order = MixtureOrder(0, [count], [1.0])
    batch = MixtureStream(order, [source]).span(0, 2 * count)
    whole = [
        TEMPLATES[name].render_all([rows[row]], "task", training=True)[0] for row in batch.draws.row.tolist()
    ]
    assert batch.prompts == [one.prompt for one in whole]
    assert batch.completions == [one.completion for one in whole]
    assert (batch[3], batch[-1], batch[60:], list(batch)) == (whole[3], whole[-1], whole[60:], whole)
    assert len(batch) == 2 * count
    with pytest.raises(IndexError):
        batch[2 * count]


def test_texts_that_are_only_put_together_need_no_template(mixed, monkeypatch):
    def never(*_words, **_named):
        raise AssertionError("the template was asked")

    wanted = mixed.span(0, 500)
    texts = [(one.prompt, one.completion) for one in wanted]
    monkeypatch.setattr(TaskTemplate, "render_all", never)
    batch = mixed.span(0, 500)
    assert list(zip(batch.prompts, batch.completions, strict=True)) == texts
    with pytest.raises(AssertionError):
        batch[0]


def test_a_row_that_is_not_plain_goes_through_its_template(tmp_path):
    texts = [f"text {n}" for n in range(40)]
    texts[7] = "<function x at 0x7f>"
    rows = mapped(tmp_path, pa.table({"text": texts, "answer": ["yes"] * 40}))
    mixed = MixtureStream(
        MixtureOrder(0, [40], [1.0]), [MixtureSource("t", rows, TaskTemplate("{{ text }}", "{{ answer }}"))]
    )
    assert sorted(mixed.span(0, 40).prompts) == sorted(texts)
    texts[7] = None
    broken = mapped(tmp_path, pa.table({"text": texts, "answer": ["yes"] * 40}), "b")
    sources = [MixtureSource("t", broken, TaskTemplate("{{ text }}", "{{ answer }}"))]
    with pytest.raises(InputError, match="null") as told:
        MixtureStream(MixtureOrder(0, [40], [1.0]), sources).span(0, 40)
    assert told.value.where.endswith("b.arrow, row 8")


def test_rows_in_memory_go_to_another_process(mixed):
    wanted = mixed.span(0, 100)
    assert pickle.loads(pickle.dumps(mixed)).span(0, 100) == wanted  # noqa: S301 - made here


def test_an_empty_span_is_empty(mixed):
    assert mixed.span(4, 4) == []
    assert mixed.span(4, 4).prompts == []
    assert mixed.span(0, 3) != mixed.span(1, 4)


def test_a_row_that_cannot_be_put_into_words_is_named():
    broken = (*rows("sums")[:39], Example("sums:39", {"text": "x"}, Origin("sums.jsonl", 40)))
    source = MixtureSource("sums", broken, TaskTemplate("{{ text }}", "{{ answer }}"))
    with pytest.raises(InputError) as told:
        MixtureStream(MixtureOrder(0, [40], [1.0]), [source]).span(0, 40)
    assert told.value.where == "sums.jsonl:40"


def test_sources_are_the_orders(mixed):
    with pytest.raises(ValueError, match="the order is over"):
        MixtureStream(MixtureOrder(0, [40, 300], [0.5, 0.5]), mixed.sources)
    other = task_shares(Mix("m", [TaskSize(name, 5) for name in reversed(SIZES)]))
    with pytest.raises(ValueError, match="rates are of"):
        MixtureStream.of(0, mixed.sources, other)
    for wrong in ({"size": 0}, {"size": 1, "first": -1}, {"size": 1, "step": 0}):
        with pytest.raises(ValueError, match="no batches"):
            next(mixed.batches(**wrong))
