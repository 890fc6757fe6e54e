/*
 * Does: HTTP and HTTPS (TLS 1.2 and above) requests on the loop: many at once, connections kept and used again, certificates checked.
 * Does not: follow redirects, use proxies or cookies, or look at what an answer says.
 * Owns: requests until they are answered or cancelled; what was sent is wiped then, since it may hold secrets.
 * Fails: status 0 and a sentence: no connection, no trust, no answer in time, or more than max_bytes of it.
 * Calls: libcurl, named in http_client.c only. Names without addresses are looked up on its own threads, never on the loop.
 */
#pragma once

#include "base/buf.h"
#include "io/loop.h"
#include "mail/addr.h"

struct http_client;
struct http_client *http_client_new(struct loop *l);
struct http_client *http_client_free(
    struct http_client *c); /* requests under way are never answered; NULL is fine; always NULL */

struct http_request {
    const char *url;             /* http:// or https:// */
    struct span body;            /* at set: POST, with content_type */
    const char *content_type;    /* of the body */
    const char *accept;          /* NULL: anything */
    const char *user, *password; /* Basic; NULL: none */
    const char *ca;              /* file of authorities; NULL or "": the system's */
    const struct ip *addresses;  /* of the URL's host; none: they are looked up */
    size_t address_count;
    bool is_alone;       /* on a connection of its own, so that the certificate is looked at anew */
    uint64_t timeout_ms; /* for all of it */
    size_t max_bytes;    /* of the answer's body */
};
struct http_answer {
    unsigned status;          /* 200, ...; 0: there is none */
    const char *error;        /* status 0: why */
    bool is_untrusted;        /* status 0: because of the server's certificate */
    const char *content_type; /* NULL: not told */
    struct span body;
};
/* answer: valid during the call; never inside http_send(). */
typedef void http_on_answer(void *context, const struct http_answer *answer);
struct http_call;
struct http_call *http_send(struct http_client *c, const struct http_request *request,
                            http_on_answer *on_answer, void *context);
struct http_call *http_cancel(struct http_call *call); /* no answer comes; NULL is fine; always NULL */
