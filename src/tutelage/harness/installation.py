"""Whether lm-eval is installed, and what to do where it is not."""

from __future__ import annotations

from importlib import metadata

from tutelage.core.errors import InputError

OLDEST = (0, 4, 13)
"""The version whose interface this package was written for."""
_INSTALL = "pip install 'tutelage[lm-eval]'"


def require_lm_eval() -> str:
    """Check that lm-eval is installed, without importing it; gives its version.

    Raises:
        InputError: it is not, or it is too old.
    """
    expected = f"lm-eval {'.'.join(map(str, OLDEST))} or later (0.4)"
    try:
        version = metadata.version("lm_eval")
    except metadata.PackageNotFoundError:
        raise InputError(
            "lm-evaluation-harness is not installed",
            where="lm-eval",
            found="no such package",
            expected=expected,
            fix=_INSTALL,
        ) from None
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if not OLDEST <= numbers < (0, 5):
        raise InputError(
            "this version of lm-evaluation-harness is not supported",
            where="lm-eval",
            found=version,
            expected=expected,
            fix=_INSTALL,
        )
    return version
