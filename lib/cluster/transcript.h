/*
 * Does: what TRACE rules ask for: sessions that fit tell their dialogue into one capped stream in Redis (KEY_DIALOG), in batches.
 * Does not: mask secrets (mail/dialog.h, in the engines), nor read the stream (ctl/verb_protocol_trace.c).
 * Owns: its copies of the rules; a batch under way, and what a session said before it fitted.
 * Fails: never, and holds nobody up: lines above the rate, and those that Redis did not take, are left out, and their number is told.
 * See: rule.def (TRACE); docs/flow.md section 6.
 */
#pragma once

#include <stdbool.h>

#include "cluster/rule.h"
#include "cluster/store.h"
#include "mail/dialog.h"

enum {
    TRACES_MAX = 8,                /* obeyed at once; baridctl gives no more */
    TRANSCRIPT_RATE = 200,         /* lines a second of one node */
    TRANSCRIPT_STREAM_MAX = 20000, /* entries, about */
    TRANSCRIPT_KEPT_MAX = 8192,    /* octets of a session's dialogue before it fits */
};
#define TRANSCRIPT_STREAM_MS UINT64_C(60000) /* the stream is gone so long after its last line */

/* ---- of a loop: one for each thread that has sessions */

struct transcripts;
/* rate: lines a second. */
struct transcripts *transcripts_open(struct store *s, const char *node, unsigned rate);
struct transcripts *transcripts_close(struct transcripts *t); /* always NULL; before the store */
/* The rules in force are these now. True: some ask for dialogues; until then no session needs a transcript. */
bool transcripts_take(struct transcripts *t, const struct rules *rules);

/* ---- of a session */

struct transcript;
/* session: its name in the lines. */
struct transcript *transcript_open(struct transcripts *t, const char *session);
struct transcript *transcript_close(struct transcript *tr); /* always NULL; NULL is harmless */
struct dialog *transcript_dialog(struct transcript *tr);    /* what the engine tells it by */
/*
 * More is known of the session. From the first time that a rule fits, all of it is told, what was kept of its beginning first, to its end.
 * subject->queue "": not known yet; host: that we connected to, NULL: a client came to us.
 */
void transcript_judge(struct transcript *tr, const struct rule_subject *subject, const char *host);
/* No rules have come since it was judged. */
bool transcript_is_judged(const struct transcript *tr);
