"""A model that is ready to be asked: its files checked, its prompts known; weights are loaded when the first answer is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.types import Prompted, Request
from tutelage.models import (
    LoadedModel,
    LoadedTokenizer,
    ModelSource,
    load,
    load_tokenizer,
    loaded_fingerprint,
    resolve,
)
from tutelage.prediction.options import Decoding, PredictionOptions
from tutelage.prediction.plain_prompts import PlainPrompts
from tutelage.prediction.prompt_source import PromptSource
from tutelage.prediction.questions import Questions, choice_requests, questions_of
from tutelage.prediction.run_prompts import RunPrompts, run_prompts
from tutelage.tokens import chat_templates


@dataclass(frozen=True, slots=True)
class Asker:
    """A model and how it is asked.

    Attributes:
        model: its files.
        prompts: where prompts come from.
        tokenizer: its tokenizer, with the chat template in use.
        template: the chat template that was stated; None for the model's own.
    """

    model: ModelSource
    prompts: PromptSource
    tokenizer: LoadedTokenizer
    template: str | None

    @property
    def fingerprint(self) -> str:
        """Of the model as `load` will give it."""
        dtype = "nf4" if self.prompts.four_bit else "float32"
        return loaded_fingerprint(self.model, self.tokenizer.chat_template, dtype)

    def questions(self, rows: Sequence[Prompted], decoding: Decoding) -> Questions:
        """What the model is asked about rows; errors are those of `questions_of`."""
        return questions_of(rows, self.prompts, self.prompts.encoder(self.tokenizer), decoding)

    @property
    def is_run(self) -> bool:
        """Whether the prompts are a run's."""
        return isinstance(self.prompts, RunPrompts)

    def choice_requests(self, rows: Sequence[Prompted], choices: tuple[str, ...] | None) -> list[Request]:
        """The requests for the likelihoods of choices; errors are those of `choice_requests` of `questions`.

        Args:
            rows: the prompts.
            choices: what to choose from; None for the rows' own choices.
        """
        if choices is not None:
            rows = [replace(row, choices=choices) for row in rows]
        return choice_requests(rows, self.prompts.encoder(self.tokenizer))

    def load(self, clock: Clock) -> LoadedModel:
        """Load the weights.

        Args:
            clock: what the chat template reads.
        """
        return load(self.model, chat_template=self.template, four_bit=self.prompts.four_bit, clock=clock)


def asker_of(options: PredictionOptions, *, clock: Clock | None = None, say: Callable[[str], None]) -> Asker:
    """Find a model and its prompts.

    Args:
        options: the model, and how it is asked.
        clock: what the chat template reads; for a run the instant of the run by default, else now.
        say: takes a line about each thing that takes long.

    Raises:
        InputError: no such model, a damaged one, no such task, or options that contradict one another.
    """
    source = resolve(options.model, say=say)
    for note in source.notes:
        say(note)
    prompts = _prompts(options, source)
    template = (
        None
        if options.chat_template is None
        else chat_templates.template_text(options.chat_template, root=Path.cwd())
    )
    tokenizer = load_tokenizer(source, chat_template=template, clock=clock or Clock(prompts.instant))
    if not tokenizer.encoder_decoder and not tokenizer.chat_template:
        raise InputError(
            "the model has no chat template, so it cannot be asked",
            where=options.model,
            expected="a model that was tuned for conversations, or a chat template",
            fix="name one with --chat-template, such as chatml",
        )
    return Asker(source, prompts, tokenizer, template)


def _prompts(options: PredictionOptions, source: ModelSource) -> PromptSource:
    """The run's own prompts where the model is a run and none is stated."""
    if source.kind == "run" and options.prompt is None:
        folder = Path(options.model).expanduser()
        return run_prompts(folder, options.task, recipe=options.recipe, data_dir=options.data_dir)
    if options.task is not None:
        raise InputError(
            "a task is named, and the prompt is not a run's",
            where="--task",
            found=options.task,
            expected="a run folder as the model" if source.kind != "run" else "--task or --prompt",
            fix="leave --task out" if source.kind != "run" else "leave one of the two out",
        )
    return PlainPrompts(options.prompt)
