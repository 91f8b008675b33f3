"""Instructions about the language of a response, judged by langdetect with a fixed seed.

langdetect draws random numbers, and the authors' program does not seed it; with the seed a verdict is the same each time.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError

_SEED = 0


def require_detector() -> None:
    """Raise an InputError when langdetect is not installed."""
    if find_spec("langdetect") is None:
        raise InputError(
            "IFEval needs langdetect to tell the language of responses",
            found="it is not installed",
            expected="langdetect 1.0.9",
            fix="pip install 'tutelage[ifeval]'",
        )


def languages() -> tuple[str, ...]:
    """The codes of the languages that can be told, such as `en`.

    Raises:
        InputError: langdetect is not installed.
    """
    return tuple(sorted(_detectors().get_lang_list()))


def is_in_language(response: str, *, language: str) -> bool:
    """`language:response_language`: the response is in a language.

    A text without any letter, whose language nobody can tell, passes, as in the authors' program.

    Raises:
        InputError: langdetect is not installed.
    """
    return _language_of(response) in (language, None)


@functools.lru_cache(maxsize=1024)  # strict and loose metrics ask for the same texts
def _language_of(text: str) -> str | None:
    """The code of a text's language; None where nobody can tell."""
    detectors = _detectors()
    from langdetect import LangDetectException

    detector = detectors.create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@functools.cache
def _detectors() -> Any:
    """The maker of detectors of this module alone, so that the seed of nobody else's changes."""
    require_detector()
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    profiles = [path for path in Path(PROFILES_DIRECTORY).iterdir() if not path.name.startswith(".")]
    factory = DetectorFactory()
    factory.load_json_profile([path.read_text("utf-8") for path in sorted(profiles)])
    factory.set_seed(_SEED)
    return factory
