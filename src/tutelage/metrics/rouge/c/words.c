/* Texts to numbered words, with a hash table of the different ones. */

#include "core.h"

#include <stdlib.h>
#include <string.h>

enum { STEMMED_FROM = 4, FIRST_ROOM = 2048, FIRST_LETTERS = 4096, SHORT = 8, SLACK = 8 };

/* In a folded text letters and digits are themselves, in lower case; all else is this. */
enum { SEPARATOR = 0 };

typedef struct {
    uint64_t hash;
    size_t size;
    size_t at; /* where its letters lie; those of words up to SHORT letters lie nowhere */
    int32_t id;
} word;

/* The different words in the order they came, so that frequent ones lie together; a hash table of their places. */
typedef struct {
    word *words;
    uint32_t *slots; /* 0: free, otherwise place + 1; at most half of them are taken */
    unsigned char *letters;
    size_t room, used;          /* of slots, a power of two; of words, for which there is half that room */
    size_t letter_room, lettered; /* of letters */
} vocabulary;

static bool
grow(vocabulary *own)
{
    size_t room = own->room == 0 ? FIRST_ROOM : own->room * 2;
    if (room > SIZE_MAX / 2 / sizeof(word) || room > INT32_MAX) {
        return false;
    }
    word *words = realloc(own->words, room / 2 * sizeof(word));
    own->words = words == NULL ? own->words : words;
    uint32_t *slots = calloc(room, sizeof(uint32_t));
    if (words == NULL || slots == NULL) {
        free(slots);
        return false;
    }
    for (size_t place = 0; place < own->used; place++) {
        size_t at = words[place].hash & (room - 1);
        while (slots[at] != 0) {
            at = (at + 1) & (room - 1);
        }
        slots[at] = (uint32_t)place + 1;
    }
    free(own->slots);
    own->slots = slots;
    own->room = room;
    return true;
}

static bool
keep_letters(vocabulary *own, const unsigned char *letters, size_t size)
{
    if (size > own->letter_room - own->lettered) {
        if (size > SIZE_MAX / 4 || own->letter_room > SIZE_MAX / 4) {
            return false;
        }
        size_t room = own->letter_room * 2 + size + FIRST_LETTERS;
        unsigned char *larger = realloc(own->letters, room);
        if (larger == NULL) {
            return false;
        }
        own->letters = larger;
        own->letter_room = room;
    }
    memcpy(own->letters + own->lettered, letters, size);
    own->lettered += size;
    return true;
}

static void
discard(vocabulary *own)
{
    free(own->words);
    free(own->slots);
    free(own->letters);
}

/* The word as the vocabulary has it; a new one gets the id -1. NULL: no memory. */
static inline word *
enter(vocabulary *own, const unsigned char *letters, size_t size, uint64_t hash)
{
    if (own->used >= own->room / 2 && !grow(own)) {
        return NULL;
    }
    size_t at = hash & (own->room - 1);
    for (; own->slots[at] != 0; at = (at + 1) & (own->room - 1)) {
        word *here = &own->words[own->slots[at] - 1];
        /* Up to eight letters the hash is one to one. */
        if (here->hash == hash && here->size == size &&
            (size <= SHORT || memcmp(own->letters + here->at, letters, size) == 0)) {
            return here;
        }
    }
    word *added = &own->words[own->used];
    *added = (word){hash, size, own->lettered, -1};
    if (size > SHORT && !keep_letters(own, letters, size)) {
        return NULL;
    }
    own->used++;
    own->slots[at] = (uint32_t)own->used;
    return added;
}

