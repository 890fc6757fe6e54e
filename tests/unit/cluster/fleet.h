/*
 * Does: Redis servers on TCP ports of their own, as Sentinels, as nodes of a Redis Cluster, as replicas; and a false one that answers as it is told.
 * Does not: touch any other server.
 * Owns: processes, ended by their pids, directories, the false servers' threads.
 * Fails: by must(): a test without its servers proves nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"

struct fleet_server {
    int pid;
    uint16_t port;
    char address[32]; /* 127.0.0.1:port */
    char dir[64];
    bool is_frozen;
};

/* arguments: ended by NULL. A server that was started before starts again on the same port and data. */
void fleet_start(struct fleet_server *s, const char *const *arguments);
void fleet_start_replica(struct fleet_server *s, const struct fleet_server *of);
void fleet_start_sentinel(struct fleet_server *s, const struct fleet_server *primary, const char *master);
void fleet_start_node(struct fleet_server *s); /* of a Redis Cluster, without slots */
void fleet_kill(struct fleet_server *s);       /* SIGKILL, and waits; none: nothing */
void fleet_freeze(struct fleet_server *s);
void fleet_thaw(struct fleet_server *s);
void fleet_end(struct fleet_server *s); /* and removes the directory */

/* One command; the caller frees the reply, which may be an error. */
redisReply *fleet_ask(const struct fleet_server *s, const char *format, ...);
void fleet_tell(const struct fleet_server *s, const char *format, ...); /* an error fails */
bool fleet_says(const struct fleet_server *s, const char *words,
                const char *command); /* a text with the words */

/* `count` nodes share all slots evenly; waits until all agree. */
void fleet_make_cluster(struct fleet_server *nodes, size_t count);
void fleet_node_id(const struct fleet_server *s, char ret_id[static 41]);

/*
 * A false server: says whatever the first row says whose words begin a command ("CLUSTER SLOTS"), as RESP; a row of NULL ends them. What no row
 * says is answered as a good primary of a Redis Cluster that has all slots. reply NULL: no answer at all.
 */
struct lie {
    const char *words, *reply;
};
struct liar {
    uint16_t port;
    char address[32];
    unsigned commands; /* heard so far, of EVALSHA, GET, SET, UNLINK and SENTINEL */
    const struct lie *lies;
    struct liar_private *private;
};
void liar_start(struct liar *l, const struct lie *lies);
void liar_end(struct liar *l);
struct span fleet_script_hash(
    struct span text); /* of a script of ours, as Redis would call it; fleet_script.c */
