/*
 * Does: the SMTP server side of a sink: takes everything that its rules let pass. Bytes in, bytes out; no I/O. Light on purpose: content is
 *       searched for its end and its id, nothing else.
 * Does not: check addresses, limit sizes, or relay: it is for demos, tests and benches.
 * Owns: its session's state.
 * Fails: never; what it does not understand is answered 500.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ctl/sink_rule.h"

struct sink_message {
    struct span helo, sender, recipients; /* recipients: each ended by '\n' */
    size_t recipient_count;
    struct span id;      /* X-Ledger-Id, else Message-ID, without spaces around; empty: it has none */
    uint64_t size_bytes; /* of the content as it came, without the final dot */
    struct span content; /* dots unstuffed; empty unless it is wanted */
};

struct sink_counts {
    uint64_t connections, messages, recipients, bytes, deferred, rejected, stalled, dropped;
};

struct sink {
    struct sink_rules rules;
    struct sink_counts counts;
    bool keeps_content;
    bool offers_tls;
    void (*on_message)(void *owner, const struct sink_message *m); /* just before its 250 */
    void *owner;
};

struct sink_session {
    struct sink *sink;
    struct buf out; /* to be sent; the driver takes it */
    struct buf helo, sender, recipients;
    size_t recipient_count;
    bool has_sender, is_in_data, at_start, is_after_cr;
    struct buf header, content;
    bool is_header_over;
    uint64_t size_bytes;
    bool
        is_tls_next; /* 220 to STARTTLS was said: the driver starts it, and tells by sink_session_secured() */
    bool is_secured;
    bool is_stalled; /* nothing is read or said any more */
    bool is_dropped; /* close at once, unsaid */
    bool is_over;    /* close after what is to be said */
};

void sink_session_init(struct sink_session *s, struct sink *sink); /* says the greeting */
void sink_session_done(struct sink_session *s);
void sink_session_secured(struct sink_session *s);
/* Returns how many bytes were consumed; the rest comes again with more. */
size_t sink_session_feed(struct sink_session *s, struct span in);
