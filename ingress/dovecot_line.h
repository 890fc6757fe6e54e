/*
 * Does: one line of Dovecot's auth service as values.
 * Does not: know which requests there are, or in which order lines may come (dovecot.c).
 * Owns: challenge and user, until dovecot_line_done().
 * Fails: -EBADMSG: not of the protocol; then the connection is not to be trusted any more.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

enum { DOVECOT_LINE_MAX = 16384 };

enum dovecot_word {
    DOVECOT_VERSION,
    DOVECOT_MECH,
    DOVECOT_DONE,
    DOVECOT_CONT,
    DOVECOT_OK,
    DOVECOT_FAIL,
    DOVECOT_OTHER, /* what newer ones say besides */
};
struct dovecot_line {
    enum dovecot_word word;
    uint32_t id;           /* CONT, OK, FAIL */
    uint32_t major;        /* VERSION */
    struct span mechanism; /* MECH: in the line */
    struct buf challenge;  /* CONT: decoded */
    struct buf user;       /* OK, FAIL: unescaped; empty: not told */
    bool is_temporary;     /* FAIL: not the client's fault */
};
/* line: without its line feed. *ret_line is to be done with in any case. */
int dovecot_line_parse(struct span line, struct dovecot_line *ret_line);
void dovecot_line_done(struct dovecot_line *l);

/* A parameter's value: what would end it is escaped. */
void dovecot_add_escaped(struct buf *out, struct span value);
