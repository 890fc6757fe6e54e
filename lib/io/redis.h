/*
 * Does: requests to one Redis over several connections of our own: TLS, AUTH, bounded windows, deadlines, jittered reconnect, WAIT for replicas,
 *       three-valued results.
 * Does not: repeat anything, nor know keys, scripts or durability (cluster/store.h does).
 * Owns: connections and queued bytes; a request belongs to its caller until its on_done.
 * Fails: REDIS_UNKNOWN: no reply, it may or may not have been executed. It is given only when the connection is proven dead
 *        (its successor has sent CLIENT KILL ID for it, or the server process is another one) or the request's own time is over.
 * Calls: hiredis' reader, named in redis_reply.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/tls.h"

enum redis_type { REDIS_NIL, REDIS_STRING, REDIS_STATUS, REDIS_INTEGER, REDIS_ARRAY, REDIS_ERROR_REPLY };

struct redis_value {
    enum redis_type type;
    int64_t integer;
    struct span text; /* STRING, STATUS, ERROR_REPLY */
    const struct redis_value *items;
    size_t count;
};

enum redis_result { REDIS_OK, REDIS_UNKNOWN };

struct redis;
struct redis_request {
    struct buf bytes; /* one or more whole commands, RESP encoded; kept, so that it can be submitted again */
    unsigned reply_count; /* how many commands that is */
    size_t
        reply_bytes; /* about what the replies take, 0: little; large ones are spread over the connections */
    uint64_t give_up_ms; /* clock_ms() at which it becomes REDIS_UNKNOWN in any case, sent or not; 0: never */
    /* Ends only when WAIT told how many replicas hold it, and all that was before it: for what writes or must be confirmed. */
    bool is_held;
    /* values: reply_count of them for REDIS_OK (error replies are values), valid during the call only. The request may be submitted again or freed here. */
    void (*on_done)(struct redis_request *r, enum redis_result result, const struct redis_value *values);
    uint64_t sent_ms;                  /* clock_ms() when it was sent: what a reply confirms */
    unsigned replicas, replicas_asked; /* how many hold it, of how many; only if it is_held */
    /* private */
    struct list link;
    struct redis_connection *connection;
    struct redis_value *values;
    unsigned values_seen;
    uint64_t sent_us;
};

struct redis_settings {
    /* Texts are borrowed for redis_open() only, tls and on_... as long as it is open. */
    const char *address; /* "host:port", a name being looked up anew for each connection, or "unix:/path" */
    struct tls_client *tls; /* NULL: plain */
    const char *
        tls_name; /* which the certificate must have, a DNS name or an IP address; NULL or "": the host of address */
    const char *user,
        *password; /* AUTH before all else; password NULL or "": none; user NULL or "": Redis' default one */
    /* One WAIT for so many replicas follows each batch with held requests; 0: none. wait_ms must be less than timeout_ms. */
    unsigned replicas;
    uint64_t wait_ms;
    /*
     * Appends one command that writes, whatever there is (NULL: none): it goes before WAIT. Behind what wrote nothing, who was cut off from its
     * replicas would answer WAIT with what they had before. An error reply to it is no replica, and is told.
     */
    void (*fence)(void *owner, struct buf *command);
    void (*on_fence_refused)(void *owner, struct span error);
    unsigned connections;
    unsigned window;     /* requests under way per connection */
    uint64_t timeout_ms; /* a reply owed for longer ends the connection */
    /* Sent first on every new connection, after CLIENT ID and INFO server; NULL for none. */
    void (*greet)(void *owner, struct redis_request *greeting);
    /* Judges the greeting's replies: 0 makes the connection usable; else it is closed and tried again later. */
    int (*on_greeted)(void *owner, const struct redis_value *values, unsigned count);
    void (*on_up)(void *owner);                       /* first usable connection */
    void (*on_down)(void *owner, const char *reason); /* last one lost */
    /* A new connection failed before it was usable, by address, network, TLS or login: why, and what to do. For each; owners tell news only. */
    void (*on_refused)(void *owner, const char *reason);
    void *owner;
};

int redis_open(struct loop *l, const struct redis_settings *settings,
               struct redis **ret_redis); /* -EINVAL: address */
/* Connections that are made from now on use it; those that stand stay. Both or neither are NULL. */
void redis_use_tls(struct redis *r, struct tls_client *tls);
/* So many replicas must hold what is held from now on; only where settings.replicas is not 0, and never 0. */
void redis_use_replicas(struct redis *r, unsigned replicas);
/* All requests end as REDIS_UNKNOWN, within the call; what is submitted again there is not taken. Always NULL. */
struct redis *redis_close(struct redis *r);
/* Queued if no connection has room; sent in order of submission, spread over connections. Gathered per round. */
void redis_submit(struct redis *r, struct redis_request *request);
/* Withdraws a request that was never sent; false: it is under way and will end by on_done. */
bool redis_withdraw(struct redis *r, struct redis_request *request);
bool redis_is_up(const struct redis *r);
/* The last connection failed by TLS or login: only who runs it can mend that. For on_refused. */
bool redis_refuses(const struct redis *r);
unsigned redis_connections_up(const struct redis *r);
size_t redis_waiting(const struct redis *r);            /* queued and not sent */
void redis_request_done(struct redis_request *request); /* frees its bytes */

/* RESP encoding. */
void resp_command(struct buf *b, size_t arg_count);
void resp_arg(struct buf *b, struct span arg);
void resp_arg_text(struct buf *b, const char *arg);
void resp_arg_number(struct buf *b, int64_t n);
/* The text of a string or status, {NULL,0} for anything else; an integer that may come as text (-EINVAL). */
struct span redis_text(const struct redis_value *v);
int redis_number(const struct redis_value *v, int64_t *ret_number);
bool redis_is_text(const struct redis_value *v, const char *text);
