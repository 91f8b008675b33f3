"""A row's instructions, and whether a response follows them: strictly, or in any of its loose variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import nearest
from tutelage.core.types import Json
from tutelage.metrics.ifeval import language
from tutelage.metrics.ifeval.arguments import Argument
from tutelage.metrics.ifeval.kinds import KINDS

KIND_NAMES, ARGUMENTS = "instruction_id_list", "kwargs"
"""The fields of a row that hold its instructions, as IFEval's data names them."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One verifiable instruction.

    Attributes:
        kind: its kind, such as `punctuation:no_comma`.
        arguments: the arguments of its check, by name.
    """

    kind: str
    arguments: Mapping[str, Argument]

    def is_followed(self, response: str, responses: str = "strict") -> bool:
        """Whether a response follows it; an empty response follows nothing.

        Args:
            response: the response.
            responses: which texts may follow it: `strict`: the response; `loose`: the response or one of `loose_variants`.
        """
        texts = loose_variants(response) if responses == "loose" else [response]
        check = KINDS[self.kind].check
        return any(bool(text.strip()) and check(text, **self.arguments) for text in texts)


def loose_variants(response: str) -> list[str]:
    """What a loose verdict tries: the response whole, without its first line, its last line, or both; and these four without stars."""
    lines = response.split("\n")
    variants = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return list(dict.fromkeys([*variants, *(variant.replace("*", "") for variant in variants)]))


def read_instructions(fields: Mapping[str, Json], where: str) -> tuple[Instruction, ...] | list[InputError]:
    """The instructions of a row, or everything that is wrong with them.

    Args:
        fields: the row's fields. `instruction_id_list` names kinds, `kwargs` has the arguments of each; null is no argument.
        where: the row, for errors.

    Raises:
        InputError: an instruction needs langdetect, which is not installed.
    """
    names, arguments = fields.get(KIND_NAMES), fields.get(ARGUMENTS)
    if not isinstance(names, list) or not names:
        return [
            _error(where, KIND_NAMES, names, "a list of kinds of instructions, such as punctuation:no_comma")
        ]
    if not isinstance(arguments, list) or len(arguments) != len(names):
        return [_error(where, ARGUMENTS, arguments, f"a list of {len(names)} mappings, one an instruction")]
    instructions: list[Instruction] = []
    errors: list[InputError] = []
    for index, (name, values) in enumerate(zip(names, arguments, strict=True)):
        mistakes = list(_mistakes(name, values, where, index))
        errors += mistakes
        if not mistakes:
            instructions.append(_instruction(str(name), values))
    return errors or tuple(instructions)


def _instruction(name: str, values: Json) -> Instruction:
    assert isinstance(values, dict)
    types = KINDS[name].arguments
    converted = {key: type_.convert(values[key]) for key, type_ in types.items()}
    return Instruction(name, {key: value for key, value in converted.items() if value is not None})


def _mistakes(name: Json, values: Json, where: str, index: int) -> Iterator[InputError]:
    if not isinstance(name, str) or name not in KINDS:
        close = nearest(str(name), list(KINDS))
        yield InputError(
            "there is no such kind of instruction",
            where=f"{where}, field {KIND_NAMES}[{index}]",
            found=shorten(str(name)),
            expected=", ".join(KINDS),
            fix=f"did you mean {close}?" if close else None,
        )
        return
    if not isinstance(values, dict):
        yield _error(
            where, f"{ARGUMENTS}[{index}]", values, "a mapping of arguments, {} where there are none"
        )
        return
    types = KINDS[name].arguments
    for key, type_ in types.items():
        if type_.convert(values.get(key)) is None:
            yield _error(where, f"{ARGUMENTS}[{index}].{key}", values.get(key), type_.expected)
    for key in sorted(key for key, value in values.items() if value is not None and key not in types):
        expected = ", ".join(types) or "no arguments"
        yield _error(where, f"{ARGUMENTS}[{index}].{key}", values[key], f"{name} has {expected}")
    if KINDS[name].detects_language:
        yield from _language_mistakes(values, f"{ARGUMENTS}[{index}].language", where)


def _language_mistakes(values: Mapping[str, Json], name: str, where: str) -> Iterator[InputError]:
    language.require_detector()
    code = values.get("language")
    if isinstance(code, str) and code.strip() not in language.languages():
        yield _error(where, name, code, f"one of {', '.join(language.languages())}")


def _error(where: str, name: str, value: Json, expected: str) -> InputError:
    return InputError(
        "the instructions of a row cannot be read",
        where=f"{where}, field {name}",
        found="nothing" if value is None else shorten(str(value)),
        expected=expected,
    )
