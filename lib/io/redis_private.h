/*
 * Does: what redis.c (queue, spread, expiry), redis_connection.c (one connection's life) and redis_hello.c (its first steps) share.
 * Does not: concern anybody else: redis.h is the contract.
 * Owns: see redis.h.
 * Fails: see redis.h.
 */
#pragma once

#include "base/mem.h"
#include "io/lookup.h"
#include "io/redis.h"
#include "io/redis_reply.h"
#include "io/stream.h"

enum { RUN_ID_MAX = 64 };

enum connection_state {
    CONNECTION_DOWN,    /* waits for its next try */
    CONNECTION_OPENING, /* connect, or the TLS handshake, is under way */
    CONNECTION_HELLO,   /* AUTH, CLIENT ID and INFO server are under way */
    CONNECTION_KILL,    /* CLIENT KILL ID of the predecessor is under way */
    CONNECTION_GREET,   /* the owner's greeting is under way */
    CONNECTION_UP,
    CONNECTION_ENDING, /* given up; on_closed is still to come */
};

/* One life of a connection, as the server knows it. */
struct life {
    int64_t client_id;
    char run_id[RUN_ID_MAX + 1];
};

struct redis_connection {
    struct redis *redis;
    enum connection_state state;
    struct stream *stream;
    struct reply_reader *reader;
    struct list under_way; /* in order of sending */
    unsigned count;
    struct list held;   /* of one batch: they have their values, and WAIT's reply is still to come */
    uint64_t waited_ms; /* when the last one came */
    struct list
        limbo; /* sent on the life before: not known, and not yet proven that they will never be executed */
    struct life life;
    struct life before; /* client_id 0: nothing to kill */
    struct redis_request own;
    struct redis_request greeting;
    struct timer retry;
    struct lookup *lookup; /* of the host's name, before the stream */
    uint64_t retry_ms;
    const char *fault; /* why it is being given up */
    bool has_been_up;  /* in this life */
    char *refusal;     /* what the server said to our first steps, or NULL */
};

struct redis {
    struct loop *loop;
    struct redis_settings settings;
    char *host; /* a name to be looked up for each connection, or NULL: ip or path is set */
    struct ip ip;
    uint16_t port;
    char *path;                       /* of a unix socket, or NULL */
    char *user, *password, *tls_name; /* NULL: none */
    struct redis_connection *connections;
    unsigned up;
    struct list waiting; /* never sent */
    size_t waiting_count;
    struct list expired; /* about to be told REDIS_UNKNOWN */
    struct tail dispatch;
    struct tail funeral;
    struct timer tick;
    bool is_closed;
    bool refuses;       /* us, by TLS or login: so the last connection ended that was never up */
    unsigned mute_ends; /* connections in a row that it closed without a word, as a port for TLS does */
};

/* ---- redis_connection.c */
void redis_connection_init(struct redis_connection *c, struct redis *r);
void redis_connection_open(struct redis_connection *c);
bool redis_connection_has_room(const struct redis_connection *c);
/* Sends requests from the head of the waiting list, as many as make a good write. */
void redis_connection_take(struct redis_connection *c);
/* Resets the connection; on_closed sees to the rest. fault: a literal. */
void redis_connection_give_up(struct redis_connection *c, const char *fault);
/* Moves requests whose time is over to the redis' expired list; placeholders await their replies. */
void redis_connection_expire(struct redis_connection *c, uint64_t now_ms);
/* For the end: no more tries, and everything under way moves to the expired list. */
void redis_connection_end(struct redis_connection *c);

void redis_connection_send(struct redis_connection *c, struct redis_request *request, uint64_t now_us);
/* What was in limbo can no longer be executed: its owners are told. */
void redis_connection_resolve_limbo(struct redis_connection *c);

/* ---- redis_hello.c */
/* Events of the stream. */
void redis_hello_connected(void *owner);
void redis_hello_secured(void *owner);
/* An error reply to our own first commands; the very first bytes. */
void redis_hello_error(struct redis_connection *c, struct span error);
void redis_hello_first_bytes(struct redis_connection *c, struct span in);
/* Why a connection that was never up has ended; NULL when its owner knows. For on_closed, with its reason. */
char *redis_refusal_of(struct redis_connection *c, int reason);

/* ---- redis.c */
/* Takes the request out of its list and tells its owner. */
void redis_finish(struct redis_request *request, enum redis_result result, const struct redis_value *values);
/* There may be room, or something to expire. */
void redis_stir(struct redis *r);
void redis_connection_up(struct redis *r);
void redis_connection_down(struct redis *r, const char *reason);
void redis_connection_refused(struct redis *r, const char *reason);
/* After a connection's stream is gone. */
void redis_connection_gone(struct redis *r);
