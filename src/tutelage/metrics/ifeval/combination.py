"""Instructions that combine two texts: the request and its answer, two responses."""

from __future__ import annotations


def repeats_request(response: str, *, prompt_to_repeat: str) -> bool:
    """`combination:repeat_prompt`: the response begins with the request, letter case aside."""
    return response.strip().lower().startswith(prompt_to_repeat.lower())


def two_responses(response: str) -> bool:
    """`combination:two_responses`: two different responses with six stars between them, and nothing else."""
    texts = [text.strip() for text in response.split("******")]
    if not all(texts[1:-1]):
        return False
    responses = [text for text in texts if text]
    return len(responses) == 2 and responses[0] != responses[1]
