"""Answers from the cache, and what must agree for one to be taken from there.

    CACHE/answers/answers.sqlite    answers by the hash of all that they depend on, never of a name

CACHE is the cache of `models.cache`. A hash is of the model's weights, tokenizer and chat template (their content), of prompt, choices
and decoding, and of the program and libraries that compute. TUTELAGE_NO_CACHE=1 turns it off; TUTELAGE_ANSWERS_CACHE_MB says how large
it may be. A cache that cannot be read or written is said once, and everything is asked anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path

from tutelage.core import hashing
from tutelage.core.nouns import Request, Response
from tutelage.core.version import __version__
from tutelage.models import cache as store
from tutelage.results.answers import SCHEMA, Answers

DEFAULT_MB = 500
_LIBRARIES = ("torch", "transformers", "tokenizers", "peft")
_PARTS = ("engine", "tokens")


class AnswerCache:
    """Answers of one model.

    Args:
        answers: the file; None where nothing is kept.
        model: what the model's answers depend on, as a hash of content.
        say: is told once when the cache fails.
    """

    def __init__(self, answers: Answers | None, model: str, say: Callable[[str], None]) -> None:
        self._answers = answers
        self._model = model
        self._say = say

    def find(self, requests: Sequence[Request]) -> list[Response]:
        """Responses to those of the requests that were answered before."""
        if self._answers is None or not requests:
            return []
        keys = {request.id: self._key(request) for request in requests}
        try:
            found = self._answers.get(list(dict.fromkeys(keys.values())))
        except (sqlite3.Error, ValueError, OSError) as error:
            self._fail(error)
            return []
        return [replace(found[key], id=id_) for id_, key in keys.items() if key in found]

    def keep(self, answered: Sequence[tuple[Request, Response]]) -> None:
        """Keep what was answered to requests."""
        if self._answers is None:
            return
        try:
            self._answers.put({self._key(request): response for request, response in answered})
        except (sqlite3.Error, ValueError, OSError) as error:
            self._fail(error)

    def _key(self, request: Request) -> str:
        return hashing.of_json(
            [
                self._model,
                request.kind,
                request.form,
                request.prompt,
                [list(turn) for turn in request.history],
                list(request.choices),
                request.max_new_tokens,
                list(request.stop),
            ]
        )

    def _fail(self, error: Exception) -> None:
        self._answers = None
        self._say(f"the cache of answers cannot be used ({error}): everything is asked anew")


@contextmanager
def opened(say: Callable[[str], None]) -> Iterator[Answers | None]:
    """The cache's file for the time of the block; None where it is turned off or cannot be used, which is said."""
    if os.environ.get("TUTELAGE_NO_CACHE", "") not in ("", "0"):
        yield None
        return
    place = store.root() / "answers" / "answers.sqlite"
    try:
        answers = Answers(place, most=_most())
    except (sqlite3.Error, OSError) as error:
        say(
            f"the cache of answers cannot be used ({place}: {error}): everything is asked anew; remove the file if it is damaged"
        )
        yield None
        return
    with answers:
        yield answers


def cache_of(
    answers: Answers | None, fingerprint: str, device: str, say: Callable[[str], None]
) -> AnswerCache:
    """One model's part of the cache.

    Args:
        answers: the file.
        fingerprint: of the content of weights, tokenizer and chat template; never of how they were made.
        device: what computes: cpu, cuda.
        say: is told once when the cache fails.
    """
    return AnswerCache(answers, hashing.of_json([SCHEMA, fingerprint, device, _program()]), say)


def _most() -> int:
    with suppress(ValueError):
        return max(0, int(float(os.environ.get("TUTELAGE_ANSWERS_CACHE_MB", DEFAULT_MB)) * 1e6))
    return int(DEFAULT_MB * 1e6)


@cache
def _program() -> list[str]:
    """The version, the sources that compute answers (a version under way changes), and the libraries that they use."""
    here = Path(__file__).parents[1]
    sources = [path for part in _PARTS for path in sorted((here / part).rglob("*.py"))]
    said = [[str(path.relative_to(here)), hashing.of_file(path)] for path in sources]
    return [__version__, hashing.of_json(said), *(f"{name} {metadata.version(name)}" for name in _LIBRARIES)]
