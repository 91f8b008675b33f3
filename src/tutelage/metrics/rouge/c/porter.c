/* M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the changes that NLTK's default mode makes
   (irregular forms, ie after a single letter, y to i after any consonant but the first letter, fulli, logi, words of one
   or two letters left alone). Equal to NLTK's `PorterStemmer().stem` on lower-case words. */

#include "core.h"

#include <stdbool.h>
#include <string.h>

typedef struct {
    const char *suffix, *put;
    size_t cut, added; /* their sizes; what is put is never longer */
} rule;
#define RULE(suffix, put) {suffix, put, sizeof(suffix) - 1, sizeof(put) - 1}
#define END {NULL, NULL, 0, 0}

/* Of each list the first suffix that ends the word decides, whether or not its condition on the stem holds. */
static const rule IRREGULAR[] = {
    RULE("skies", "sky"), RULE("dying", "die"), RULE("lying", "lie"), RULE("tying", "tie"),
    RULE("innings", "inning"), RULE("outings", "outing"), RULE("cannings", "canning"), RULE("sky", "sky"),
    RULE("news", "news"), RULE("inning", "inning"), RULE("outing", "outing"), RULE("canning", "canning"),
    RULE("howe", "howe"), RULE("proceed", "proceed"), RULE("exceed", "exceed"), RULE("succeed", "succeed"),
    END,
};
static const rule STEP2[] = {
    RULE("ational", "ate"), RULE("tional", "tion"), RULE("enci", "ence"), RULE("anci", "ance"),
    RULE("izer", "ize"), RULE("bli", "ble"), RULE("alli", "al"), RULE("entli", "ent"), RULE("eli", "e"),
    RULE("ousli", "ous"), RULE("fulli", "ful"), RULE("ization", "ize"), RULE("ation", "ate"),
    RULE("ator", "ate"), RULE("alism", "al"), RULE("iveness", "ive"), RULE("fulness", "ful"),
    RULE("ousness", "ous"), RULE("aliti", "al"), RULE("iviti", "ive"), RULE("biliti", "ble"),
    RULE("logi", "log"), END,
};
static const rule STEP3[] = {
    RULE("icate", "ic"), RULE("ative", ""), RULE("alize", "al"), RULE("iciti", "ic"), RULE("ical", "ic"),
    RULE("ful", ""), RULE("ness", ""), END,
};
static const rule STEP4[] = {
    RULE("al", ""), RULE("ance", ""), RULE("ence", ""), RULE("er", ""), RULE("ic", ""), RULE("able", ""),
    RULE("ible", ""), RULE("ant", ""), RULE("ement", ""), RULE("ment", ""), RULE("ent", ""), RULE("ion", ""),
    RULE("ou", ""), RULE("ism", ""), RULE("ate", ""), RULE("iti", ""), RULE("ous", ""), RULE("ive", ""),
    RULE("ize", ""), END,
};

/* What the rules ask of the first letters of a word. */
typedef struct {
    size_t measure; /* Porter's m: how often a vowel is followed by a consonant */
    bool has_vowel;
    unsigned last; /* the last three letters as bits, the last one lowest; 1 is a vowel */
} shape;

static shape
shape_of(const unsigned char *word, size_t size)
{
    shape found = {0, false, 0};
    for (size_t i = 0; i < size; i++) {
        bool after_vowel = found.last & 1, vowel;
        switch (word[i]) {
        case 'a': case 'e': case 'i': case 'o': case 'u':
            vowel = true;
            break;
        case 'y':
            vowel = i > 0 && !after_vowel;
            break;
        default:
            vowel = false;
        }
        found.measure += i > 0 && after_vowel && !vowel;
        found.has_vowel |= vowel;
        found.last = (found.last << 1 | vowel) & 7;
    }
    return found;
}

static bool
is_consonant_last(const unsigned char *word, size_t size)
{
    return size > 0 && !(shape_of(word, size).last & 1);
}

/* Porter's *o, and a two-letter word of vowel and consonant. */
static bool
is_closed(const unsigned char *word, size_t size)
{
    unsigned last = shape_of(word, size).last;
    if (size == 2) {
        return last == 2;
    }
    return size > 2 && last == 2 && memchr("wxy", word[size - 1], 3) == NULL;
}

static inline bool
ends_in(const unsigned char *word, size_t size, const char *suffix, size_t own)
{
    return own <= size && word[size - 1] == (unsigned char)suffix[own - 1] &&
           memcmp(word + size - own, suffix, own) == 0;
}

