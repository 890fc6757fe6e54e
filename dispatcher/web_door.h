/*
 * Does: says who may see the status page's figures: whoever knows web.token; an address that guesses is shut out for a minute.
 * Does not: answer (web.c).
 * Owns: a few addresses that were wrong lately, of IPv6 their /64.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mail/addr.h"

enum {
    DOOR_TRIES = 10,
    DOOR_SHUT_MS = 60000,
    DOOR_GUESTS = 128,
    DOOR_TOKEN_LEAST = 16,
    DOOR_TOKEN_MOST = 256
};

enum door_verdict { DOOR_OPEN, DOOR_WRONG, DOOR_SHUTS, DOOR_SHUT }; /* SHUTS: wrong, and shut from now on */

struct door_guest {
    struct ip ip;
    uint64_t first_ms; /* of its wrong tries that count; 0: nobody */
    unsigned tries;
};
struct web_door {
    struct door_guest guests[DOOR_GUESTS];
};
/* authorization: the header. Takes the same time whatever is wrong about the token. */
enum door_verdict door_knock(struct web_door *door, const struct ip *client, struct span authorization,
                             const char *token, uint64_t now_ms);
/* A token that can be sent as a header, and not guessed: -EINVAL otherwise. */
int door_token_check(const char *token);
