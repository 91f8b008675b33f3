"""A row for every kind of the library, written for these tests, with every field that it can have."""

from __future__ import annotations

ROWS = {
    "arithmetic": {
        "question": "A crate holds 12 jars. How many jars are in 4 crates?",
        "answer": "48",
        "rationale": "One crate holds twelve jars, so four crates hold four times as many.",
    },
    "closed-book-questions": {
        "question": "Which planet has the most rings?",
        "answer": ["Saturn", "the planet Saturn"],
    },
    "commonsense": {
        "situation": "Mira left the ice cream in the sun.",
        "ask": "What happened next?",
        "choices": ["It melted.", "It sang."],
        "answer": 0,
    },
    "conversation-summary": {
        "dialogue": "Ann: Lunch at noon?\nBob: Make it one.",
        "summary": "They agree to eat at one.",
        "topic": "a meal",
    },
    "coreference": {
        "text": "The cup fell off the shelf because it was too narrow.",
        "pronoun": "it",
        "choices": ["the cup", "the shelf"],
        "answer": "the shelf",
    },
    "data-to-text": {
        "data": {"name": "Cafe Blau", "food": ["soup", "bread"], "open": True},
        "text": "Cafe Blau serves soup and bread and is open.",
        "subject": "a place to eat",
    },
    "entity-recognition": {
        "text": ["Ada", "Lovelace", "lived", "in", "London"],
        "entities": ["B-person", "I-person", "O", "O", "B-place"],
        "types": "person, place",
    },
    "intent-classification": {"text": "Where has my parcel got to?", "label": "track order"},
    "multiple-choice": {
        "question": "What do bees make?",
        "choices": ["honey", "paper", "glass"],
        "answer": "A",
        "context": "Insects are busy animals.",
    },
    "language-inference": {
        "premise": "A dog runs along the beach.",
        "hypothesis": "An animal is moving.",
        "label": "entailment",
    },
    "paraphrase": {
        "first": "Could you shut the window?",
        "second": "Please close the window.",
        "label": True,
    },
    "reading-comprehension": {
        "context": "The lighthouse was built in 1871 by two brothers.",
        "question": "Who built the lighthouse?",
        "answer": ["two brothers", "brothers"],
        "title": "Old towers",
    },
    "reasoning": {
        "question": "Tom is taller than Ann, and Ann is taller than Joe. Who is the smallest?",
        "answer": 2,
        "choices": ["Tom", "Ann", "Joe"],
        "rationale": "The tallest is first in the row, and the others follow in order of size.",
    },
    "sentiment": {"text": "The soup was cold and the waiter rude.", "label": "negative"},
    "summarisation": {
        "text": "The town council met on Monday. After three hours it voted for the new bridge.",
        "summary": "The council wants a bridge.",
        "title": "Monday's meeting",
    },
    "support-dialogue": {
        "message": "My lamp arrived broken.",
        "reply": "We are sorry and will send a new one today.",
        "knowledge": "Damaged goods are replaced free of charge.",
        "company": "Lumen",
    },
    "topic-classification": {"text": "The striker scored twice.", "label": "sport", "title": "A late win"},
    "translation": {
        "text": "Der Zug ist voll.",
        "translation": "The train is full.",
        "target_language": "English",
        "source_language": "German",
    },
    "yes-no-questions": {
        "context": "The museum opens daily except Mondays.",
        "question": "Is the museum open on a Tuesday?",
        "label": "yes",
    },
}
