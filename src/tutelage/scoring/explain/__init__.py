"""Why a row got its score: what matched, what clipping cut, what was too short."""

from tutelage.scoring.explain.explainers import (
    RowExplanation,
    explain,
    explain_corpus_metrics,
    explain_rows,
    explainable_metrics,
)
from tutelage.scoring.explain.explanation import (
    BleuExplanation,
    EqualityExplanation,
    Explanation,
    FactsExplanation,
    InstructionsExplanation,
    InstructionVerdict,
    MarkedText,
    NGramCount,
    NGramExplanation,
    OverlapExplanation,
    SubsequenceExplanation,
    TokenF1Explanation,
)
from tutelage.scoring.explain.terminal_text import explanation_text

__all__ = [
    "BleuExplanation",
    "EqualityExplanation",
    "Explanation",
    "FactsExplanation",
    "InstructionVerdict",
    "InstructionsExplanation",
    "MarkedText",
    "NGramCount",
    "NGramExplanation",
    "OverlapExplanation",
    "RowExplanation",
    "SubsequenceExplanation",
    "TokenF1Explanation",
    "explain",
    "explain_corpus_metrics",
    "explain_rows",
    "explainable_metrics",
    "explanation_text",
]
