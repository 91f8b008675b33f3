"""Tutelage: fine-tune a language model on instructions, and see what it learned and what it forgot.

The public names are those of `__all__`. They are imported when they are first asked for, so that `import tutelage` and
light commands start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tutelage.core.version import __version__

if TYPE_CHECKING:
    from tutelage.api import compare as compare
    from tutelage.api import evaluate as evaluate
    from tutelage.api import load as load
    from tutelage.api import predict as predict
    from tutelage.api import run as run
    from tutelage.api import score as score
    from tutelage.config import Recipe as Recipe
    from tutelage.core.errors import InputError as InputError
    from tutelage.core.errors import MachineError as MachineError
    from tutelage.core.errors import TutelageError as TutelageError
    from tutelage.evaluation.options import EvaluationOptions as EvaluationOptions
    from tutelage.metrics import Row as Row
    from tutelage.prediction.options import PredictionOptions as PredictionOptions
    from tutelage.prediction.predict import Predictions as Predictions
    from tutelage.prediction.responder import Responder as Responder

_HOMES = {
    "EvaluationOptions": "tutelage.evaluation.options",
    "InputError": "tutelage.core.errors",
    "MachineError": "tutelage.core.errors",
    "PredictionOptions": "tutelage.prediction.options",
    "Predictions": "tutelage.prediction.predict",
    "Recipe": "tutelage.config",
    "Responder": "tutelage.prediction.responder",
    "Row": "tutelage.metrics",
    "TutelageError": "tutelage.core.errors",
    "compare": "tutelage.api",
    "evaluate": "tutelage.api",
    "load": "tutelage.api",
    "predict": "tutelage.api",
    "run": "tutelage.api",
    "score": "tutelage.api",
}

__all__ = [
    "EvaluationOptions",
    "InputError",
    "MachineError",
    "PredictionOptions",
    "Predictions",
    "Recipe",
    "Responder",
    "Row",
    "TutelageError",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "predict",
    "run",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tutelage' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
