/*
 * Does: collects what doctor finds: each with how bad it is, and what to do.
 * Does not: look for it (doctor_*.c).
 * Owns: the findings' texts, until diagnosis_done().
 * Fails: never.
 */
#pragma once

#include "base/buf.h"

enum severity {
    SEVERITY_GOOD,   /* looked at, and as it should be */
    SEVERITY_ADVICE, /* it works, and could be better; or it could not be looked at from here */
    SEVERITY_WRONG,  /* it does harm now, or will */
};
struct diagnosis_row {
    enum severity severity;
    const char *about; /* "clocks" */
    char *text, *remedy;
};
struct diagnosis {
    struct diagnosis_row *rows;
    size_t count;
    enum severity worst;
};
const char *severity_name(enum severity severity);
/* remedy: what to do, a sentence; "" for what is good. */
void diagnose(struct diagnosis *d, enum severity severity, const char *about, const char *remedy,
              const char *format, ...) __attribute__((format(printf, 5, 6)));
void diagnosis_done(struct diagnosis *d);
