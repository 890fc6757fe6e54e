/* Tokens are compared by their digests: neither their bytes nor their length show in how long that takes. */
#include "dispatcher/web_door.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/crypto.h"

enum { NETWORK_BYTES = 8 };

/* Neighbours in an IPv6 network are one: whoever has one address there has them all. */
static struct ip place_of(const struct ip *client)
{
    struct ip ip = *client;

    ip.scope = 0;
    if (!ip.is_v4)
        memset(ip.bytes + NETWORK_BYTES, 0, sizeof(ip.bytes) - NETWORK_BYTES);
    return ip;
}

static struct door_guest *guest_of(struct web_door *door, const struct ip *place)
{
    for (size_t i = 0; i < DOOR_GUESTS; i++)
        if (door->guests[i].first_ms && ip_equal(&door->guests[i].ip, place))
            return &door->guests[i];
    return NULL;
}

/* A new one takes the row of whoever was wrong longest ago. */
static struct door_guest *guest_new(struct web_door *door, const struct ip *place)
{
    struct door_guest *oldest = &door->guests[0];

    for (size_t i = 1; i < DOOR_GUESTS; i++)
        if (door->guests[i].first_ms < oldest->first_ms)
            oldest = &door->guests[i];
    *oldest = (struct door_guest){.ip = *place};
    return oldest;
}

static bool is_right(struct span authorization, const char *token)
{
    static const struct span scheme = SPAN("Bearer ");
    uint8_t said[SHA256_BYTES], wanted[SHA256_BYTES];
    struct span rest = {.at = NULL};

    bool has_scheme = span_starts_nocase(authorization, scheme);
    if (has_scheme)
        rest = span_trim(
            (struct span){.at = authorization.at + scheme.len, .len = authorization.len - scheme.len});
    crypto_sha256(rest, said);
    crypto_sha256(span_of(token), wanted);
    bool is_equal = crypto_is_equal((struct span){.at = (const char *) said, .len = sizeof(said)},
                                    (struct span){.at = (const char *) wanted, .len = sizeof(wanted)});
    explicit_bzero(said, sizeof(said));
    explicit_bzero(wanted, sizeof(wanted));
    return has_scheme && is_equal;
}

enum door_verdict door_knock(struct web_door *door, const struct ip *client, struct span authorization,
                             const char *token, uint64_t now_ms)
{
    struct ip place = place_of(client);
    struct door_guest *guest = guest_of(door, &place);

    if (guest && now_ms >= guest->first_ms + DOOR_SHUT_MS) {
        guest->first_ms = guest->tries = 0;
        guest = NULL;
    }
    if (guest && guest->tries >= DOOR_TRIES)
        return DOOR_SHUT;
    if (is_right(authorization, token))
        return DOOR_OPEN;
    if (!guest)
        guest = guest_new(door, &place);
    guest->tries++;
    if (guest->tries == 1 || guest->tries == DOOR_TRIES)
        guest->first_ms = now_ms; /* who is shut out is so for all of the time */
    return guest->tries == DOOR_TRIES ? DOOR_SHUTS : DOOR_WRONG;
}

int door_token_check(const char *token)
{
    size_t len = strlen(token);

    for (const char *c = token; *c; c++)
        if (!isascii((unsigned char) *c) || (!isalnum((unsigned char) *c) && !strchr("-._~+/=", *c)))
            return -EINVAL;
    return len < DOOR_TOKEN_LEAST || len > DOOR_TOKEN_MOST ? -EINVAL : 0;
}
