/*
 * Does: a private redis-server for tests, on a unix socket in a directory of its own; and a proxy that loses replies on purpose.
 * Does not: touch any other server.
 * Owns: the process, ended by its pid, and the directory.
 * Fails: by must(): a test without its server proves nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "io/loop.h"

struct redis_server {
    int pid;
    int log; /* what it prints */
    char dir[64];
    char socket[96];
};

/* Starts it, appendonly yes and appendfsync always, and waits until it takes connections; the same struct again: on the same data. */
void redis_server_start(struct redis_server *s);
void redis_server_kill(struct redis_server *s); /* SIGKILL, and waits */
void redis_server_end(struct redis_server *s);  /* and removes the directory */

/* One command over a connection of its own; the caller frees the reply. An error reply fails, unless it begins with '!' in format. */
redisReply *ask(const struct redis_server *s, const char *format, ...);
/* The same, for its effect. */
void tell(const struct redis_server *s, const char *format, ...);
/* An integer reply, or the number of elements of an array, or -1 for nil. */
long long count_of(const struct redis_server *s, const char *format, ...);
bool answers(const struct redis_server *s, const char *expected, const char *format, ...);

/* A proxy on the test's loop. The first piece of a reply that holds `lose` is thrown away and its connection closed; then lose is NULL. */
struct proxy;
struct proxy *proxy_open(struct loop *l, const char *socket, const char *server_socket);
void proxy_lose(struct proxy *p, const char *lose);
bool proxy_has_lost(const struct proxy *p);
void proxy_close(struct proxy *p);

/* A folder of the test's own, with all that is in it. */
void folder_remove(const char *path);
