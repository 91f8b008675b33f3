"""The 25 kinds of instructions: the check of each, and the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tutelage.metrics.ifeval import (
    case,
    combination,
    content,
    formats,
    keywords,
    language,
    lengths,
    punctuation,
    startend,
)
from tutelage.metrics.ifeval.arguments import (
    CHARACTER,
    COUNT,
    POSITION,
    RELATION,
    TEXT,
    TEXTS,
    ArgumentType,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of instructions.

    Attributes:
        check: takes a response and the arguments by name; whether the response follows the instruction.
        arguments: the type of each argument by its name in `kwargs`.
        detects_language: whether the check detects the language of the response.
    """

    check: Callable[..., bool]
    arguments: Mapping[str, ArgumentType] = field(default_factory=dict)
    detects_language: bool = False


KINDS: Mapping[str, Kind] = {
    "keywords:existence": Kind(keywords.has_all, {"keywords": TEXTS}),
    "keywords:frequency": Kind(
        keywords.keyword_frequency, {"keyword": TEXT, "frequency": COUNT, "relation": RELATION}
    ),
    "keywords:forbidden_words": Kind(keywords.has_none, {"forbidden_words": TEXTS}),
    "keywords:letter_frequency": Kind(
        keywords.letter_frequency, {"letter": CHARACTER, "let_frequency": COUNT, "let_relation": RELATION}
    ),
    "language:response_language": Kind(language.is_in_language, {"language": TEXT}, detects_language=True),
    "length_constraints:number_sentences": Kind(
        lengths.number_of_sentences, {"num_sentences": COUNT, "relation": RELATION}
    ),
    "length_constraints:number_paragraphs": Kind(lengths.number_of_paragraphs, {"num_paragraphs": COUNT}),
    "length_constraints:number_words": Kind(
        lengths.number_of_words, {"num_words": COUNT, "relation": RELATION}
    ),
    "length_constraints:nth_paragraph_first_word": Kind(
        lengths.first_word_of_paragraph,
        {"num_paragraphs": COUNT, "nth_paragraph": POSITION, "first_word": TEXT},
    ),
    "detectable_content:number_placeholders": Kind(content.placeholders, {"num_placeholders": COUNT}),
    "detectable_content:postscript": Kind(content.postscript, {"postscript_marker": TEXT}),
    "detectable_format:number_bullet_lists": Kind(formats.bullets, {"num_bullets": COUNT}),
    "detectable_format:constrained_response": Kind(formats.constrained_answer),
    "detectable_format:number_highlighted_sections": Kind(formats.highlights, {"num_highlights": COUNT}),
    "detectable_format:multiple_sections": Kind(
        formats.sections, {"section_spliter": TEXT, "num_sections": COUNT}
    ),
    "detectable_format:json_format": Kind(formats.is_json),
    "detectable_format:title": Kind(formats.title),
    "combination:two_responses": Kind(combination.two_responses),
    "combination:repeat_prompt": Kind(combination.repeats_request, {"prompt_to_repeat": TEXT}),
    "startend:end_checker": Kind(startend.ends_with, {"end_phrase": TEXT}),
    "startend:quotation": Kind(startend.quoted),
    "change_case:capital_word_frequency": Kind(
        case.capital_words, {"capital_frequency": COUNT, "capital_relation": RELATION}
    ),
    "change_case:english_capital": Kind(case.english_capitals, detects_language=True),
    "change_case:english_lowercase": Kind(case.english_lowercase, detects_language=True),
    "punctuation:no_comma": Kind(punctuation.no_comma),
}
