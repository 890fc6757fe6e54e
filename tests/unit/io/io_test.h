/* What the tests of io/ share: a loop with a guard, the usual includes. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/stream.h"

/* The loop of the test; a test that hangs ends after 20 s with a failure. */
extern struct loop *loop;
int loop_setup(void **state);
int loop_teardown(void **state);
void loop_go(void); /* until loop_stop() */

struct ip loopback(void);
bool buf_is(const struct buf *b, const char *text);

/* A real redis-server on a free port and a unix socket, in a directory of its own. */
struct redis_server {
    int pid;
    uint16_t port;
    char dir[64];
    char address[32];        /* host:port */
    char unix_address[96];   /* unix:/path */
    const char *options[40]; /* more arguments of its command line, set before it starts; NULL ends them */
};
/* Starts it and waits until it takes connections; the same struct again: on the same port. */
void redis_server_start(struct redis_server *s);
uint16_t free_port(void);
void redis_server_kill(struct redis_server *s, int signal);
void redis_server_end(struct redis_server *s); /* and removes the directory */
