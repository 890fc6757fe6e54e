/*
 * Does: the status page: /web/ the page itself, /web/status the cluster's figures, /web/message/ID one message's story. What is not the page
 *       itself is for who shows the token; without web.token there is nothing.
 * Does not: change anything, nor read content.
 * Owns: the overview, the door, the stories being read, four at most.
 * Fails: never; what cannot be answered gets a status of HTTP.
 * See: docs/web-page.md.
 */
#pragma once

#include "dispatcher/overview.h"
#include "dispatcher/web_door.h"
#include "io/http_server.h"

enum { WEB_STORIES = 4 };

struct web {
    struct overview overview;
    struct web_door door;
    unsigned stories; /* being read */
    char *policy;     /* Content-Security-Policy of the page */
};
void web_init(struct web *w, struct store *store);
void web_done(struct web *w); /* after the store is closed */
/* True: it is ours, and answered now or later. */
bool web_serve(struct web *w, struct http_exchange *x, const char *path);
/* 0, or -EINVAL with *ret_error: the token is none. */
int web_check(const struct conf *conf, char **ret_error);

extern const char web_page[], web_page_end[]; /* status_page.html, as it is in the program */
