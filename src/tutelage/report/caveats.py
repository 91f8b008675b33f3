"""What must be known to read a benchmark's scores, in sentences: parts that are not here, samples, examples left out, doubts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def sentences(told: Mapping[str, Any]) -> Iterator[str]:
    """What is told of a benchmark beside its scores, as evaluation.json and results.json hold it, a sentence each."""
    if missing := told.get("missing_parts"):
        yield f"not here, and in no average: {', '.join(missing)}"
    if "sampled_of" in told:
        yield f"a sample of its {told['sampled_of']} items was asked; intervals are for all of them"
    if "shots_dropped" in told:
        short = told["shots_dropped"]
        yield f"{short['examples']} worked examples were left out of {short['items']} questions, which the context would not hold"
    yield from told.get("notes", [])
    if "self_check" in told:
        again = told["self_check"]
        apart = (
            f", log-probabilities apart by at most {again['difference']:.0e}" if again["difference"] else ""
        )
        yield f"self-check: {again['n']} asked again one by one, {len(again['wrong'])} differ{apart}; {again['ties']} near-ties"
        yield from (f"  differs: {line}" for line in again["wrong"])
    if "extraction" in told:
        found = told["extraction"]
        yield (
            f"answers found with doubt, of {found['n']}: {found['unmarked']} without 'the answer is', {found['ambiguous']} with "
            f"several answers, {found['cut_off']} cut off, {found['empty']} empty"
        )
