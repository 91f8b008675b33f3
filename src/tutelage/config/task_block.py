"""The recipe's block for a task: its rows, their template, their split, and how answers are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tutelage import templates
from tutelage.config import plain_text
from tutelage.config.data_block import Data
from tutelage.config.fields import (
    ColumnsByField,
    Jinja,
    KindLabels,
    Metrics,
    Name,
    Points,
    Styles,
    TemplateName,
)
from tutelage.config.split_block import Split
from tutelage.core.errors import InputError
from tutelage.core.types import Example
from tutelage.core.validation import Block, Text, mistake
from tutelage.templates import ConstantField, LibraryTemplate, PlainTextTemplate, TaskTemplate, WordingOptions
from tutelage.training.settings import Fraction, Seed, unit

_LIBRARY_FIELDS = ("fields", "labels", "options", "inverted", "wording_seed")
"""Fields of a task that only a template of the library reads."""


class Shots(Block):
    """Few-shot prompts: exemplars, which are training rows with their answers, stand before each row as turns of a conversation."""

    count: int = Field(
        3,
        ge=1,
        le=64,
        description="Exemplars before each row. Where a row is too long, the first ones are left out.",
        examples=[5],
        json_schema_extra=unit("exemplars"),
    )
    sampled_per: Literal["row", "task"] = Field(
        "row", description="Draw exemplars anew for each row, or once for the whole task.", examples=["task"]
    )
    same_template: bool = Field(
        True,
        description="Whether exemplars have the same template as their row, where rows have several.",
        examples=[False],
    )
    seed: Seed = Field(0, description="Seed of the choice of exemplars.", examples=[1])


class Task(Block):
    """Something to teach: rows, the template that turns them into prompts and answers, and how answers are scored."""

    data: Data = Field(description="Where the rows are.", examples=[{"path": "rows.jsonl"}])
    name: Name = Field(
        default_factory=lambda values: values["data"].default_name(),
        description="The task's name in results; by default that of the data.",
        examples=["support"],
    )
    one_task_per: Literal["file"] | None = Field(
        None,
        description="file: make a task of every file that the data names, called name-file, with everything else as here.",
        examples=["file"],
    )
    source: Text | None = Field(
        None,
        description="The dataset that the rows come from: tasks of one source share no row between training and test.",
        examples=["glue/mrpc"],
    )
    cluster: Text | None = Field(
        None,
        description="The kind of task, for hold_out; by default the one that the bundled table has for the source.",
        examples=["paraphrase"],
    )
    styles: Styles | None = Field(
        None,
        description="Weights of the forms of training rows: zero-shot, zero-shot-options, few-shot, few-shot-options.",
        examples=[{"zero-shot": 1, "few-shot": 1}],
    )
    prompt: Jinja | None = Field(
        None,
        description="Jinja template over the row's fields for what the model reads. Detected from the columns by default.",
        examples=["Summarise: {{ text }}"],
    )
    completion: Jinja | None = Field(
        None,
        description="Jinja template over the row's fields for what the model shall answer; without a prompt, for a plain text "
        "that is learned as it is.",
        examples=["{{ summary }}"],
    )
    template: TemplateName | None = Field(
        None,
        description="Instead of prompt and completion: a kind of the library (sentiment), one wording of it "
        "(sentiment/direct-question), your own file (./my.yaml), or a layout of columns (question-answer).",
        examples=["sentiment"],
    )
    fields: ColumnsByField | None = Field(
        None,
        description="For a kind: which column holds which of its fields. A field that is called like its column needs none.",
        examples=[{"text": "review", "label": "stars"}],
    )
    labels: KindLabels | None = Field(
        None,
        description="For a kind with labels: the words in order, or raw values with their words; the model answers with these.",
        examples=[["negative", "positive"]],
    )
    options: Literal["listed", "none", "mixed"] | None = Field(
        None,
        description="For a kind with choices: whether prompts list them, do not, or half of them do; listed by default.",
        examples=["mixed"],
    )
    inverted: Fraction = Field(
        0.0,
        description="For a kind: share of training rows with input and answer exchanged. Test rows never are.",
        examples=[0.1],
        json_schema_extra=unit("share of rows"),
    )
    wording_seed: Seed = Field(0, description="For a kind: seed of the choice of wordings.", examples=[1])
    answer: Literal["generate", "choose", "both"] = Field(
        "generate",
        description="How test questions are answered: by generating text, by choosing the likeliest answer choice (rank "
        "classification), or both, each with its own scores.",
        examples=["both"],
    )
    test_wordings: Literal["one", "all"] = Field(
        "one",
        description="For a kind: ask each test row in one of its wordings, or in all of them. With all, scores are the mean over "
        "wordings, those of each wording, and those of the wording that is best on the validation rows.",
        examples=["all"],
    )
    shots: Shots | None = Field(
        None,
        description="Few-shot: put exemplars of the training split before every row; none by default.",
        examples=[{"count": 5}],
    )
    split: Split = Field(
        default_factory=Split,
        description="Which rows train and which test.",
        examples=[{"validation": 0.1, "test": 0.2}],
    )
    metrics: Metrics = Field(
        ("rougeL", "rouge1", "rouge2"),
        min_length=1,
        description="How answers are scored: names of docs/metrics.md. The first one is the primary metric.",
        examples=[["accuracy"]],
    )
    reach: dict[Text, Points] = Field(
        default_factory=dict,
        description="What is good enough: points (0-100) by metric that the tuned model shall reach, or stay below where less is better. "
        "The verdict then says whether it does; a target that is missed beyond chance gives exit code 1.",
        examples=[{"rougeL": 40}],
        json_schema_extra=unit("points"),
    )
    slices: tuple[Text, ...] = Field(
        (),
        description="Columns by whose values the test rows are also scored, each value with its interval.",
        examples=[["topic"]],
    )
    max_new_tokens: int = Field(
        64,
        ge=1,
        le=100_000,
        description="Most tokens of an answer.",
        examples=[20],
        json_schema_extra=unit("tokens"),
    )
    references: Text | None = Field(
        None,
        description="A field with the right answers, a text or a list, for the metrics; the completion by default.",
        examples=["answers"],
    )

    @property
    def plain_text(self) -> bool:
        """Whether its rows are texts to go on with: a completion without a prompt."""
        return self.completion is not None and self.prompt is None and self.template is None

    @model_validator(mode="after")
    def _metrics_of_form(self) -> Self:
        """Likelihoods are asked of plain text alone, and nothing else of it: they are its default."""
        if self.plain_text and "metrics" not in self.model_fields_set:
            # The default depends on other fields, and a validator before them would see lists where they are tuples.
            object.__setattr__(self, "metrics", plain_text.METRICS[:1])
        plain_text.check_metrics(self.metrics, of_plain_text=self.plain_text)
        if self.plain_text and (self.references is not None or self.shots is not None):
            raise mistake(
                "plain text has no prompt that could be asked in another way",
                found="references" if self.references is not None else "shots",
                expected="completion alone",
                fix="leave it out, or write prompt beside completion",
            )
        return self

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        names = [name for name in ("prompt", "completion", "template") if getattr(self, name) is not None]
        if names not in ([], ["prompt", "completion"], ["template"], ["completion"]):
            raise mistake(
                "a task has prompt and completion, or a template, or neither",
                found=" and ".join(names),
                expected="prompt and completion together; template alone; completion alone, for plain text; or none, when the "
                "columns' names say it",
                fix="remove template"
                if "template" in names
                else "add the other one of prompt and completion",
            )
        if self.template is not None and self.template not in templates.column_template_names():
            return self
        template = self.template or " and ".join(names) or "no template"
        if idle := [name for name in _LIBRARY_FIELDS if getattr(self, name)]:
            raise mistake(
                f"{idle[0]} goes with a kind of the library",
                found=f"{idle[0]} with {template}",
                expected="template: sentiment, or another one of `tutelage templates list`",
                fix=f"name one as template, or remove {idle[0]}",
            )
        if self.answer != "generate":
            raise mistake(
                "to choose needs a template with answer choices",
                found=template,
                expected="template: sentiment, multiple-choice or another kind with choices",
                fix=f"name one as template, or remove answer: {self.answer}",
            )
        if self.test_wordings == "all":
            raise mistake(
                "test_wordings goes with a kind of the library",
                found=f"test_wordings: all with {template}",
                expected="template: sentiment, or another one of `tutelage templates list`",
                fix="name one as template, or remove test_wordings",
            )
        return self

    def template_for(
        self,
        examples: Sequence[Example],
        *,
        where: str,
        root: Path | None = None,
        default: str | None = None,
        list_options: bool | None = None,
        only_wording: str | None = None,
    ) -> TaskTemplate | LibraryTemplate:
        """The task's template: its own, the library's, or the one that fits the columns of its rows.

        Args:
            examples: the task's rows.
            where: the task's path in the recipe, for errors.
            root: the folder to which a file of templates is relative.
            default: the template of the layout that the rows came in, where it has one.
            list_options: whether a kind's prompts list the answer options; as the task says by default.
            only_wording: use this wording of the task's kind alone, and turn no row around.

        Raises:
            InputError: the columns' names do not say which one asks and which one answers, or a field that the kind needs
                is not there; the error has the lines to write.
        """
        references = self.references
        if self.prompt is not None and self.completion is not None:
            return TaskTemplate(
                self.prompt, self.completion, references=references, where=where, untrusted=True
            )
        if self.completion is not None:
            return PlainTextTemplate(
                self.completion, self.completion, name="plain-text", where=where, untrusted=True
            )
        name = self.template or default
        if name is None:
            return templates.detect(examples, references=references, where=where)
        if self.template is None or name in templates.column_template_names():
            return templates.column_template(name, references=references, where=where)
        choice = templates.find(only_wording or name, root=root or Path(), where=f"{where}.template")
        choosable = choice.kind.has_choices and all(
            wording.group == "wordings" for wording in choice.wordings
        )
        if self.answer != "generate" and not choosable:
            raise InputError(
                f"{choice.name} has no answers to choose from",
                where=f"{where}.answer",
                found=self.answer,
                expected="generate",
                fix=f"remove answer: {self.answer}, or take a kind with choices",
            )
        options = self.options or "listed"
        if list_options is not None and choice.kind.has_choices:
            options = "listed" if list_options else "none"
        inverted = 0.0 if only_wording else self.inverted
        return templates.bind_template(
            choice,
            examples,
            WordingOptions(options, inverted, self.wording_seed, references),
            fields={name: field_source(column) for name, column in (self.fields or {}).items()},
            labels=self.labels,
            where=where,
        )


def field_source(column: Any) -> templates.FieldSource:
    """What fills a field of a kind, as the templates package takes it."""
    if isinstance(column, dict):
        return ConstantField(column["value"])
    return tuple(column) if isinstance(column, list) else column