/* Eight letters; compilers make one load of it. */
static inline uint64_t
eight(const unsigned char *at)
{
    uint64_t low = at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
    return low | (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

/* Size and hash of the word that begins here. From the separator on that ends it SLACK bytes are read. */
static inline size_t
measure(const unsigned char *letters, uint64_t *hash)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    *hash = tutelage_seed;
    for (size_t size = 0;; size += 8) {
        uint64_t block = eight(letters + size);
        uint64_t ends = (block - ones) & ~block & tops; /* its lowest bit marks the first separator */
        if (ends != 0) {
            uint64_t first = (ends & (~ends + 1)) >> 7; /* 1 << 8 k for k letters more */
            *hash = tutelage_mix(*hash ^ (block & (first - 1)));
            return size + (size_t)(((first - 1) & ones) * ones >> 56);
        }
        *hash = tutelage_mix(*hash ^ block);
    }
}

typedef struct {
    vocabulary words, stems;
    unsigned char *folded; /* room for the longest text */
    unsigned char *stem;   /* room for its longest word; NULL: words stay as they are */
} reading;

/* The number of a new word's stem, which is new itself or that of an earlier word; -1: no memory. */
static int32_t
number_of_stem(reading *own, const unsigned char *letters, size_t size)
{
    uint64_t hash;
    memcpy(own->stem, letters, size);
    size = size < STEMMED_FROM ? size : tutelage_stem(own->stem, size);
    memset(own->stem + size, SEPARATOR, SLACK);
    measure(own->stem, &hash);
    word *found = enter(&own->stems, own->stem, size, hash);
    if (found == NULL) {
        return -1;
    }
    found->id = found->id < 0 ? (int32_t)own->stems.used : found->id;
    return found->id;
}

/* Without branches, as is the loops' way below: compilers then take many bytes at once. */
static inline bool
is_kept(unsigned char byte)
{
    return ((unsigned char)((byte | 32) - 'a') < 26) | ((unsigned char)(byte - '0') < 10);
}

static void
fold(const unsigned char *text, size_t size, unsigned char *folded)
{
    for (size_t i = 0; i < size; i++) {
        folded[i] = is_kept(text[i]) ? text[i] | 32 : SEPARATOR;
    }
    memset(folded + size, SEPARATOR, SLACK);
}

/* Room in `ids` for as many words as a text of this size can have. */
static bool
make_room(tutelage_ids *ids, size_t size)
{
    size_t most = size / 2 + 1;
    if (most <= ids->room - ids->count) {
        return true;
    }
    if (ids->room > SIZE_MAX / 4 / sizeof(int32_t) || most > SIZE_MAX / 4 / sizeof(int32_t)) {
        return false;
    }
    int32_t *larger = realloc(ids->ids, (ids->room * 2 + most) * sizeof(int32_t));
    if (larger != NULL) {
        ids->ids = larger;
        ids->room = ids->room * 2 + most;
    }
    return larger != NULL;
}

/* The ids of a text's words; false: no memory. */
static bool
number_words(reading *own, const tutelage_text *text, tutelage_ids *ids)
{
    if (!make_room(ids, text->size)) {
        return false;
    }
    const unsigned char *folded = own->folded;
    fold(text->letters, text->size, own->folded);
    int32_t *next = ids->ids + ids->count;
    for (size_t at = 0;; at++) {
        while (at < text->size && folded[at] == SEPARATOR) {
            at++;
        }
        if (at >= text->size) {
            ids->count = (size_t)(next - ids->ids);
            return true;
        }
        uint64_t hash;
        size_t size = measure(folded + at, &hash);
        word *found = enter(&own->words, folded + at, size, hash);
        if (found == NULL) {
            return false;
        }
        if (found->id < 0) {
            int32_t id = (int32_t)own->words.used;
            found->id = own->stem == NULL ? id : number_of_stem(own, folded + at, size);
            if (found->id < 0) {
                return false;
            }
        }
        *next++ = found->id;
        at += size;
    }
}

bool
tutelage_number(const tutelage_text *texts, size_t count, bool stem, tutelage_ids *ids, int64_t *starts)
{
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        longest = texts[i].size > longest ? texts[i].size : longest;
    }
    reading own = {{0}, {0}, malloc(longest + SLACK), stem ? malloc(longest + SLACK) : NULL};
    bool whole = own.folded != NULL && (own.stem != NULL || !stem);
    starts[0] = 0;
    for (size_t i = 0; i < count && whole; i++) {
        whole = number_words(&own, &texts[i], ids);
        starts[i + 1] = (int64_t)ids->count;
    }
    ids->different = own.words.used;
    discard(&own.words);
    discard(&own.stems);
    free(own.folded);
    free(own.stem);
    return whole;
}
