/*
 * Does: what the three programs share: command line, settings, log, signals, HTTP port, reload, orderly end.
 * Does not: run reactors beyond the main loop, or know a role's work.
 * Owns: the main loop, the http server, the snapshot of settings.
 * Fails: bad command line or settings: one sentence on stderr, exit 2.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/conf.h"
#include "io/loop.h"

struct http_exchange;
struct daemon {
    const char *program;               /* "barid-ingress" */
    void (*start)(struct loop *main);  /* loop is set up, settings are in force */
    void (*reload)(void);              /* after a successful SIGHUP */
    void (*drain)(void);               /* first SIGTERM or SIGINT: finish and call daemon_end() */
    bool (*is_ready)(struct buf *why); /* for /readyz: what is missing */
    /* A path of the HTTP port that is the role's own (io/http_server.h): true: answered, now or later. NULL: it has none. */
    bool (*serve)(struct http_exchange *x, const char *path);
    /* What the table of settings cannot judge, before they are in force; may be NULL. -EINVAL with *ret_error (owned by the caller). */
    int (*check)(const struct conf *conf, char **ret_error);
};
/* main()'s body; returns the exit status. A second SIGTERM, or node.drain_time over, ends at once with status 1. */
int daemon_main(const struct daemon *d, int argc, char **argv);
void daemon_end(void);                 /* drained: leave the loop, exit 0 */
const char *daemon_node_name(void);    /* node.name, or the host's full name */
char *daemon_host_label(void);         /* what this machine calls itself, up to the first dot; to be freed */
const char *daemon_http_address(void); /* as bound, "" without */
const char *daemon_version(void);
