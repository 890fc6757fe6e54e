/*
 * Does: one line per event, key=value or JSON, to stdout. Events and their levels are the rows of log.def.
 * Does not: print secrets or content; callers never pass them. Values are escaped, so no peer can forge a line (BEHAVIOURS M09).
 * Owns: the output descriptor and its settings. Thread-safe: each thread gathers whole lines; no line is ever torn or mixed with another.
 * Fails: never; a line that cannot be written is dropped and counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_event {
#define LOG_EVENT(name, level, asks, help) LOG_##name,
#include "base/log.def"
#undef LOG_EVENT
    LOG_EVENT_COUNT
};

struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_SPAN, LOG_FIELD_NUMBER } kind;
    const char *text; /* NULL: the field is left out */
    size_t len;
    int64_t number;
};

/* Fields: F("msg", text), FS("reply", span), FN("size", number). */
#define F(key_, text_) ((struct log_field){.key = (key_), .kind = LOG_FIELD_TEXT, .text = (text_)})
#define FS(key_, span_) \
    ((struct log_field){.key = (key_), .kind = LOG_FIELD_SPAN, .text = (span_).at, .len = (span_).len})
#define FN(key_, number_) \
    ((struct log_field){.key = (key_), .kind = LOG_FIELD_NUMBER, .number = (int64_t) (number_)})
/* An errno as text: FE("error", -r). */
#define FE(key_, errno_) F(key_, log_errno_text(errno_))

void log_fields(enum log_event event, const struct log_field *fields, size_t count);
#define log_event(event_, ...)                                                                               \
    log_fields((event_), (const struct log_field[]){{.key = NULL}, ##__VA_ARGS__} + 1,                       \
               sizeof((const struct log_field[]){{.key = NULL}, ##__VA_ARGS__}) / sizeof(struct log_field) - \
                   1)
bool log_is_on(enum log_event event);
const char *log_errno_text(int error); /* positive errno */

/* node: what every line carries as node=. Keeps a copy. */
void log_setup(const char *node, enum log_level least, bool json);
/*
 * Writes what this thread has gathered: the loop calls it before it waits. Warnings and errors, 32 KiB of lines, and the end of the thread
 * or process do so by themselves.
 */
void log_flush(void);
void log_flush_all(void); /* of all threads: before the process ends, also by must() */
const char *log_event_name(enum log_event event);
const char *log_event_help(enum log_event event);
enum log_level log_event_level(enum log_event event);
bool log_event_asks(enum log_event event); /* for a person: docs/runbook.md */
const char *log_level_name(enum log_level level);
