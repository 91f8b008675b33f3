"""A task's template: what the model reads and what it shall answer, from a row's fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2.exceptions import SecurityError, TemplateError

from tutelage.core.errors import InputError, nearest, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.nouns import Example, Prompted
from tutelage.core.strictjson import kind, shorten
from tutelage.templates import sandbox


@dataclass(frozen=True, slots=True)
class TaskTemplate:
    """Two Jinja templates over a row's fields, in the sandbox.

    Attributes:
        prompt: the user's turn.
        completion: the answer.
        name: what the card calls it: `own`, or the library's name.
        references: a field with further right answers (a text or a list of texts) for the metrics; the completion
            is the only one when it is not given.
        where: the task's place in the recipe, for errors.
    """

    prompt: str
    completion: str
    name: str = "own"
    references: str | None = None
    where: str = field(default="template", compare=False)

    def __post_init__(self) -> None:
        errors = []
        for part in ("prompt", "completion"):
            try:
                sandbox.check(getattr(self, part), where=f"{self.where}.{part}")
            except InputError as error:
                errors.append(error)
        raise_all(self.where, errors)

    @property
    def prompt_fields(self) -> tuple[str, ...]:
        """The fields that the prompt reads."""
        return sandbox.check(self.prompt, where=self.where)

    @property
    def completion_fields(self) -> tuple[str, ...]:
        """The fields that the completion reads."""
        return sandbox.check(self.completion, where=self.where)

    def render(self, example: Example, task: str) -> Prompted:
        """Put one row into words.

        Args:
            example: the row.
            task: the task's name.

        Returns:
            The prompt, with the places in it where a field stands as it is, and the completion.

        Raises:
            InputError: a field that the template uses is missing, null or of the wrong type, the prompt or the
                completion comes out empty, or the references are no texts.
        """
        prompt = self._part(self.prompt, example, "prompt")
        completion = self._part(self.completion, example, "completion").text
        return Prompted(
            id=example.id,
            task=task,
            prompt=prompt.text,
            completion=completion,
            template=self.name,
            origin=example.origin,
            fields=example.fields,
            spans=prompt.spans,
            references=self._references(example, completion),
        )

    def render_all(self, examples: Sequence[Example], task: str) -> list[Prompted]:
        """Put all rows of a task into words.

        Raises:
            InputError: as `render`, or InputErrors with the first 20; also for a field that is text in some rows
                and a number in others.
        """
        errors = _mixed_types(examples, sorted({*self.prompt_fields, *self.completion_fields}))
        rows: list[Prompted] = []
        for example in examples:
            try:
                rows.append(self.render(example, task))
            except InputError as error:
                if len(errors) < MAX_ERRORS and error.where not in {known.where for known in errors}:
                    errors.append(error)
        raise_all(f"the rows of the task {task}", errors[:MAX_ERRORS])
        return rows

    def _part(self, source: str, example: Example, part: str) -> sandbox.Rendered:
        try:
            rendered = sandbox.render(source, example.fields)
        except sandbox.MissingFieldError as error:
            raise _missing(error, example, part) from None
        except sandbox.NotTextError as error:
            raise _not_text(error, example, part) from None
        except SecurityError as error:
            raise InputError(
                f"the {part} template does what a template may not",
                where=str(example.origin),
                found=str(error),
                expected="fields, filters, conditions and loops",
                fix=f"take it out of {self.where}.{part}",
            ) from None
        except sandbox.TooLongError as error:
            raise InputError(
                f"the {part} is too long", where=str(example.origin), found=str(error), fix="shorten the row"
            ) from None
        except (
            TemplateError,
            TypeError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
            RecursionError,
        ) as error:
            raise InputError(
                f"the {part} template cannot be rendered for this row",
                where=str(example.origin),
                found=f"{type(error).__name__}: {error}",
                fix=f"correct {self.where}.{part}, or the row",
            ) from None
        if not rendered.text.strip():
            raise self._empty(example, part)
        return rendered

    def _empty(self, example: Example, part: str) -> InputError:
        fields = self.prompt_fields if part == "prompt" else self.completion_fields
        values = ", ".join(f"{name}: {shorten(str(example.fields.get(name)), 30)}" for name in fields)
        return InputError(
            f"the {part} is empty",
            where=str(example.origin),
            found=values,
            expected="something to learn" if part == "completion" else "something to answer",
            fix=f"fill the field {fields[0]}, or delete the row",
        )

    def _references(self, example: Example, completion: str) -> tuple[str, ...]:
        if self.references is None:
            return (completion,)
        value = example.fields.get(self.references)
        texts = [value] if isinstance(value, str) else value
        if (
            isinstance(texts, list)
            and texts
            and all(isinstance(text, str) and text.strip() for text in texts)
        ):
            return tuple(str(text) for text in texts)
        close = nearest(self.references, list(example.fields))
        missing = self.references not in example.fields
        raise InputError(
            f"the field {self.references} holds no references",
            where=str(example.origin),
            found="the fields " + ", ".join(example.fields)
            if missing
            else f"{kind(value)}: {shorten(str(value), 40)}",
            expected="a text, or a list of texts that are not empty",
            fix=f"did you mean {close}?"
            if missing and close
            else f"fill it, or leave out {self.where}.references",
        )


def _missing(error: sandbox.MissingFieldError, example: Example, part: str) -> InputError:
    close = None if error.inside else nearest(error.name, list(example.fields))
    return InputError(
        f"the {part} uses {error.name}, which the row does not have"
        if not error.inside
        else f"the {part} uses a part {error.name} that its value does not have",
        where=str(example.origin),
        found="the fields " + ", ".join(example.fields),
        expected=f"a field {error.name}" if not error.inside else None,
        fix=f"did you mean {{{{ {close} }}}}?" if close else f"add the field, or correct the {part} template",
    )


def _not_text(error: sandbox.NotTextError, example: Example, part: str) -> InputError:
    what = kind(error.value)
    same = [
        name
        for name, value in example.fields.items()
        if type(value) is type(error.value) and value == error.value
    ]
    name = same[0] if same else "a value"
    fixes = {
        "null": "fill it, delete the row, or guard it: {% if FIELD %}...{% endif %}",
        "a list": "join it: {{ FIELD | join(', ') }}",
        "an object": "name a part of it: {{ FIELD.part }}",
        "true or false": "say it in words: {{ 'yes' if FIELD else 'no' }}",
    }
    return InputError(
        f"the {part} needs text in the field {name}" if same else f"the {part} needs text",
        where=str(example.origin),
        found=f"{name} is {what}",
        expected="text or a number",
        fix=fixes.get(what, "call it, or name another field").replace("FIELD", name),
    )


def _mixed_types(examples: Sequence[Example], fields: Sequence[str]) -> list[InputError]:
    """An error for each row whose field is of another type than in most rows; null counts as no type."""
    errors: list[InputError] = []
    for name in fields:
        kinds = [kind(value) if (value := row.fields.get(name)) is not None else None for row in examples]
        counts = Counter(found for found in kinds if found is not None)
        if len(counts) < 2:
            continue
        usual = counts.most_common(1)[0][0]
        for row, found in zip(examples, kinds, strict=True):
            if found not in (None, usual) and len(errors) < MAX_ERRORS:
                errors.append(
                    InputError(
                        f"the field {name} is {found} here and {usual} in most rows",
                        where=str(row.origin),
                        found=f"{name}: {shorten(str(row.fields[name]), 40)}",
                        expected=usual,
                        fix="put it in quotes"
                        if (found, usual) == ("a number", "text")
                        else "make all rows alike",
                    )
                )
    return errors
