"""The Porter stemmer, in the dialect that ROUGE's reference program uses.

M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the changes that NLTK's default mode
makes (irregular forms, `ie` after a single letter, `y` to `i` after any consonant but the first letter, `fulli`,
`logi`, words of one or two letters left alone). Equal to NLTK's `PorterStemmer().stem` on lower-case words.
"""

from __future__ import annotations

_IRREGULAR = {
    "skies": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "innings": "inning",
    "outings": "outing",
    "cannings": "canning",
    **{w: w for w in ("sky", "news", "inning", "outing", "canning", "howe", "proceed", "exceed", "succeed")},
}

# Suffix, replacement; the first that ends the word decides, whether or not its condition on the stem holds.
_STEP2 = {
    "a": (("ational", "ate"), ("tional", "tion")),
    "c": (("enci", "ence"), ("anci", "ance")),
    "e": (("izer", "ize"),),
    "l": (
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("fulli", "ful"),
    ),
    "o": (("ization", "ize"), ("ation", "ate"), ("ator", "ate")),
    "s": (("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous")),
    "t": (("aliti", "al"), ("iviti", "ive"), ("biliti", "ble")),
    "g": (("logi", "log"),),
}
_STEP3 = {
    "e": (("icate", "ic"), ("ative", ""), ("alize", "al")),
    "i": (("iciti", "ic"),),
    "l": (("ical", "ic"), ("ful", "")),
    "s": (("ness", ""),),
}
_STEP4 = {
    "a": ("al",),
    "c": ("ance", "ence"),
    "e": ("er",),
    "i": ("ic",),
    "l": ("able", "ible"),
    "n": ("ant", "ement", "ment", "ent"),
    "o": ("ion", "ou"),
    "s": ("ism",),
    "t": ("ate", "iti"),
    "u": ("ous",),
    "v": ("ive",),
    "z": ("ize",),
}
_SHAPES = str.maketrans(
    {code: "v" if chr(code) in "aeiou" else "c" for code in range(128) if chr(code) != "y"}
)


def stem(word: str) -> str:
    """The stem of a lower-case ASCII word."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 2:
        return word
    word = _past_and_gerund(_plural(word))
    if word.endswith("y") and len(word) > 2 and _shape(word[:-1])[-1] == "c":
        word = word[:-1] + "i"
    word = _derivation(word)
    if len(word) > 2:
        for suffix, new in _STEP3.get(word[-1], ()):
            if word.endswith(suffix):
                cut = word[: -len(suffix)]
                word = cut + new if _measure(cut) > 0 else word
                break
    return _final_e(_residue(word))


def _shape(word: str) -> str:
    """The word as consonants (c) and vowels (v); a y is a vowel after a consonant."""
    shape = word.translate(_SHAPES)
    if "y" not in shape:
        return shape
    letters: list[str] = []
    for letter in shape:
        if letter == "y":
            letters.append("v" if letters and letters[-1] == "c" else "c")
        else:
            letters.append(letter)
    return "".join(letters)


def _measure(word: str) -> int:
    """Porter's m: how often a vowel is followed by a consonant."""
    return _shape(word).count("vc")


def _closed(word: str) -> bool:
    """Porter's *o: consonant, vowel, consonant at the end, the last not w, x or y; or a two-letter vowel, consonant."""
    shape = _shape(word)
    return (shape[-3:] == "cvc" and word[-1] not in "wxy") or shape == "vc"


def _plural(word: str) -> str:
    if not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("sses"):
        return word[:-2]
    return word if word.endswith("ss") else word[:-1]


def _past_and_gerund(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix) and "v" in _shape(word[: -len(suffix)]):
            return _mend(word[: -len(suffix)])
    return word


def _mend(cut: str) -> str:
    """A word from what remains after -ed or -ing is cut off."""
    if cut.endswith(("at", "bl", "iz")):
        return cut + "e"
    if len(cut) >= 2 and cut[-1] == cut[-2] and _shape(cut)[-1] == "c":
        return cut if cut[-1] in "lsz" else cut[:-1]
    return cut + "e" if _measure(cut) == 1 and _closed(cut) else cut


def _derivation(word: str) -> str:
    while word.endswith("alli") and _measure(word[:-4]) > 0:
        word = word[:-2]
    if len(word) > 2:
        for suffix, new in _STEP2.get(word[-2], ()):
            if word.endswith(suffix):
                # -logi counts its l as part of the stem, so that short stems such as geo- are reached
                cut = word[:-3] if suffix == "logi" else word[: -len(suffix)]
                return word[: -len(suffix)] + new if _measure(cut) > 0 else word
    return word


def _residue(word: str) -> str:
    if len(word) > 2:
        for suffix in _STEP4.get(word[-2], ()):
            if word.endswith(suffix):
                cut = word[: -len(suffix)]
                if _measure(cut) > 1 and (suffix != "ion" or cut[-1] in "st"):
                    return cut
                return word
    return word


def _final_e(word: str) -> str:
    if word.endswith("e"):
        cut = word[:-1]
        m = _measure(cut)
        if m > 1 or (m == 1 and not _closed(cut)):
            word = cut
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        return word[:-1]
    return word
