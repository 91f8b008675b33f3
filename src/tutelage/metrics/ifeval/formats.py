"""Instructions about the form of a response: bullets, highlights, sections, a title, JSON, one of three answers."""

from __future__ import annotations

import json
import re

_STAR_BULLET = re.compile(r"^\s*\*[^*].*$", re.MULTILINE)
_DASH_BULLET = re.compile(r"^\s*-.*$", re.MULTILINE)
_HIGHLIGHT = re.compile(r"\*([^\n*]*)\*")
_DOUBLE_HIGHLIGHT = re.compile(r"\*\*([^\n*]*)\*\*")
_TITLE = re.compile(r"<<[^\n]+>>")
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCE = "```"
_FENCES = ("```json", "```Json", "```JSON", _FENCE)


def bullets(response: str, *, num_bullets: int) -> bool:
    """`detectable_format:number_bullet_lists`: exactly this many lines that begin with * or -."""
    return len(_STAR_BULLET.findall(response)) + len(_DASH_BULLET.findall(response)) == num_bullets


def highlights(response: str, *, num_highlights: int) -> bool:
    """`detectable_format:number_highlighted_sections`: at least this many texts in *stars* or **double stars**."""
    texts = _HIGHLIGHT.findall(response) + _DOUBLE_HIGHLIGHT.findall(response)
    return sum(bool(text.strip()) for text in texts) >= num_highlights


def sections(response: str, *, section_spliter: str, num_sections: int) -> bool:
    """`detectable_format:multiple_sections`: at least this many times the word for a section and a number."""
    return len(re.findall(rf"\s?{re.escape(section_spliter)}\s?\d+\s?", response)) >= num_sections


def title(response: str) -> bool:
    """`detectable_format:title`: a text in <<double angular brackets>>."""
    return any(match.lstrip("<").rstrip(">").strip() for match in _TITLE.findall(response))


def is_json(response: str) -> bool:
    """`detectable_format:json_format`: the whole response is JSON, with or without a Markdown fence."""
    text = response.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix(_FENCE).strip())
    except (ValueError, RecursionError):
        return False
    return True


def constrained_answer(response: str) -> bool:
    """`detectable_format:constrained_response`: one of three fixed answers is there."""
    return any(answer in response for answer in _ANSWERS)
