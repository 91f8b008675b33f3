"""Why a row got its score: what matched, what clipping cut, what was too short."""

from tutelage.scoring.explain.explainers import RowExplanation as RowExplanation
from tutelage.scoring.explain.explainers import explain as explain
from tutelage.scoring.explain.explainers import explain_corpus_metrics as explain_corpus_metrics
from tutelage.scoring.explain.explainers import explain_rows as explain_rows
from tutelage.scoring.explain.explainers import explainable_metrics as explainable_metrics
from tutelage.scoring.explain.explanation import BleuExplanation as BleuExplanation
from tutelage.scoring.explain.explanation import EqualityExplanation as EqualityExplanation
from tutelage.scoring.explain.explanation import Explanation as Explanation
from tutelage.scoring.explain.explanation import FactsExplanation as FactsExplanation
from tutelage.scoring.explain.explanation import MarkedText as MarkedText
from tutelage.scoring.explain.explanation import NGramCount as NGramCount
from tutelage.scoring.explain.explanation import NGramExplanation as NGramExplanation
from tutelage.scoring.explain.explanation import OverlapExplanation as OverlapExplanation
from tutelage.scoring.explain.explanation import SubsequenceExplanation as SubsequenceExplanation
from tutelage.scoring.explain.explanation import TokenF1Explanation as TokenF1Explanation
from tutelage.scoring.explain.terminal_text import explanation_text as explanation_text
