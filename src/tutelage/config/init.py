"""Write a recipe to start from for a data file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage import templates
from tutelage.config.fields import slug
from tutelage.config.init_columns import PromptColumns, choose_columns
from tutelage.config.init_lengths import MODEL, Lengths, measure, token_counter
from tutelage.config.init_metrics import SuitableMetrics, suitable_metrics
from tutelage.config.init_split import ProposedSplit, propose_split
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.types import Example, Prompted
from tutelage.data import DataSource, load
from tutelage.data.formats.blocks import is_compressed
from tutelage.data.layouts import CONVERSATIONS
from tutelage.templates import TaskTemplate
from tutelage.templates.column_reading import is_system_prompt

COLUMNS_SHOWN = 20
LISTED_CHARACTERS = 600
"""Labels that are longer together are not listed in the prompt: every row would carry them."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What the recipe says about a file's rows."""

    columns: PromptColumns
    template: TaskTemplate
    metrics: SuitableMetrics
    lengths: Lengths
    split: ProposedSplit
    layout: str
    rows: int
    bad_rows: int


def init(
    file: Path, *, folder: Path | None = None, prompt: Sequence[str] = (), completion: str | None = None
) -> str:
    """Write a recipe for a data file, with defaults that suit its rows.

    Args:
        file: a data file of any kind that a recipe's `path` may name.
        folder: the recipe's folder, to which the data's path is written relative; the current one by default.
        prompt: the columns of the prompt, in order; read from names, order and values by default.
        completion: the column of the completion; goes with `prompt`.

    Returns:
        The recipe's YAML with comments; `config.load` reads it as it is.

    Raises:
        InputError: a row is wrong, or there are no two columns of text; `UnclearColumnsError` if it is not clear which column
            asks and which one answers.
    """
    loaded = load(DataSource(path=str(file)), root=Path())
    columns = choose_columns(loaded, file, prompt=prompt, completion=completion)
    examples, rendered = _render(columns.template, loaded.examples, file)
    layout = str(loaded.source["layout"])
    is_conversation = layout in CONVERSATIONS
    metrics = suitable_metrics(
        [row.completion for row in rendered],
        layout=layout,
        is_translation=layout == "translation" or columns.languages is not None,
        may_be_labels=not any(role == "assistant" for row in rendered for role, _ in row.history),
    )
    template = columns.template if is_conversation else _with_labels(columns.template, metrics.labels)
    if template is not columns.template:
        rendered = template.render_all(examples, file.stem)
    task = _Task(
        columns=columns,
        template=template,
        metrics=metrics,
        lengths=measure(rendered, token_counter()),
        split=propose_split(
            examples,
            template.prompt_fields,
            template.completion_fields,
            is_conversation=is_conversation,
        ),
        layout=layout,
        rows=len(loaded.examples),
        bad_rows=len(loaded.examples) - len(examples),
    )
    text = _write(task, file, folder or Path(), templates.common_columns(loaded.examples))
    if len(text.encode()) > MAX_RECIPE_BYTES:
        raise InputError(
            "the columns' names are too long for a recipe",
            where=str(file),
            found=f"{len(text.encode()):,} bytes of a recipe",
            expected=f"at most {MAX_RECIPE_BYTES:,}",
            fix="give the columns short names",
        )
    return text


def _render(
    template: TaskTemplate, examples: Sequence[Example], file: Path
) -> tuple[Sequence[Example], Sequence[Prompted]]:
    """The rows that give a prompt and a completion, and these.

    Raises:
        InputErrors: half of the rows or more do not.
    """
    try:
        return examples, template.render_all(examples, file.stem)
    except InputError:
        rendered, good = [], []
        for example in examples:
            try:
                rendered.append(template.render(example, file.stem))
            except InputError:
                continue
            good.append(example)
        if 2 * len(good) <= len(examples):
            raise
        return good, rendered


def _with_labels(template: TaskTemplate, labels: Sequence[str]) -> TaskTemplate:
    """The template with the labels at the end of its prompt, if they are few enough to be listed."""
    if not labels or sum(map(len, labels)) > LISTED_CHARACTERS:
        return template
    listed = ", ".join(_literal(label) for label in sorted(labels))
    return replace(template, prompt=f"{template.prompt}\n\nAnswer with one of these: {listed}")


