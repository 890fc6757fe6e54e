/*
 * Does: derives SCRAM's slow keys away from the loop, and keeps the last ones, so that each connection to a smart host does not pay anew.
 * Does not: speak SASL (smtp_client.h), nor keep a password.
 * Owns: the keys, wiped when they go.
 * Fails: never.
 */
#pragma once

#include "base/buf.h"
#include "courier/smtp_client.h"
#include "io/loop.h"

enum { LOGIN_KEYS_MAX = 16 };

struct login_keys;
struct login_keys *login_keys_new(struct loop *l);
struct login_keys *login_keys_free(struct login_keys *k); /* always NULL; none may be asked for any more */

/* A key on its way; forgotten with its answer. */
struct login_ask;
typedef void login_on_key(void *context, const uint8_t key[static CLIENT_KEY_BYTES]);
/* Answers later, never inside the call. */
struct login_ask *login_key_ask(struct login_keys *k, struct span password, struct span salt,
                                uint32_t iterations, login_on_key *on_key, void *context);
void login_key_cancel(struct login_ask *a); /* on_key is not called any more */
