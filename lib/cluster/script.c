/* The embedded scripts and their names in Redis: SHA-1 (FIPS 180-4) of the text. */
#include "cluster/script.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "lua.h"

enum { BLOCK = 64, LENGTH_BYTES = 8, WORDS = 5, ROUNDS = 80 };

static const char *const names[] = {
#define SCRIPT(name) #name,
#include "cluster/script.def"
#undef SCRIPT
};
static char hashes[SCRIPT_COUNT][SCRIPT_HASH_LEN];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

/* Section 6.1.2: one block. */
static void sha1_block(uint32_t state[static WORDS], const unsigned char *block)
{
    uint32_t w[ROUNDS], v[WORDS];

    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t) block[4 * i] << 24 | (uint32_t) block[4 * i + 1] << 16 |
               (uint32_t) block[4 * i + 2] << 8 | block[4 * i + 3];
    for (size_t i = 16; i < ROUNDS; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(v, state, sizeof v);
    for (size_t i = 0; i < ROUNDS; i++) {
        uint32_t mixed, constant;
        if (i < 20) {
            mixed = (v[1] & v[2]) | (~v[1] & v[3]);
            constant = 0x5a827999;
        } else if (i < 40) {
            mixed = v[1] ^ v[2] ^ v[3];
            constant = 0x6ed9eba1;
        } else if (i < 60) {
            mixed = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
            constant = 0x8f1bbcdc;
        } else {
            mixed = v[1] ^ v[2] ^ v[3];
            constant = 0xca62c1d6;
        }
        uint32_t first = rotate(v[0], 5) + mixed + v[4] + constant + w[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = first;
    }
    for (size_t i = 0; i < WORDS; i++)
        state[i] += v[i];
}

static void sha1_hex(struct span text, char ret_hex[static SCRIPT_HASH_LEN])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t state[WORDS] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char last[2 * BLOCK] = {0};
    const unsigned char *at = (const unsigned char *) text.at;
    size_t rest = text.len % BLOCK, last_len = rest + 1 + LENGTH_BYTES > BLOCK ? 2 * BLOCK : BLOCK;
    uint64_t bits = (uint64_t) text.len * 8;

    for (size_t i = 0; i + BLOCK <= text.len; i += BLOCK)
        sha1_block(state, at + i);
    if (rest)
        memcpy(last, at + text.len - rest, rest);
    last[rest] = 0x80;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        last[last_len - 1 - i] = (unsigned char) (bits >> 8 * i);
    for (size_t i = 0; i < last_len; i += BLOCK)
        sha1_block(state, last + i);
    for (size_t i = 0; i < SCRIPT_HASH_LEN; i++)
        ret_hex[i] = digits[state[i / 8] >> (28 - 4 * (i % 8)) & 0xf];
}

static void set_up(void)
{
    must(lua_source_count == SCRIPT_COUNT);
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        must(strcmp(lua_sources[i].name, names[i]) ==
             0); /* script.def and the embedded table have the same order */
        sha1_hex(span_of(lua_sources[i].text), hashes[i]);
    }
}

struct span script_text(enum script script)
{
    must(script < SCRIPT_COUNT);
    return span_of(lua_sources[script].text);
}

struct span script_hash(enum script script)
{
    must(script < SCRIPT_COUNT);
    (void) pthread_once(&once, set_up); /* cannot fail with a valid control */
    return (struct span){.at = hashes[script], .len = SCRIPT_HASH_LEN};
}

void script_load_all(struct buf *commands)
{
    for (unsigned i = 0; i < SCRIPT_COUNT; i++) {
        resp_command(commands, 3);
        resp_arg(commands, SPAN("SCRIPT"));
        resp_arg(commands, SPAN("LOAD"));
        resp_arg(commands, script_text(i));
    }
}
