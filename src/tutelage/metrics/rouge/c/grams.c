/* Clipped n-gram matches of pairs of texts, pair by pair. */

#include "core.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t NONE = UINT32_MAX;

/* An n-gram of the reference: the number of the n-gram of its first n - 1 words, and its last word. */
typedef struct {
    uint64_t key;
    uint32_t number; /* NONE: the slot is free */
    uint32_t left;   /* how often it stands in the reference and was not matched yet */
} gram;

/* How often a word stands in the reference of a pair and was not matched yet, and whether in the prediction. */
typedef struct {
    uint32_t pair; /* the last one whose reference has the word, from 1 on */
    uint32_t left;
    bool shared;
} mark;

/* One side of a pair. */
typedef struct {
    uint32_t *words; /* those that both sides have, otherwise NONE */
    uint32_t *runs;  /* the number of the n-gram that begins at each word; NONE where the reference has none such */
    uint32_t *places; /* where n-grams begin that both sides may have, in order */
    size_t size, count;
} side;

/* What counting needs; made once, for all words and the longest texts. */
typedef struct {
    mark *marks;
    gram *grams;
    side sides[2]; /* reference, prediction */
} scratch;

static inline gram *
sought(gram *grams, size_t room, uint64_t key)
{
    size_t at = tutelage_mix(key ^ tutelage_seed) & (room - 1);
    while (grams[at].number != NONE && grams[at].key != key) {
        at = (at + 1) & (room - 1);
    }
    return &grams[at];
}

static size_t
room_for(size_t count)
{
    size_t room = 8;
    while (room < 2 * count) {
        room *= 2;
    }
    return room;
}

/* Here and below the loops go without branches on what a word or n-gram is: no processor could foretell them. */
static int64_t
matching_words(scratch *own, const int32_t *ids[2], const size_t sizes[2], uint32_t pair)
{
    mark *marks = own->marks;
    int64_t hits = 0;
    for (size_t i = 0; i < sizes[0]; i++) {
        mark *here = &marks[ids[0][i]];
        uint32_t known = here->pair == pair;
        *here = (mark){pair, known * here->left + 1, false};
    }
    for (size_t i = 0; i < sizes[1]; i++) {
        mark *here = &marks[ids[1][i]];
        bool shared = here->pair == pair, hit = shared & (here->left > 0);
        here->shared = shared;
        here->left -= hit;
        hits += hit;
    }
    for (size_t s = 0; s < 2; s++) {
        side taken = own->sides[s];
        taken.count = 0;
        taken.size = sizes[s];
        for (size_t i = 0; i < taken.size; i++) {
            mark *here = &marks[ids[s][i]];
            uint32_t shared = (here->pair == pair) & here->shared;
            taken.words[i] = taken.runs[i] = (uint32_t)ids[s][i] | (shared - 1); /* 0 - 1 is NONE */
            taken.places[taken.count] = (uint32_t)i;
            taken.count += shared;
        }
        own->sides[s] = taken;
    }
    return hits;
}

/* Keeps the places where an n-gram of the order below both sides may have goes on with a word that both have. */
static void
go_on(side *own, size_t order)
{
    size_t count = 0;
    for (size_t i = 0; i < own->count && own->places[i] + order <= own->size; i++) {
        size_t place = own->places[i];
        own->places[count] = (uint32_t)place;
        count += (own->runs[place] != NONE) & (own->words[place + order - 1] != NONE);
    }
    own->count = count;
}

/* The matches of an order above 1, after those of the order below. Two n-grams are equal when their keys are: numbers
   are given one by one, so nothing rests on a hash. */
static int64_t
matching_grams(scratch *own, size_t order)
{
    side *reference = &own->sides[0], *prediction = &own->sides[1];
    go_on(reference, order);
    go_on(prediction, order);
    size_t room = room_for(reference->count);
    memset(own->grams, 0xff, room * sizeof(gram));
    uint32_t used = 0;
    for (size_t i = 0; i < reference->count; i++) {
        size_t place = reference->places[i];
        uint64_t key = (uint64_t)reference->runs[place] << 32 | reference->words[place + order - 1];
        gram *found = sought(own->grams, room, key);
        if (found->number == NONE) {
            *found = (gram){key, used++, 0};
        }
        found->left++;
        reference->runs[place] = found->number;
    }
    int64_t hits = 0;
    for (size_t i = 0; i < prediction->count; i++) {
        size_t place = prediction->places[i];
        uint64_t key = (uint64_t)prediction->runs[place] << 32 | prediction->words[place + order - 1];
        gram *found = sought(own->grams, room, key);
        bool hit = (found->number != NONE) & (found->left > 0);
        found->left -= hit;
        hits += hit;
        prediction->runs[place] = found->number;
    }
    return hits;
}

bool
tutelage_matches(const tutelage_pairs *given, size_t orders, int64_t *hits)
{
    size_t pairs = given->pairs, longest = given->longest;
    scratch own = {calloc(given->different + 1, sizeof(mark)), malloc(room_for(longest) * sizeof(gram)), {{0}}};
    uint32_t *numbers = malloc(6 * (longest + 1) * sizeof(uint32_t));
    bool whole = own.marks != NULL && own.grams != NULL && numbers != NULL;
    for (size_t i = 0; i < 2 && whole; i++) {
        own.sides[i].words = numbers + 3 * i * (longest + 1);
        own.sides[i].runs = own.sides[i].words + longest + 1;
        own.sides[i].places = own.sides[i].runs + longest + 1;
    }
    memset(hits, 0, orders * pairs * sizeof(int64_t));
    for (size_t pair = 0; pair < pairs && whole; pair++) {
        const int32_t *ids[2];
        size_t sizes[2];
        tutelage_sides(given, pair, ids, sizes);
        for (size_t order = 1; order <= orders && order <= sizes[0] && order <= sizes[1]; order++) {
            int64_t found = order == 1 ? matching_words(&own, ids, sizes, (uint32_t)pair + 1)
                                       : matching_grams(&own, order);
            if (found == 0) {
                break;
            }
            hits[(order - 1) * pairs + pair] = found;
        }
    }
    free(own.marks);
    free(own.grams);
    free(numbers);
    return whole;
}
