/* Lengths of longest common subsequences, sixty-four words of the prediction at a time.

   H. Hyyrö, "Bit-parallel LCS-length computation revisited", 2004. A row of the table is held as bits, of which a
   zero says that the length grows there by one. Each block of bits is taken through the whole reference before the
   next one, so that what goes over from block to block is a bit for each word of the reference. */

#include "core.h"

#include <stdlib.h>
#include <string.h>

static int64_t
ones_of(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int64_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

/* The words of one side whose mask is `mark`; their number. */
static size_t
keep(const int32_t *ids, size_t size, const uint64_t *masks, uint64_t mark, int32_t *kept)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        kept[count] = ids[i];
        count += masks[ids[i]] == mark;
    }
    return count;
}

/* Keeps the words that both sides have: no other ones are in a common subsequence. */
static void
keep_shared(const int32_t *ids[2], size_t sizes[2], uint64_t *masks, int32_t *kept[2])
{
    const int32_t *prediction = ids[1];
    size_t size = sizes[1];
    for (size_t i = 0; i < size; i++) {
        masks[prediction[i]] = 1;
    }
    sizes[0] = keep(ids[0], sizes[0], masks, 1, kept[0]);
    for (size_t i = 0; i < sizes[0]; i++) {
        masks[kept[0][i]] = 2;
    }
    sizes[1] = keep(prediction, size, masks, 2, kept[1]);
    for (size_t i = 0; i < size; i++) {
        masks[prediction[i]] = 0;
    }
    ids[0] = kept[0];
    ids[1] = kept[1];
}

/* `masks` are zero for every word, before and after. */
static int64_t
length_of(const int32_t *ids[2], const size_t sizes[2], uint64_t *masks, unsigned char *carries)
{
    int64_t found = 0;
    memset(carries, 0, sizes[0]);
    for (size_t from = 0; from < sizes[1]; from += 64) {
        const int32_t *block = ids[1] + from;
        size_t count = sizes[1] - from < 64 ? sizes[1] - from : 64;
        for (size_t j = 0; j < count; j++) {
            masks[block[j]] |= UINT64_C(1) << j;
        }
        uint64_t row = UINT64_MAX;
        for (size_t i = 0; i < sizes[0]; i++) {
            uint64_t hit = row & masks[ids[0][i]], sum = row + hit, carried = sum + carries[i];
            carries[i] = (sum < row) | (carried < sum);
            row = carried | (row - hit);
        }
        found += ones_of(~row);
        for (size_t j = 0; j < count; j++) {
            masks[block[j]] = 0;
        }
    }
    return found;
}

bool
tutelage_lcs(const tutelage_pairs *given, int64_t *lengths)
{
    uint64_t *masks = calloc(given->different + 1, sizeof(uint64_t));
    unsigned char *carries = malloc(given->longest + 1);
    int32_t *room = malloc(2 * (given->longest + 1) * sizeof(int32_t));
    bool whole = masks != NULL && carries != NULL && room != NULL;
    for (size_t pair = 0; pair < given->pairs && whole; pair++) {
        const int32_t *ids[2];
        size_t sizes[2];
        tutelage_sides(given, pair, ids, sizes);
        if (sizes[1] > 64) {
            keep_shared(ids, sizes, masks, (int32_t *[2]){room, room + given->longest + 1});
        }
        lengths[pair] = length_of(ids, sizes, masks, carries);
    }
    free(masks);
    free(carries);
    free(room);
    return whole;
}
