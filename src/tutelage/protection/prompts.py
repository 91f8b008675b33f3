"""The bundled everyday instructions for self-replay: the base model's own answers to them are mixed into training.

All of them were written for this project and are under its licence. None is near an item of a benchmark, so that a model that was
trained on its own answers to them has not seen what it is tested on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import Block, NonBlank, Places, validate
from tutelage.data.formats import jsonl
from tutelage.data.formats.lines import Lines

FILE = "prompts.jsonl"
MIN_WORDS = 4
MAX_WORDS = 150
KINDS: Mapping[str, int] = {
    "explain": 18,
    "how-to": 18,
    "message": 18,  # a text, an email, a letter, a card, a notice
    "rewrite": 16,
    "summarise": 14,
    "extract": 14,
    "classify": 12,
    "format": 62,  # the prompt prescribes the form of the answer
    "choice": 15,  # the answer is a letter
    "yes-or-no": 15,
    "one-word": 12,
    "number": 16,
    "correct": 10,
    "translate": 10,
    "knowledge": 90,
    "advice": 12,
    "plan": 10,
    "brainstorm": 8,
    "story-or-poem": 10,
    "role-play": 8,
    "code": 12,
    "logic": 8,
    "compare": 8,
    "small-talk": 14,
    "refusal": 8,  # what a helpful model declines, or cannot do
}
"""How many prompts there are of each kind."""


class Prompt(Block):
    """A line of the file.

    Attributes:
        id: its kind, a hyphen and a number.
        kind: one of `KINDS`.
        prompt: what is asked, without a chat template.
    """

    id: NonBlank
    kind: NonBlank
    prompt: NonBlank


@cache
def bundled_prompts() -> tuple[str, ...]:
    """The bundled instructions, in the order of their file.

    Raises:
        InputError: the file was changed: a mistake with line and field; InputErrors for several.
    """
    return tuple(row.prompt for row in bundled_rows())


@cache
def bundled_rows() -> tuple[Prompt, ...]:
    """The bundled instructions with id and kind; errors as of `bundled_prompts`."""
    return read_prompts(Path(str(resources.files("tutelage.protection"))) / FILE)


def read_prompts(path: Path, kinds: Mapping[str, int] = KINDS) -> tuple[Prompt, ...]:
    """Read and check a file of prompts.

    Args:
        path: JSONL with the fields of `Prompt`.
        kinds: how many prompts of each kind it has.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    shown = path.name
    prompts: dict[int, Prompt] = {}  # by line
    errors: list[InputError] = []
    for row in jsonl.rows(Lines(path, shown), shown):
        if isinstance(row, InputError):
            errors.append(row)
            continue
        places = Places(f"{shown}:{row.line}")
        prompt, mistakes, _ = validate(Prompt, row.fields, places)
        if prompt is not None:
            mistakes = list(_mistakes(prompt, kinds, places))
            prompts[row.line] = prompt
        errors += mistakes
    errors += _repetitions(prompts, shown)
    raise_all(shown, errors or list(_wrong_counts(list(prompts.values()), kinds, shown)))
    return tuple(prompts.values())


def _mistakes(row: Prompt, kinds: Mapping[str, int], places: Places) -> Iterator[InputError]:
    """What is wrong with one line."""
    if row.kind not in kinds:
        yield unknown_name(
            "there is no such kind", row.kind, kinds, where=places(("kind",)), fix="take one of these"
        )
    elif row.id.rpartition("-")[0] != row.kind or not row.id.rpartition("-")[2].isdecimal():
        yield InputError(
            "the id does not fit the kind",
            where=places(("id",)),
            found=shorten(row.id),
            expected=f"{row.kind}- and a number",
            fix="correct the id or the kind",
        )
    if row.prompt != row.prompt.strip():
        yield InputError(
            "the prompt begins or ends with space",
            where=places(("prompt",)),
            found=shorten(row.prompt),
            expected="text without space around it",
            fix="remove the space",
        )
    words = len(row.prompt.split())
    if not MIN_WORDS <= words <= MAX_WORDS:
        yield InputError(
            "the prompt is too short" if words < MIN_WORDS else "the prompt is too long",
            where=places(("prompt",)),
            found=f"{words} words",
            expected=f"{MIN_WORDS} to {MAX_WORDS} words",
            fix="rewrite it",
        )


def _repetitions(prompts: Mapping[int, Prompt], shown: str) -> Iterator[InputError]:
    """Ids and prompts that stand twice; in prompts case and space do not count."""
    first_lines: dict[tuple[str, str], int] = {}
    for line, row in prompts.items():
        for field, text in (("id", row.id), ("prompt", " ".join(row.prompt.casefold().split()))):
            first = first_lines.setdefault((field, text), line)
            if first != line:
                yield InputError(
                    f"the {field} stands twice",
                    where=f"{shown}:{line}",
                    found=f"{shorten(text)}, as on line {first}",
                    expected=f"every {field} once",
                    fix="change or remove one of them",
                )


def _wrong_counts(prompts: Sequence[Prompt], kinds: Mapping[str, int], shown: str) -> Iterator[InputError]:
    """Kinds with more or fewer prompts than promised."""
    counts = Counter(row.kind for row in prompts)
    for kind, promised in kinds.items():
        if counts[kind] != promised:
            yield InputError(
                f"the kind {kind} has too {'few' if counts[kind] < promised else 'many'} prompts",
                where=shown,
                found=str(counts[kind]),
                expected=str(promised),
                fix="install Tutelage again: the file is not the one that it came with",
            )
