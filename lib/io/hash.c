/* The hashes all versions of all nodes must agree on: never change them. */
#include "io/hash.h"

#include <string.h>
#include <xxhash.h>

uint64_t hash64(struct span s)
{
    return XXH3_64bits(s.at, s.len);
}

uint64_t hash64_seeded(struct span s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.at, s.len, seed);
}

uint32_t hash32(struct span s)
{
    return XXH32(s.at, s.len, 0);
}

void hash_digest(struct span s, char ret_hex[static 33])
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(s.at, s.len));
    for (size_t i = 0; i < sizeof(canonical.digest); i++) {
        ret_hex[2 * i] = digits[canonical.digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[canonical.digest[i] & 15];
    }
    ret_hex[32] = '\0';
}
