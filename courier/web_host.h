/*
 * Does: finds the addresses of a web server that strangers have named, by our own DNS: those to which mail could go, too (BEHAVIOURS H23), so that
 *       nobody chooses what we talk to on our networks.
 * Does not: speak HTTP (io/http_client.h), nor limit its time: its caller cancels.
 * Owns: its questions.
 * Fails: no addresses, and why.
 */
#pragma once

#include "courier/courier.h"
#include "mail/addr.h"

enum { WEB_HOST_IPS_MAX = 8 };

/* count 0: why says why not, a constant. ips: during the call only. */
typedef void web_host_on_found(void *context, const struct ip *ips, size_t count, const char *why);
struct web_host;
/* host: A-labels. Answers once, later, never inside the call. */
struct web_host *web_host_find(struct courier *c, const char *host, web_host_on_found *on_found,
                               void *context);
struct web_host *web_host_cancel(struct web_host *h); /* no answer comes; NULL is fine; always NULL */
