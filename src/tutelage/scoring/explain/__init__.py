"""Why a row got its score: what matched, what clipping cut, what was too short."""

from tutelage.scoring.explain.explaining import explain as explain
from tutelage.scoring.explain.explaining import explain_corpus as explain_corpus
from tutelage.scoring.explain.explaining import explained as explained
from tutelage.scoring.explain.kinds import Answers as Answers
from tutelage.scoring.explain.kinds import Bleu as Bleu
from tutelage.scoring.explain.kinds import Explanation as Explanation
from tutelage.scoring.explain.kinds import Facts as Facts
from tutelage.scoring.explain.kinds import Gram as Gram
from tutelage.scoring.explain.kinds import Marked as Marked
from tutelage.scoring.explain.kinds import NGrams as NGrams
from tutelage.scoring.explain.kinds import Order as Order
from tutelage.scoring.explain.kinds import Overlap as Overlap
from tutelage.scoring.explain.kinds import Phrase as Phrase
from tutelage.scoring.explain.kinds import Shares as Shares
from tutelage.scoring.explain.kinds import Subsequence as Subsequence
from tutelage.scoring.explain.kinds import Words as Words
