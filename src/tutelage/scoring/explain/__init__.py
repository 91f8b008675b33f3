"""Why a row got its score: what matched, what clipping cut, what was too short."""

from tutelage.scoring.explain.explainers import explain as explain
from tutelage.scoring.explain.explainers import explain_corpus as explain_corpus
from tutelage.scoring.explain.explainers import explainable_metrics as explainable_metrics
from tutelage.scoring.explain.explanation import Answers as Answers
from tutelage.scoring.explain.explanation import Bleu as Bleu
from tutelage.scoring.explain.explanation import Explanation as Explanation
from tutelage.scoring.explain.explanation import Facts as Facts
from tutelage.scoring.explain.explanation import Gram as Gram
from tutelage.scoring.explain.explanation import Marked as Marked
from tutelage.scoring.explain.explanation import NGrams as NGrams
from tutelage.scoring.explain.explanation import Order as Order
from tutelage.scoring.explain.explanation import Overlap as Overlap
from tutelage.scoring.explain.explanation import Phrase as Phrase
from tutelage.scoring.explain.explanation import Shares as Shares
from tutelage.scoring.explain.explanation import Subsequence as Subsequence
from tutelage.scoring.explain.explanation import Words as Words
