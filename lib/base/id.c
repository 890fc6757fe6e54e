/* Message ids and job names. */
#include "base/id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

enum { RANDOM_BYTES = 9, POOL_BYTES = 256 };

/* getrandom() guarantees whole answers up to 256 bytes; a pool saves most of the calls. Each byte is used once. */
static void take_random(uint8_t *to)
{
    static _Thread_local uint8_t pool[POOL_BYTES];
    static _Thread_local size_t left;

    if (left < RANDOM_BYTES) {
        ssize_t got;
        do
            got = getrandom(pool, sizeof(pool), 0);
        while (got < 0 && errno == EINTR);
        must(got == (ssize_t) sizeof(pool));
        left = sizeof(pool);
    }
    left -= RANDOM_BYTES;
    memcpy(to, pool + left, RANDOM_BYTES);
    explicit_bzero(pool + left, RANDOM_BYTES); /* an id to come cannot be read out of memory twice */
}

struct id id_new(uint64_t wall_ms, unsigned home_partition)
{
    struct id id;

    must(home_partition <= UINT8_MAX && wall_ms < UINT64_C(1) << 48);
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t) (wall_ms >> (40 - 8 * i));
    take_random(id.bytes + 6);
    id.bytes[15] = (uint8_t) home_partition;
    return id;
}

unsigned id_home(const struct id *id)
{
    return id->bytes[15];
}

uint64_t id_time_ms(const struct id *id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms;
}

/* 26 characters of 5 bits are 130 bits: the first character holds only the top 3. */
void id_format(const struct id *id, char ret_text[static ID_TEXT_LEN + 1])
{
    unsigned bits = 0, have = 2; /* two zero bits in front */
    size_t out = 0;

    for (size_t i = 0; i < sizeof(id->bytes); i++) {
        bits = bits << 8 | id->bytes[i];
        have += 8;
        while (have >= 5) {
            have -= 5;
            ret_text[out++] = alphabet[bits >> have & 31];
        }
        bits &= (1u << have) - 1;
    }
    ret_text[out] = '\0';
}

static int digit_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char) (c - 'a' + 'A');
    const char *at = c ? memchr(alphabet, c, sizeof(alphabet) - 1) : NULL;
    return at ? (int) (at - alphabet) : -EINVAL;
}

int id_parse(struct span text, struct id *ret_id)
{
    struct id id;
    unsigned bits = 0, have = 0;
    size_t out = 0;

    if (text.len != ID_TEXT_LEN)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.at[i]);
        if (digit < 0 || (i == 0 && digit > 7))
            return -EINVAL;
        bits = bits << 5 | (unsigned) digit;
        have += i == 0 ? 3 : 5;
        if (have >= 8) {
            have -= 8;
            id.bytes[out++] = (uint8_t) (bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    *ret_id = id;
    return 0;
}

bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void job_format(const struct id *id, uint32_t index, char ret_text[static JOB_TEXT_MAX + 1])
{
    id_format(id, ret_text);
    (void) snprintf(ret_text + ID_TEXT_LEN, JOB_TEXT_MAX + 1 - ID_TEXT_LEN, ".%u", index); /* always fits */
}

int job_parse(struct span text, struct id *ret_id, uint32_t *ret_index)
{
    struct id id;
    uint64_t index;

    if (text.len < ID_TEXT_LEN + 2 || text.at[ID_TEXT_LEN] != '.')
        return -EINVAL;
    struct span digits = {.at = text.at + ID_TEXT_LEN + 1, .len = text.len - ID_TEXT_LEN - 1};
    if (digits.len > 1 && digits.at[0] == '0') /* one job has one name */
        return -EINVAL;
    if (span_number(digits, UINT32_MAX, &index) < 0)
        return -EINVAL;
    if (id_parse((struct span){.at = text.at, .len = ID_TEXT_LEN}, &id) < 0)
        return -EINVAL;
    *ret_id = id;
    *ret_index = (uint32_t) index;
    return 0;
}
