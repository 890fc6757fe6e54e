/*
 * Does: answers GET on a small set of paths, on the loop, for metrics and health.
 * Does not: serve anything that needs a body, TLS or authentication.
 * Owns: the port and its connections, at most 64.
 * Fails: http_server_open() with -errno; a bad request gets 4xx.
 * Calls: libmicrohttpd, named in http_server.c only.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "io/loop.h"

struct http_server;
/* Fills *out and *ret_type (a MIME type that outlives the call); returns the HTTP status; 404 for paths not known. */
typedef unsigned http_on_get(void *owner, const char *path, struct buf *out, const char **ret_type);
/* address "host:port", port 0 for any free one. */
int http_server_open(struct loop *l, const char *address, http_on_get *on_get, void *owner,
                     struct http_server **ret_server, uint16_t *ret_port);
struct http_server *http_server_close(struct http_server *s); /* always NULL */
