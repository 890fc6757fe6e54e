/*
 * Does: a message's envelope (fixed at commit) and a job's state (what its attempts changed), as values.
 * Does not: encode them (cluster/wire.h) or reach the store.
 * Owns: all its strings and arrays; *_done() frees.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "mail/verdict.h"

enum content_coding {
    CODING_PLAIN,
    CODING_ZSTD, /* each chunk is one zstd frame, which needs no other */
    CODING_COUNT
};

/* NOTIFY of a recipient (RFC 3461 section 4.1), bits; 0: not said. NEVER stands alone. */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8, NOTIFY_ALL = 15 };
enum dsn_ret { RET_UNSAID, RET_FULL, RET_HDRS, RET_COUNT };    /* RFC 3461 section 4.3 */
enum by_mode { BY_NONE, BY_RETURN, BY_NOTIFY, BY_MODE_COUNT }; /* RFC 2852 section 4 */
enum { ENVID_MAX = 100, ORCPT_MAX = 500 };                     /* bytes of xtext, RFC 3461 section 4 */

struct recipient {
    char *addr;      /* local@domain as given by the client */
    uint32_t queue;  /* index into envelope.queues */
    uint32_t notify; /* NOTIFY_* */
    char *orcpt;     /* "rfc822;" and xtext, as given; NULL: not said */
};

struct envelope {
    struct id id;
    char *sender; /* "" for the null sender */
    struct recipient *recipients;
    size_t recipient_count;
    /* Distinct queues of the recipients in order of first use; child i + 1 of a fan-out works queues[i]. */
    char **queues;
    size_t queue_count;
    uint64_t arrival_ms; /* clock of Redis */
    uint64_t size_bytes; /* content as it will be sent, our Received included */
    uint32_t chunk_count;
    uint32_t content_partition; /* where the chunks are: b:{content_partition}:<content_job>:<i> */
    char *content_job;
    enum content_coding coding;
    uint64_t coded_bytes; /* sum of the chunks as they are stored; only when not plain */
    bool is_8bit;         /* BODY=8BITMIME was said */
    bool is_dsn;          /* made by a courier */
    bool is_parent;       /* to be expanded: job index 0 of a fan-out */
    bool keeps_content;   /* parent: children name its chunks (w) */
    char *client;         /* "helo [192.0.2.1]" for the story; "" for a DSN */
    /* What the client asked for with the message; all 0 and NULL when it asked for nothing. */
    char *envid; /* xtext, as given; NULL: not said */
    enum dsn_ret ret;
    bool is_utf8; /* SMTPUTF8 was said */
    bool
        has_utf8_header; /* with SMTPUTF8: a header field is not ASCII (RFC 6531 section 3.4); addresses tell for themselves */
    bool is_binary;      /* BODY=BINARYMIME was said (RFC 3030) */
    bool requires_tls;   /* REQUIRETLS was said (RFC 8689) */
    bool tls_optional;   /* its header says TLS-Required: No (RFC 8689 section 5) */
    uint64_t release_ms; /* not before (RFC 4865), clock of Redis; 0: at once */
    uint64_t by_ms;      /* delivered by (RFC 2852), clock of Redis; with by_mode */
    enum by_mode by_mode;
    bool by_trace;
    char *user, *tenant; /* who sent it; NULL: nobody logged in, no tenant */
    char *auth;          /* MAIL AUTH=, decoded, "" for <>; NULL: not said */
};

struct recipient_state {
    bool is_done;       /* delivered, or failed and reported; recorded */
    bool is_report_due; /* done, and that it was passed on is still to be told (NOTIFY=SUCCESS) */
    bool is_delay_told; /* the sender has heard that it is late */
    bool is_fresh;      /* decided in the attempt under way; not stored */
    /* Of the last attempt; VERDICT_NONE before it. Failed and not done: recorded by a note, not reported yet. */
    struct verdict last;
};

struct job_state {
    uint32_t attempts;
    uint64_t last_attempt_ms;           /* clock of Redis */
    struct recipient_state *recipients; /* as many as the envelope's */
    size_t recipient_count;
    bool is_past_hold;  /* a route held it once: released, it goes on */
    uint64_t past_rule; /* number of the standing rule that held it last; likewise. 0: none did */
    /* fan-out parent only */
    uint32_t cursor; /* children 1..cursor are made */
    uint32_t
        reached; /* children cursor + 1..reached are made, but for those in these lists, which ascend (children.h) */
    uint32_t *left;    /* not made: their part of the store was away */
    uint32_t *unknown; /* nobody answered whether they are made */
    size_t left_count, unknown_count;
    bool is_waiting; /* all made; the content waits for children */
    uint32_t rounds; /* times it has waited, for parts of the store, then for children */
};

void envelope_done(struct envelope *e);
void notify_add(uint32_t notify, struct buf *out);                  /* "SUCCESS,FAILURE"; 0 adds nothing */
uint64_t envelope_stored_bytes(const struct envelope *e);           /* sum of the chunks as they are stored */
void job_state_init(struct job_state *s, const struct envelope *e); /* nothing attempted */
void job_state_done(struct job_state *s);
/* The envelope of child i + 1: recipients and queue i only; content fields as the parent's. */
void envelope_child(const struct envelope *parent, size_t queue_index, struct envelope *ret_child);
