/*
 * Does: what submit.c (life, commit, answer), submit_content.c (content on its way) and submit_envelope.c (who gets it) share.
 * Does not: concern anybody else; submit.h is the contract.
 * Owns: see submit.h.
 * Fails: see submit.h.
 */
#pragma once

#include "base/id.h"
#include "cluster/queue.h"
#include "cluster/spool.h"
#include "ingress/submit.h"

/* COLLECTING -> FINISHING (last chunks on their way) -> COMMITTING -> (REVOKING ->) ANSWERED. DROPPED from the first two. */
enum submission_state {
    SUBMISSION_COLLECTING,
    SUBMISSION_FINISHING,
    SUBMISSION_COMMITTING,
    SUBMISSION_REVOKING,
    SUBMISSION_ANSWERED,
    SUBMISSION_DROPPED,
};

struct submission {
    struct reactor *reactor;
    struct list link;
    enum submission_state state;
    struct submission_events events;
    void *owner; /* NULL: the session has gone */
    struct ip ip;
    char *ip_text;
    char *client_name; /* NULL: not known */
    char *helo;
    char *session;
    char *tls, *mechanism; /* NULL: none */
    const char *listener;
    bool is_esmtp;
    struct envelope envelope;
    unsigned partition;
    char job[JOB_TEXT_MAX + 1];
    struct buf part;        /* content not yet handed to the store */
    size_t received_bytes;  /* of it, our Received; 0 once the first chunk has gone */
    uint64_t content_bytes; /* as the client sent it */
    uint64_t size_bytes;    /* all in all */
    uint64_t stored_bytes;  /* of that, as handed to the store */
    uint64_t held_bytes;    /* counted as unstored */
    uint64_t aside_bytes;   /* held by the owner */
    uint32_t chunk_count;   /* handed to the store */
    unsigned writing;       /* of these, not yet confirmed */
    unsigned pending;       /* callbacks of the store to come, of any kind */
    unsigned clashes;
    bool wants_room;
    bool is_all_body;          /* an empty line was put behind our Received */
    enum spool_result trouble; /* of the first chunk that failed */
    int64_t clock_offset_ms;   /* when the commit began */
    uint64_t dot_us;
    struct timer timer; /* COLLECTING: refresh; COMMITTING: look at the clocks */
};

/* Recipients, queues, partition and id. */
void submission_address(struct submission *s, const struct smtp_transaction *t,
                        const struct submission_client *client);
uint64_t submission_delay_ms(const struct submission *s); /* until it is first due */
void submission_new_id(struct submission *s);
const char *submission_queue(const struct submission *s); /* that the job is committed to */

/* Puts Received at the start of part, which is empty. */
void submission_add_received(struct submission *s);
/* The next chunk as it will be stored: packed (in `packed`, to be kept as long) or as it is. The first one decides how. */
struct span submission_pack(struct submission *s, struct span chunk, struct buf *packed);
/* Hands what is left to the store as the last chunk, if any chunk went before. */
void submission_spool_rest(struct submission *s);
void submission_release(struct submission *s); /* its content is no longer held in memory */
void submission_discard(struct submission *s); /* chunks that no commit will need */
void submission_spooled(struct submission *s); /* in submit.c: a chunk was confirmed, or failed */
void submission_unref(struct submission *s);   /* in submit.c: a callback of the store came back */
void submission_wait_room(struct reactor *r);
