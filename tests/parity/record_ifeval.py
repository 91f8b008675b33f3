"""Records lm-evaluation-harness's verdicts on responses written for the purpose: python tests/parity/record_ifeval.py

It carries the authors' program in lm_eval/tasks/ifeval. Needs lm-eval 0.4.13 with its IFEval dependencies and NLTK's punkt_tab. Its
langdetect is seeded here, once for all texts; a verdict that changes with the seed is recorded as null.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

SEEDS = range(8)
PER_INSTRUCTION = 9
"""How many of the common responses each instruction is tried on, beside those written for it."""

SHORT = "The harbour opens at six. Boats leave at seven."
REQUEST = "Name two rivers of Europe."
COMMON = [
    SHORT,
    "The harbour opens at six, the market at eight. Is the ferry late? It is! We wait for Mr. Brown, who lives at St. Anne's.",
    "THE HARBOUR OPENS AT SIX. THE MARKET OPENS AT EIGHT.",
    "the harbour opens at six. the market opens at eight and closes at noon.",
    '"The harbour opens at six, and nobody is there."',
    "Sure! Here is what I wrote:\n\nThe river is wide. The bridge is old.\n\nI hope this helps!",
    "* bread\n* butter\n* salt",
    "- bread\n- butter\n\n- salt\n",
    "**Bread** is baked. *Butter* is churned. ** ** Nothing is here.",
    "*Bread*\n*\n**Salt and pepper** and *oil* are on the table.",
    "<<A day at sea>>\n\nWaves rise and fall.",
    "<< >>\nWaves rise and fall. <<>>",
    '{"river": "Rhine", "length": 1230}',
    '```json\n{"river": "Rhine", "length": 1230}\n```',
    "```\n[1, 2, 3]\n```",
    "{river: Rhine}",
    "My answer is yes.",
    "I think My answer is maybe. But who knows?",
    "Section 1\nThe coast.\nSection 2\nThe hills.\nSECTION 3 The end.",
    "SECTION 1: coast SECTION2: hills",
    "Dear [name],\nyour parcel [number] is at [place]. []",
    "Good night.\n\nP.S. Bring the lamp.",
    "Good night.\n\np.s bring it\nP. P. S. Bring the lamp.\n",
    "Good night.\nP.P.S I mean it. P.S.: the lamp",
    "One.\n\n***\n\nTwo.\n***\nThree.",
    "***One. *** Two.\n***",
    "One.\n*** ***\nTwo.",
    "First answer.\n******\nSecond answer.",
    "Same.\n******\nSame.",
    "******First.\n******\nSecond.\n******",
    "One ****** two ****** three",
    "Rivers flow.\n\nHills stand still.\n\n'Clouds, they say, drift.'",
    "Rivers flow.\n\n\n\nHills stand still.\n\nClouds drift.",
    "\n\nHills stand still.\n\nClouds drift.",
    REQUEST + " The Rhine and the Danube.",
    "You asked: " + REQUEST + "\nThe Rhine.",
    REQUEST.upper() + "\n\nThe Rhine and the Danube. Is there anything else I can help with?",
    'The Rhine. "Is there anything else I can help with?"',
    "The Rhine. Is there anything else I can help with?\n\n",
    "Is there anything else I can help with? Yes.",
    "NASA and the U.S. sent a probe to MARS in 1976. It DIDN'T. We say: BRAVO! The U.N. agreed.",
    "I WON'T. You CAN'T. They SHOULDN'T! E.T. phones HOME.",
    "The test, he said (in 1999), was No. 5 of 7... Then it rained. 1. Begin. 2. Stop e.g. here. Dr. Who left.",
    "What? Really?! Yes... no! J. R. Smith, Ph.D., came at 5 p.m. on Jan. 3. He left.",
    "Mississippi has four rivers: river, RIVER and rivers. The riverbank is green; so is the town.",
    "Der Hafen öffnet um sechs Uhr. Danach fahren die Boote auf den Fluss hinaus, und alle warten auf den Regen.",
    "DER HAFEN ÖFFNET UM SECHS UHR, UND DIE BOOTE FAHREN AUF DEN FLUSS HINAUS.",
    "le port ouvre à six heures et les bateaux partent ensuite vers la mer, où il fait froid.",
    "El puerto abre a las seis. Después salen los barcos hacia el mar y la gente espera la lluvia.",
    "बंदरगाह छह बजे खुलता है। इसके बाद नावें नदी में जाती हैं।",
    "Порт открывается в шесть часов. Потом лодки выходят на реку, и все ждут дождя.",
    "항구는 여섯 시에 문을 엽니다. 그 후 배들이 강으로 나갑니다.",
    "Bandari hufunguliwa saa kumi na mbili. Baadaye mashua huenda mtoni na watu husubiri mvua.",
    "12345 67890",
    "!!!",
    "   \n ",
    "",
]
INSTRUCTIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("keywords:existence", {"keywords": ["river", "town"]}, ["A RIVERBANK near downtown", "river"]),
    ("keywords:frequency", {"keyword": "river", "frequency": 3, "relation": "at least"}, ["River, river, riverbank"]),
    ("keywords:frequency", {"keyword": "river", "frequency": 2, "relation": "less than"}, ["river river", "RIVER"]),
    ("keywords:forbidden_words", {"forbidden_words": ["river", "it"]}, ["Rivers fit.", "So be IT."]),
    ("keywords:letter_frequency", {"letter": "s", "let_frequency": 6, "let_relation": "at least"}, ["sSsSsS", "sssss"]),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 1, "let_relation": "less than"}, ["Queue", "no"]),
    ("language:response_language", {"language": "de"}, []),
    ("language:response_language", {"language": "hi"}, []),
    ("language:response_language", {"language": "sw"}, []),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "at least"}, []),
    ("length_constraints:number_sentences", {"num_sentences": 5, "relation": "at least"}, []),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, []),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["a***b", "a *** b ***", "***"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 3}, []),
    ("length_constraints:number_words", {"num_words": 10, "relation": "at least"}, ["a-b c_d e'f g.h 1,5 x", "ten"]),
    ("length_constraints:number_words", {"num_words": 9, "relation": "less than"}, []),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 3, "nth_paragraph": 3, "first_word": "Clouds"},
        ['a\n\nb\n\n"clouds" drift', "a\n\nb\n\nclouds-like", "a\n\nb\n\nclouds\n\n", "a\n\n\n\nb\n\nclouds"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "hills"},
        ["Hills!\n\nEnd.", "\n\nHills.\n\nEnd."],
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 3}, ["[a][b] [c\nd]", "[a [b] c] [d]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["gps. End", "P. S. yes"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S", "p. p.s"]),
    ("detectable_content:postscript", {"postscript_marker": "PS:"}, ["End.\nps: yes"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 3}, ["* a\n** b\n - c\n*\nd\n---", "*a*\n* b\n-c"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, ["-", "text\n  * a"]),
    ("detectable_format:constrained_response", {}, ["my answer is yes.", "*My answer is no.*", "My answer* is no."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, ["*a**b*", "***a*** and *b", "* a * b *"]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 3}, ["**a** *b* ** c", "*a* *b*\n*c\nd*"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2}, ["Section X Section Y", "Section 1: a\nSection 2: b", "In section 1, Section 12."]),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2}, []),
    ("detectable_format:json_format", {}, ["```JSON\n1\n```", "```Json{}", "here:\n{}\nbye", '{"a": NaN}', '"x"']),
    ("detectable_format:title", {}, ["<<<>>>", "<a>", "<<a\nb>>", "see << x >>"]),
    ("combination:two_responses", {}, ["a******", "a*****b", "a ***** b ****** c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": REQUEST}, ["  " + REQUEST, "**" + REQUEST + "**"]),
    ("startend:end_checker", {"end_phrase": "Is there anything else I can help with?"}, []),
    ("startend:end_checker", {"end_phrase": "Peace!"}, ["War and PEACE!", '"Peace!"', "Peace!.", "Peace!\nBye."]),
    ("startend:quotation", {}, ['"', '""', ' "a" ', '"a"b', "'a'", 'Sure:\n"a"']),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 4, "capital_relation": "at least"},
        ["A B C D", "I DON'T KNOW.", "A-B C-D E-f G", "X1 Y2. Z3 (W)"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 3, "capital_relation": "less than"},
        ["BOB'S. CAN'T.", "U.S.A. OK?"],
    ),
    ("change_case:english_capital", {}, ["I LIKE THE SEA, THE WIND AND THE WAVES OF THE NORTH. I LIKE 7 OF THEM.", "OK"]),
    ("change_case:english_lowercase", {}, ["i like the sea, the wind and the waves of the north.", "ok", "it is Late"]),
    ("punctuation:no_comma", {}, ["a\uff0c b", "1,000"]),
]  # fmt: skip


def _verdicts(kind: str, arguments: dict[str, Any], response: str) -> tuple[bool | None, bool | None]:
    import langdetect
    from lm_eval.tasks.ifeval import utils

    row = utils.InputExample(0, [kind], "", [arguments])
    verdicts = set()
    for seed in SEEDS:
        langdetect.DetectorFactory.seed = seed
        strict = utils.test_instruction_following_strict(row, response).follow_all_instructions
        loose = utils.test_instruction_following_loose(row, response).follow_all_instructions
        verdicts.add((strict, loose))
    strict_verdicts, loose_verdicts = ({verdict[side] for verdict in verdicts} for side in (0, 1))
    return (
        strict_verdicts.pop() if len(strict_verdicts) == 1 else None,
        loose_verdicts.pop() if len(loose_verdicts) == 1 else None,
    )


def main() -> None:
    draw = random.Random(20)
    lines = []
    for kind, arguments, written in INSTRUCTIONS:
        whole = kind.startswith(("language", "length_constraints:number_sentences", "change_case"))
        for response in [*(COMMON if whole else draw.sample(COMMON, PER_INSTRUCTION)), *written]:
            strict, loose = _verdicts(kind, arguments, response)
            line = {"kind": kind, "kwargs": arguments, "response": response, "strict": strict, "loose": loose}
            lines.append(json.dumps(line, ensure_ascii=False))
    Path(__file__).with_name("ifeval_lm_eval.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