def _literal(text: str) -> str:
    """A text as it stands in a Jinja template."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if "{" in text else text


def _write(task: _Task, file: Path, folder: Path, names: Sequence[str]) -> str:
    path = Path(os.path.relpath(file, folder)).as_posix()
    shape = f" ({task.layout})" if task.layout != "plain" else ""
    references = task.template.references
    lines = [
        f"# Made from {_in_comment(file.name)}{shape}: {task.rows:,} rows with the columns {_listed(names)}.",
        "# Next: tutelage inspect, then tutelage run, with the name of this file.",
        f"model: {MODEL} # or a hub id, a folder, a .gguf file{_language_note(task)}",
        "tasks:",
        f"  - name: {_quoted(slug(file.with_suffix('').stem if is_compressed(file) else file.stem) or 'task')}",
        _data_line(task, path),
        f"    # {_in_comment(task.columns.note)}",
        *_unused_note(task, names),
        *_label_notes(task),
        f"    prompt: {_quoted(task.template.prompt)}",
        f"    completion: {_quoted(task.template.completion)}",
        *([f"    references: {_quoted(references)}"] if references else []),
        f"    split: {task.split.yaml} # {task.split.comment}",
        f"    metrics: [{', '.join(task.metrics.names)}] # for {task.metrics.reason}; the first one decides whether the model has learned",
        f"    max_new_tokens: {task.lengths.max_new_tokens} # of an answer; {_answer_note(task.lengths)}",
        "tune:",
        "  method: lora # or full: all weights, more memory",
        "  epochs: 2",
        "  batch_size: 8",
        f"  max_length: {task.lengths.max_length} # tokens of a row; {_row_note(task.lengths)}",
        "watch: # what the model could do before and shall not forget",
        "  - {benchmark: general-probe}",
        "# retain: {general-probe: 5.0} # points that may be lost at most; more gives exit code 1",
    ]
    return "\n".join(lines) + "\n"


def _data_line(task: _Task, path: str) -> str:
    reasons = [
        f"{count:,} of {task.rows:,} rows {reason}"
        for count, reason in (
            (task.bad_rows, "without prompt or completion"),
            (task.lengths.unfit, "with an answer that is longer than the model reads"),
        )
        if count
    ]
    if not reasons:
        return f"    data: {{path: {_quoted(path)}}}"
    return f"    data: {{path: {_quoted(path)}, on_bad_row: drop}} # {', '.join(reasons)}"


def _unused_note(task: _Task, names: Sequence[str]) -> list[str]:
    """A line with the columns that neither prompt, answer nor split reads."""
    template = task.template
    used = {*template.prompt_fields, *template.completion_fields, template.references, task.split.column}
    system = [name for name in names if name not in used and is_system_prompt(name)]
    unused = [name for name in names if name not in used and name not in system]
    if task.layout != "plain":
        return []
    return [
        *([f"    # the system prompt: {_listed(system)}"] if system else []),
        *([f"    # not used: {_listed(unused)}"] if unused else []),
    ]


def _label_notes(task: _Task) -> list[str]:
    """Lines about labels that the prompt does not list, or that are numbers."""
    labels, column = task.metrics.labels, task.columns.completion
    if labels and task.template is task.columns.template and task.layout not in CONVERSATIONS:
        return [f"    # the {len(labels)} labels are too many to be listed in the prompt"]
    if labels and column is not None and all(label.lstrip("-").isdigit() for label in labels):
        names = ", ".join(f"{label}: WORD" for label in sorted(labels, key=int)[:10])
        return [
            f"    # where the numbers stand for words, say which, and write them into the prompt:  data: {{..., labels: {{column: {_quoted(column)}, names: {{{names}}}}}}}"
        ]
    return []


def _language_note(task: _Task) -> str:
    return (
        "; this one knows English: for other languages name a model that knows them"
        if task.metrics.is_other_script
        else ""
    )


def _answer_note(lengths: Lengths) -> str:
    longest = (
        f"the longest reference has {'' if lengths.is_exact else 'at most about '}{lengths.longest_answer:,}"
    )
    cut = f"; references that are longer: {lengths.cut_answers:,}" if lengths.cut_answers else ""
    return f"{longest}{cut}{'' if lengths.is_exact else ' (estimated: the model is not fetched yet)'}"


def _row_note(lengths: Lengths) -> str:
    about = "about" if lengths.is_exact else "at most about"
    cut = f"; prompts cut: {lengths.cut_prompts:,}" if lengths.cut_prompts else ""
    return f"the longest here has {about} {lengths.longest_row:,}{cut}"


def _quoted(text: str | None) -> str:
    """A text as YAML: a JSON string is one. Characters beyond ASCII stay readable, but not those that YAML refuses."""
    readable = json.dumps(text, ensure_ascii=False)
    return readable if readable.isprintable() else json.dumps(text, ensure_ascii=True)


def _listed(names: Sequence[str]) -> str:
    """The names of columns for a comment; of many, the first ones."""
    more = f" and {len(names) - COLUMNS_SHOWN:,} more" if len(names) > COLUMNS_SHOWN else ""
    return _in_comment(", ".join(names[:COLUMNS_SHOWN])) + more


def _in_comment(text: str) -> str:
    """A text for a comment: on one line, without control characters."""
    return _quoted(text)[1:-1]
