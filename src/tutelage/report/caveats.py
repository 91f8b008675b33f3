"""What a reader has to know about a benchmark's scores, in sentences: missing parts, samples, dropped exemplars, doubts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def sentences(caveats: Mapping[str, Any]) -> Iterator[str]:
    """Yield the caveats of a benchmark, as evaluation.json and results.json hold them, as sentences."""
    if missing := caveats.get("missing_parts"):
        yield f"not here, and in no average: {', '.join(missing)}"
    if substituted := caveats.get("substituted_parts"):
        yield f"not the benchmark's official rows, so that averages over them are not its own: {', '.join(substituted)}"
    if missing := caveats.get("missing_diagnostics"):
        yield f"diagnostic sets that are not here, and belong to no average: {', '.join(missing)}"
    if "sampled_of" in caveats:
        yield f"a sample of its {caveats['sampled_of']} items was asked; intervals are for all of them"
    if "shots_dropped" in caveats:
        dropped = caveats["shots_dropped"]
        yield f"{dropped['examples']} exemplars were left out of {dropped['items']} questions, because the context has no room for them"
    yield from caveats.get("notes", [])
    if "self_check" in caveats:
        check = caveats["self_check"]
        apart = (
            f", log-probabilities apart by at most {check['difference']:.0e}" if check["difference"] else ""
        )
        yield f"self-check: {check['n']} asked again one by one, {len(check['wrong'])} differ{apart}; {check['ties']} near-ties"
        yield from (f"  differs: {line}" for line in check["wrong"])
    if ties := caveats.get("ties"):
        yield (
            f"{ties['items']} items have several equally likely choices, of which the first counts as the answer: "
            f"{ties['right']} of them are right so"
        )
    if "extraction" in caveats:
        counts = caveats["extraction"]
        yield (
            f"answers found with doubt, of {counts['n']}: {counts['unmarked']} that do not mark their answer, {counts['ambiguous']} with "
            f"several answers, {counts['cut_off']} cut off, {counts['empty']} empty"
        )
