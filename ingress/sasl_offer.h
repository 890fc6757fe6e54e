/*
 * Does: which mechanisms a listener offers: those of its settings that a back end can serve.
 * Does not: run them (sasl.h).
 * Owns: nothing.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct reactor;
struct service;
struct mechanism;
/* True: it is offered to such a client; *ret_own: ours to run, or NULL: Dovecot's. */
bool sasl_offers(struct reactor *r, const struct service *service, bool is_secured, struct span name,
                 const struct mechanism **ret_own);
