"""Why a row got its score: what matched, what clipping cut, what was too short."""

from tutelage.metrics.explain.explaining import explain as explain
from tutelage.metrics.explain.explaining import explain_corpus as explain_corpus
from tutelage.metrics.explain.explaining import explained as explained
from tutelage.metrics.explain.kinds import Answers as Answers
from tutelage.metrics.explain.kinds import Bleu as Bleu
from tutelage.metrics.explain.kinds import Explanation as Explanation
from tutelage.metrics.explain.kinds import Facts as Facts
from tutelage.metrics.explain.kinds import Gram as Gram
from tutelage.metrics.explain.kinds import Marked as Marked
from tutelage.metrics.explain.kinds import NGrams as NGrams
from tutelage.metrics.explain.kinds import Order as Order
from tutelage.metrics.explain.kinds import Overlap as Overlap
from tutelage.metrics.explain.kinds import Phrase as Phrase
from tutelage.metrics.explain.kinds import Shares as Shares
from tutelage.metrics.explain.kinds import Subsequence as Subsequence
from tutelage.metrics.explain.kinds import Words as Words
