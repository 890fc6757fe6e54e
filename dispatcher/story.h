/*
 * Does: reads what the home partition knows of one message, for the status page: its history, its record, where it is; as JSON.
 * Does not: read content, or the partitions of a many-queue message's other jobs (baridctl trace does).
 * Owns: what it read, during the callback.
 * Fails: on_read with NULL: Redis did not answer within 5 s.
 */
#pragma once

#include "base/id.h"
#include "cluster/node.h"
#include "cluster/store.h"
#include "io/json.h"
#include "mail/envelope.h"

enum { STORY_LINES = 200, STORY_RECIPIENTS = 50 };
enum story_place { STORY_GONE, STORY_WAITING, STORY_CLAIMED, STORY_HELD };

struct story_line {
    uint64_t ms; /* clock of Redis */
    uint32_t job;
    char *event, *detail;
};

struct story {
    struct id id;
    char text[ID_TEXT_LEN + 1];
    struct story_line *lines; /* the newest, in order */
    size_t line_count;
    uint64_t left_out;          /* lines before them */
    bool is_denied;             /* this program's Redis user may not read it */
    bool is_there, is_readable; /* a record; its envelope and state */
    char *queue, *because;      /* because: why it is held; "" */
    struct envelope envelope;
    struct job_state state;
    enum story_place place;
    uint64_t score; /* waiting: due ms; claimed: incarnation of its courier; held: since ms */
};
typedef void story_on_read(void *context, const struct story *s);
void story_read(struct store *s, const struct id *id, story_on_read *on_read, void *context);
bool story_is_known(const struct story *s);
/* Pure. Addresses are shown as log.redact says. */
struct json *story_json(const struct story *s, const struct node_view *view, uint64_t redis_ms);
