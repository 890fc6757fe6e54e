/*
 * Does: tells an SMTP session line by line to who listens, as printable text: secrets masked, content as a number of octets.
 * Does not: know sessions, or where the lines go (cluster/transcript.h). An engine without one (NULL) makes none of these calls.
 * Owns: nothing.
 * Fails: never.
 * See: ingress/smtp_server.c, courier/smtp_client.c; BEHAVIOURS D12.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum dialog_side { DIALOG_HEARD = '<', DIALOG_SAID = '>', DIALOG_NOTE = '*' };
enum { DIALOG_LINE_MAX = 512 }; /* octets of a line that are told; each is at most four when it is escaped */

struct dialog {
    /* line: no line end, no byte outside of 0x20 to 0x7e. */
    void (*on_line)(struct dialog *d, enum dialog_side side, struct span line);
    size_t from; /* the engine's: where in its output the call began */
    /* private */
    uint64_t content; /* octets that were not told yet */
    enum dialog_side content_side;
};

/*
 * A command without its line end. What is no command (is_known false) is not told: it could be a password at the wrong prompt. Of AUTH the
 * mechanism is told, of XCLIENT no LOGIN.
 */
void dialog_command(struct dialog *d, enum dialog_side side, struct span line, bool is_known);
/* Whole lines of known commands. */
void dialog_commands(struct dialog *d, enum dialog_side side, struct span lines);
/* A line of an exchange that AUTH began: "***". */
void dialog_secret(struct dialog *d, enum dialog_side side);
/* Whole lines of replies; a challenge (334) is told without its text. */
void dialog_replies(struct dialog *d, enum dialog_side side, struct span lines);
/* Octets of content: their number is told before the next line. */
void dialog_content(struct dialog *d, enum dialog_side side, uint64_t octets);
/* What happened: TLS, the end. */
void dialog_note(struct dialog *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