#define ends(word, size, suffix) ends_in(word, size, suffix, sizeof(suffix) - 1)

static const rule *
first_of(const rule *rules, const unsigned char *word, size_t size)
{
    while (rules->suffix != NULL && !ends_in(word, size, rules->suffix, rules->cut)) {
        rules++;
    }
    return rules->suffix == NULL ? NULL : rules;
}

static size_t
replace(unsigned char *word, size_t size, const rule *one)
{
    memcpy(word + size - one->cut, one->put, one->added);
    return size - one->cut + one->added;
}

static size_t
plural(const unsigned char *word, size_t size)
{
    if (ends(word, size, "ies")) {
        return size == 4 ? size - 1 : size - 2;
    }
    if (ends(word, size, "sses")) {
        return size - 2;
    }
    return ends(word, size, "s") && !ends(word, size, "ss") ? size - 1 : size;
}

/* What is left after -ed or -ing, made a word again. */
static size_t
mend(unsigned char *word, size_t size)
{
    if (ends(word, size, "at") || ends(word, size, "bl") || ends(word, size, "iz")) {
        word[size] = 'e';
        return size + 1;
    }
    if (size > 1 && word[size - 1] == word[size - 2] && is_consonant_last(word, size)) {
        return memchr("lsz", word[size - 1], 3) != NULL ? size : size - 1;
    }
    if (shape_of(word, size).measure == 1 && is_closed(word, size)) {
        word[size] = 'e';
        return size + 1;
    }
    return size;
}

static size_t
past_and_gerund(unsigned char *word, size_t size)
{
    if (ends(word, size, "ied")) {
        return size == 4 ? size - 1 : size - 2;
    }
    if (ends(word, size, "eed")) {
        return shape_of(word, size - 3).measure > 0 ? size - 1 : size;
    }
    if (ends(word, size, "ed") && shape_of(word, size - 2).has_vowel) {
        return mend(word, size - 2);
    }
    if (ends(word, size, "ing") && shape_of(word, size - 3).has_vowel) {
        return mend(word, size - 3);
    }
    return size;
}

static size_t
derivation(unsigned char *word, size_t size)
{
    while (ends(word, size, "alli") && shape_of(word, size - 4).measure > 0) {
        size -= 2;
    }
    const rule *found = size > 2 ? first_of(STEP2, word, size) : NULL;
    if (found == NULL) {
        return size;
    }
    /* -logi counts its l as part of the stem, so that short stems such as geo- are reached */
    size_t cut = strcmp(found->suffix, "logi") == 0 ? size - 3 : size - found->cut;
    return shape_of(word, cut).measure > 0 ? replace(word, size, found) : size;
}

static size_t
adjective(unsigned char *word, size_t size)
{
    const rule *found = size > 2 ? first_of(STEP3, word, size) : NULL;
    if (found == NULL || shape_of(word, size - found->cut).measure == 0) {
        return size;
    }
    return replace(word, size, found);
}

static size_t
residue(const unsigned char *word, size_t size)
{
    const rule *found = size > 2 ? first_of(STEP4, word, size) : NULL;
    if (found == NULL) {
        return size;
    }
    size_t cut = size - found->cut;
    if (shape_of(word, cut).measure < 2) {
        return size;
    }
    bool kept = strcmp(found->suffix, "ion") == 0 && word[cut - 1] != 's' && word[cut - 1] != 't';
    return kept ? size : cut;
}

static size_t
final_e(const unsigned char *word, size_t size)
{
    if (ends(word, size, "e")) {
        size_t measure = shape_of(word, size - 1).measure;
        if (measure > 1 || (measure == 1 && !is_closed(word, size - 1))) {
            size--;
        }
    }
    return ends(word, size, "ll") && shape_of(word, size - 1).measure > 1 ? size - 1 : size;
}

size_t
tutelage_stem(unsigned char *word, size_t size)
{
    for (const rule *one = IRREGULAR; one->suffix != NULL; one++) {
        if (one->cut == size && memcmp(word, one->suffix, size) == 0) {
            return replace(word, size, one);
        }
    }
    if (size <= 2) {
        return size;
    }
    size = past_and_gerund(word, plural(word, size));
    if (size > 2 && word[size - 1] == 'y' && is_consonant_last(word, size - 1)) {
        word[size - 1] = 'i';
    }
    return final_e(word, residue(word, adjective(word, derivation(word, size))));
}
