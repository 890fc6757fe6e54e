/*
 * Does: writes down what an engine tells of its dialogue (mail/dialog.h), as lines "< EHLO client.example", and says what is among them.
 * Does not: more than one engine at a time: there is one ear in a test program.
 * Owns: what was told, until ear_forget().
 * Fails: ear_must_have() and ear_must_not_have() fail the test.
 */
#pragma once

#include "mail/dialog.h"
#include "tests/unit/mail/mail_test.h"

struct ear {
    struct dialog dialog;
    struct buf told;
};

static inline void ear_hear(struct dialog *d, enum dialog_side side, struct span line)
{
    struct ear *e = CONTAINER_OF(d, struct ear, dialog);

    buf_printf(&e->told, "%c %.*s\n", (char) side, SPAN_ARG(line));
}

static struct ear ear = {.dialog = {.on_line = ear_hear}};

static inline void ear_forget(void)
{
    buf_done(&ear.told);
}

static inline bool ear_has(const char *text)
{
    return ear.told.len > 0 && memmem(ear.told.data, ear.told.len, text, strlen(text));
}

static inline void ear_must_have(const char *text)
{
    if (!ear_has(text))
        fail_msg("not told: %s in\n%.*s", text, (int) ear.told.len, ear.told.data);
}

static inline void ear_must_not_have(const char *text)
{
    if (ear_has(text))
        fail_msg("told: %s in\n%.*s", text, (int) ear.told.len, ear.told.data);
}
