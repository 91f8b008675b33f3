/* The parts of the compiled core. Only core.c knows Python; the others work without its lock. */

#ifndef TUTELAGE_CORE_H
#define TUTELAGE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Differs from process to process as Python's own does, so that nobody can prepare texts that collide. */
extern uint64_t tutelage_seed;

/* A hash that is one to one: different values stay different. */
static inline uint64_t
tutelage_mix(uint64_t value)
{
    value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
    value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return value ^ value >> 32;
}

/* porter.c: turns a lower-case word into its stem, in place; the stem's size, which never exceeds the word's. */
size_t tutelage_stem(unsigned char *word, size_t size);

/* A text in UTF-8. */
typedef struct {
    const unsigned char *letters;
    size_t size;
} tutelage_text;

/* The numbers of words, from 1 on in the order they come; those with equal stems have the same. */
typedef struct {
    int32_t *ids; /* to be freed by who gave it, with NULL and zeros */
    size_t count, room;
    size_t different; /* words, before they are stemmed */
} tutelage_ids;

/* words.c: numbers the words of texts; `starts` has room for one more than there are. False: no memory. */
bool tutelage_number(const tutelage_text *texts, size_t count, bool stem, tutelage_ids *ids, int64_t *starts);

/* Pairs of numbered texts: all references, then the predictions in the same order. */
typedef struct {
    int32_t *ids;   /* each from 0 to `different` - 1 */
    size_t *starts; /* 2 pairs + 1, rising from 0 to the number of ids */
    size_t pairs, different;
    size_t longest; /* no text has more words; at most TUTELAGE_LONGEST */
} tutelage_pairs;
#define TUTELAGE_LONGEST (SIZE_MAX >> 7 < UINT32_MAX >> 2 ? SIZE_MAX >> 7 : UINT32_MAX >> 2)

static inline void
tutelage_sides(const tutelage_pairs *given, size_t pair, const int32_t *ids[2], size_t sizes[2])
{
    for (size_t side = 0; side < 2; side++) {
        const size_t *starts = given->starts + side * given->pairs + pair;
        ids[side] = given->ids + starts[0];
        sizes[side] = starts[1] - starts[0];
    }
}

/* grams.c: the matches of each pair for the orders 1 to `orders`, order by order. False: no memory. */
bool tutelage_matches(const tutelage_pairs *given, size_t orders, int64_t *hits);

/* lcs.c: the length of each pair's longest common subsequence. False: no memory. */
bool tutelage_lcs(const tutelage_pairs *given, int64_t *lengths);

#endif
