/*
 * Does: answers GET and HEAD on the loop, at once or when its owner knows the answer.
 * Does not: serve anything that needs a body or TLS, or judge who asks.
 * Owns: the port and its connections, at most 64, of one address at most 32: a request must be there within 10 s, an answer taken within 30 s.
 * Fails: http_server_open() with -errno; a bad request gets 4xx, and who is too slow is cut off.
 * Calls: libmicrohttpd, named in http_server.c only.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "io/loop.h"
#include "mail/addr.h"

struct http_server;
struct http_exchange; /* a request and its answer */

/* To be answered exactly once, in the call or later; until then, or until http_server_close(), the exchange is valid. path: as it was sent, escapes too, without what is behind a "?". */
typedef void http_on_get(void *owner, struct http_exchange *x, const char *path);
/* "" when the request has none; valid as long as the exchange. */
struct span http_exchange_header(const struct http_exchange *x, const char *name);
/* False: it came over something that is no network. */
bool http_exchange_client(const struct http_exchange *x, struct ip *ret_ip);

struct http_answer {
    unsigned status;
    const char *type;           /* MIME */
    const char *const *headers; /* name, value, name, value ..., NULL; NULL: none but what HTTP wants */
    struct span body;           /* copied; empty: the status as text */
};
void http_exchange_answer(struct http_exchange *x, const struct http_answer *answer);

/* address "host:port", port 0 for any free one. */
int http_server_open(struct loop *l, const char *address, http_on_get *on_get, void *owner,
                     struct http_server **ret_server, uint16_t *ret_port);
struct http_server *http_server_close(struct http_server *s); /* always NULL */
