"""Instructions about the language of a response, detected by langdetect with a fixed seed.

langdetect draws random numbers, and the authors' program does not seed it. With a seed the verdict is the same each time.
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
            "IFEval needs langdetect to detect the language of responses",
            found="it is not installed",
            expected="langdetect 1.0.9",
            fix="pip install 'tutelage[ifeval]'",
        )


def languages() -> tuple[str, ...]:
    """The codes of the languages that langdetect knows, such as `en`.

    Raises:
        InputError: langdetect is not installed.
    """
    return tuple(sorted(_detector_factory().get_lang_list()))


def is_in_language(response: str, *, language: str) -> bool:
    """`language:response_language`: the response is in a language.

    A text without a detectable language, such as one without letters, passes, as in the authors' program.

    Raises:
        InputError: langdetect is not installed.
    """
    return language_of(response) in (language, None)


@functools.lru_cache(maxsize=1024)  # strict and loose metrics check the same texts
def language_of(text: str) -> str | None:
    """The code of a text's language; None where none is detected."""
    factory = _detector_factory()
    from langdetect import LangDetectException

    detector = factory.create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@functools.cache
def _detector_factory() -> Any:
    """A langdetect factory of this module's own: seeding langdetect's shared one would change it for other code."""
    require_detector()
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    profiles = [path for path in Path(PROFILES_DIRECTORY).iterdir() if not path.name.startswith(".")]
    factory = DetectorFactory()
    factory.load_json_profile([path.read_text("utf-8") for path in sorted(profiles)])
    factory.set_seed(_SEED)
    return factory
