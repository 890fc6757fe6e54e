/*
 * Does: takes one message into the queue: collects its content, spools what is above one chunk while it arrives, commits, rings. Its answer is the 250 point.
 * Does not: speak SMTP, or decide whether the message is wanted.
 * Owns: the message until it is committed or dropped. It outlives its session when the client goes after the dot (BEHAVIOURS A14).
 * Fails: in the answer: 451 unknown or refused by the store, 452 full. 250 only for a confirmed commit (DESIGN.md, invariant 1).
 * See: PROTOCOL.md "Accepting".
 */
#pragma once

#include "ingress/reactor.h"
#include "ingress/smtp_server.h"
#include "mail/envelope.h"

struct submission;

/* Who sends it. Texts are copied, but for the listener's name. */
struct submission_client {
    const char *sender; /* as the tables have it; "": null */
    struct ip ip;
    const char *ip_text;
    const char *client_name; /* NULL: not known */
    const char *helo;
    bool is_esmtp;
    const char *tls;           /* version and cipher; NULL: plain */
    const char *user, *tenant; /* NULL: nobody logged in, no tenant */
    const char *mechanism;     /* of AUTH */
    const char *listener;      /* its name */
    const char *session;       /* its id, for the log */
};

struct submission_events {
    void (*on_room)(void *owner); /* after submission_has_room() said no */
    void (*on_answer)(void *owner,
                      const struct smtp_answer *answer); /* to the commit; the submission is gone after it */
};

/* For a transaction that is complete: partition, id and Received are fixed now. */
struct submission *submission_new(struct reactor *r, const struct smtp_transaction *t,
                                  const struct submission_client *client,
                                  const struct submission_events *events, void *owner);
void submission_add(struct submission *s, struct span content); /* copied */
/* The content begins with its body: our Received needs an empty line behind it. To be said before 1,100 bytes or the commit. */
void submission_starts_with_body(struct submission *s);
/*
 * So many bytes of it the owner holds himself for now. False: with those of all others they are more than half of ingress.max_unstored; what
 * comes is not kept any more, and the commit will be answered 452. Nobody is made to wait for it: who holds them need not ever send the rest.
 */
bool submission_set_aside(struct submission *s, size_t bytes);
/* The header section has bytes above ASCII: to be said before the commit. */
void submission_has_8bit_header(struct submission *s);
/* Its header says TLS-Required: No: to be said before the commit; REQUIRETLS goes before it (RFC 8689 section 5). */
void submission_tls_is_optional(struct submission *s);
/* "<id@our.name>", for a message that has none. */
enum { MESSAGE_ID_MAX = 300 };
void submission_message_id(const struct submission *s, char ret_text[static MESSAGE_ID_MAX]);
/* Whether more content may be read now; if not, on_room comes. */
bool submission_has_room(struct submission *s);
/* The content is whole. on_answer comes, maybe inside the call. */
void submission_commit(struct submission *s);
/* The owner goes: after submission_commit() the message is kept and nobody is told, before it the message is forgotten. Always NULL. */
struct submission *submission_leave(struct submission *s);
