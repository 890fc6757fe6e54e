/*
 * Does: what the files of a session share: session.c (stream and engine), session_start.c (from accept to greeting), session_ask.c (what the
 *       engine asks), session_content.c (content to the store), session_login.c (AUTH, the user), session_log.c (its lines), session_trace.c (its dialogue, where an operator watches).
 * Does not: concern anybody else; session.h is the contract.
 * Owns: see session.h.
 * Fails: see session.h.
 */
#pragma once

#include "base/list.h"
#include "base/mem.h"
#include "ingress/admission.h"
#include "ingress/reactor.h"
#include "ingress/session.h"
#include "ingress/submit.h"
#include "io/stream.h"

enum { SESSION_MAGIC = 0x5e5510, SESSION_ID_MAX = 36, IP_TEXT_MAX = 64 };

struct login; /* AUTH, under way or done: session_login.c */

struct session {
    unsigned magic;
    bool is_serving : 1;      /* inside session_advance(): answers come back to it */
    bool is_waiting : 1;      /* for an answer that comes by session_resume() */
    bool is_finished : 1;     /* its last words are on their way */
    bool is_shaking : 1;      /* TLS has begun and is not there yet */
    bool is_health_check : 1; /* the balancer itself: counts for nothing */
    bool is_counted : 1;      /* by client.c */
    bool is_charged : 1;      /* for a connection, by the rates */
    bool has_spoken : 1;      /* before our greeting */
    bool has_separator : 1;   /* the content is all body, and was told so */
    bool has_bad_from : 1;    /* its From is not the user's */
    struct reactor *reactor;
    struct list link;
    struct stream *stream;
    struct submission *submission;
    struct fixup *fixup;         /* of the content under way; NULL: it passes as it is */
    struct admission *admission; /* a question under way */
    struct login *login;         /* NULL: AUTH was not said */
    struct limit_hold *hold;     /* its place among those that are limited */
    struct admission_client who; /* its service, its address, its user */
    struct smtp_server engine;
    uint64_t errors_told;
    uint64_t deadline_ms; /* as told to the stream */
    char id[SESSION_ID_MAX];
    char client_text[IP_TEXT_MAX];
    struct transcript *transcript; /* NULL: nobody has watched it; else engine.dialog is its */
    char *client_name;             /* as XCLIENT told it; NULL: not known */
};

/* ---- session.c */
struct session *session_check(void *owner);
void session_answer(struct session *s, const struct smtp_answer *a);
void session_go_on(struct session *s);
/* An answer came late: the engine takes input again, perhaps. */
void session_resume(struct session *s);
/* Where the engine writes, and its clock. */
struct buf *session_output(struct session *s, uint64_t *ret_now_ms);
/* After whatever happened: send, close, wait. */
void session_settle(struct session *s);
/* Answers what can be answered at once. True: the engine takes input again. */
bool session_advance(struct session *s);
size_t session_on_data(void *owner, struct span in);
void session_on_drained(void *owner);
bool session_on_timeout(void *owner);
void session_on_closed(void *owner, int reason);

/* ---- session_start.c */
size_t session_on_early_data(struct session *s);
bool session_has_tls(const struct session *s); /* false: it cannot be had now */
void session_start_tls(struct session *s);
void session_on_secured(void *owner);
void session_set_client(struct session *s, const struct ip *ip);
void session_set_rights(struct session *s); /* what the engine is told of the client */
/* Counts it for the client it has now. False: that is one too many. */
bool session_enter(struct session *s);
void session_leave(struct session *s);

/* ---- session_ask.c: each answers the engine at once, or later */
void session_serve_sender(struct session *s);
void session_serve_recipient(struct session *s);
void session_serve_tls(struct session *s);
void session_serve_handshake(struct session *s);
void session_serve_xclient(struct session *s);

/* ---- session_content.c */
void session_serve_body(struct session *s);
void session_serve_content(struct session *s);
void session_serve_drop(struct session *s);
void session_serve_commit(struct session *s);
void session_drop_content(
    struct session *s); /* what is under way; a message behind its dot goes on without us */

/* ---- session_login.c */
void session_serve_auth(struct session *s);
/* The session's user may have changed: true: it is looked up, and session_resume() comes. */
bool session_looks_up_user(struct session *s);
const char *session_mechanism(const struct session *s); /* NULL: nobody logged in */
void session_stop_auth(struct session *s); /* the exchange under way, and what was asked about the user */
void session_logout(struct session *s);

/* ---- session_trace.c: its dialogue, told to operators who watch */
/* Only where reactor.is_traced: it is watched from here on, or judged by rules that have come since. */
void session_trace(struct session *s);
/* These cost a comparison where it is not watched. Its sender or recipient is known; TLS is there; it is over. */
void session_trace_address(struct session *s);
void session_trace_secured(struct session *s);
void session_trace_closed(struct session *s, const char *how);

/* ---- session_log.c */
void session_set_id(struct session *s);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", NULL when plain; valid as long as room. */
enum { TLS_TEXT_MAX = 96 };
const char *session_tls_text(const struct session *s, char room[static TLS_TEXT_MAX]);
void session_tell_connected(const struct session *s);
void session_tell_limit(const struct session *s, const char *why);
void session_tell_closed(struct session *s, int reason);
/* One line for each command refused: what was said to it, and the command unless it was content or a secret. */
void session_tell_refusal(struct session *s, struct span command, struct span reply);
