/* Stored records: one byte version, four bytes checksum, protobuf (proto/mail.proto); job states and stats. Envelopes: wire_envelope.c. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "io/hash.h"
#include "proto/mail.pb-c.h"

/* Ranges of what comes back from the store (BEHAVIOURS M06): far above what is ever written, far below what could harm. */
enum {
    RECORD_VERSION = 1,
    RECORD_HEAD_BYTES = 5,
    VERDICT_WORDS_MAX = 16384,
    VERDICT_REMOTE_MAX = 1024,
    STATS_TEXT_MAX = 512,
    POOLS_TEXT_MAX = 16384,
    SETTINGS_TEXT_MAX = 2048,
    CODE_MAX = 999,
};
static const uint64_t capacity_max = 1000000000;

/* ---- around each record ---- */

void record_put_as(uint8_t version, const ProtobufCMessage *message, struct buf *out)
{
    size_t from = out->len;
    memset(buf_reserve(out, RECORD_HEAD_BYTES), 0, RECORD_HEAD_BYTES);
    buf_commit(out, RECORD_HEAD_BYTES);
    wire_pack(message, out);
    char *at = out->data + from;
    size_t len = out->len - from - RECORD_HEAD_BYTES;
    must(len <= RECORD_MAX_BYTES);
    uint32_t sum = hash32((struct span){.at = at + RECORD_HEAD_BYTES, .len = len});
    at[0] = (char) version;
    for (unsigned i = 0; i < 4; i++)
        at[1 + i] = (char) (uint8_t) (sum >> 8 * i);
}

void record_put(const ProtobufCMessage *message, struct buf *out)
{
    record_put_as(RECORD_VERSION, message, out);
}

int record_get_to(uint8_t newest, struct span in, const ProtobufCMessageDescriptor *descriptor,
                  struct arena *a, void **ret_message)
{
    arena_init(a, arena_budget(in.len));
    if (in.len < RECORD_HEAD_BYTES || in.len > RECORD_MAX_BYTES)
        return -EBADMSG;
    uint32_t sum = 0;
    for (unsigned i = 0; i < 4; i++)
        sum |= (uint32_t) (uint8_t) in.at[1 + i] << 8 * i;
    struct span body = {.at = in.at + RECORD_HEAD_BYTES, .len = in.len - RECORD_HEAD_BYTES};
    if (hash32(body) != sum)
        return -EBADMSG;
    uint8_t version = (uint8_t) in.at[0];
    if (version < RECORD_VERSION || version > newest) /* whole, so its first byte means what it says */
        return version > newest ? -EPROTONOSUPPORT : -EBADMSG;
    void *message = wire_unpack(a, descriptor, body);
    if (!message)
        return -EBADMSG;
    *ret_message = message;
    return 0;
}

int record_get(struct span in, const ProtobufCMessageDescriptor *descriptor, struct arena *a,
               void **ret_message)
{
    return record_get_to(RECORD_VERSION, in, descriptor, a, ret_message);
}

/* ---- state ---- */

static bool has_news(const struct recipient_state *s)
{
    return s->is_done || s->last.class != VERDICT_NONE;
}

static void put_recipient_state(Barid__RecipientState *m, uint32_t index, const struct recipient_state *s,
                                size_t words_max)
{
    const struct verdict *v = &s->last;

    must(v->class != VERDICT_NONE);
    barid__recipient_state__init(m);
    WIRE_PUT(m, index, index);
    WIRE_PUT(m, is_done, s->is_done);
    m->class_ = v->class;
    m->has_class_ = true;
    WIRE_PUT(m, code, v->code);
    m->status = bytes_of(v->status);
    m->has_status = m->status.len > 0;
    m->text = bytes_of_start(v->text, words_max);
    m->has_text = m->text.len > 0;
    m->remote = bytes_of_start(v->remote, VERDICT_REMOTE_MAX);
    m->has_remote = m->remote.len > 0;
    WIRE_PUT(m, from_remote, v->from_remote);
    WIRE_PUT(m, in_doubt, v->in_doubt);
    WIRE_PUT(m, is_report_due, s->is_report_due);
    WIRE_PUT(m, is_delay_told, s->is_delay_told);
    WIRE_PUT(m, bounce, (uint32_t) v->bounce);
}

void wire_put_state(const struct job_state *s, struct buf *out)
{
    struct arena a;
    Barid__JobState m = BARID__JOB_STATE__INIT;
    size_t count = 0, words_max = VERDICT_WORDS_MAX;

    if (s->recipient_count > 0 && RECORD_MAX_BYTES / 4 / s->recipient_count < words_max)
        words_max = RECORD_MAX_BYTES / 4 /
                    s->recipient_count; /* hosts choose how much they say: the record stays one */
    arena_init(&a, SIZE_MAX / 2);
    for (size_t i = 0; i < s->recipient_count; i++)
        count += has_news(&s->recipients[i]);
    m.recipients = arena_array(&a, count, sizeof(*m.recipients));
    Barid__RecipientState *r = arena_array(&a, count, sizeof(*r));
    for (size_t i = 0; i < s->recipient_count; i++) {
        if (!has_news(&s->recipients[i]))
            continue;
        put_recipient_state(r, (uint32_t) i, &s->recipients[i], words_max);
        m.recipients[m.n_recipients++] = r++;
    }
    WIRE_PUT(&m, attempts, s->attempts);
    WIRE_PUT(&m, last_attempt_ms, s->last_attempt_ms);
    WIRE_PUT(&m, recipient_count, (uint32_t) s->recipient_count);
    WIRE_PUT(&m, cursor, s->cursor);
    WIRE_PUT(&m, is_waiting, s->is_waiting);
    WIRE_PUT(&m, is_past_hold, s->is_past_hold);
    WIRE_PUT(&m, past_rule, s->past_rule);
    WIRE_PUT(&m, rounds, s->rounds);
    m.n_unknown = s->unknown_count;
    m.unknown = s->unknown;
    if (s->reached > s->cursor)
        WIRE_PUT(&m, reached, s->reached);
    m.n_left = s->left_count;
    m.left = s->left;
    record_put(&m.base, out);
    arena_done(&a);
}

static bool recipient_state_is_sound(const Barid__RecipientState *m, uint32_t least, size_t count)
{
    static const size_t status_max = sizeof(((struct verdict *) NULL)->status) - 1;

    return m->index >= least && m->index < count && m->class_ > VERDICT_NONE && m->class_ <= VERDICT_FAILED &&
           m->code <= CODE_MAX && bytes_fit(m->status, 0, status_max) &&
           bytes_fit(m->text, 0, VERDICT_WORDS_MAX) && bytes_fit(m->remote, 0, VERDICT_REMOTE_MAX);
}

static bool children_are_sound(const uint32_t *list, size_t count, const struct envelope *e)
{
    for (size_t i = 0; i < count; i++)
        if (!list[i] || list[i] > e->queue_count || (i > 0 && list[i] <= list[i - 1]))
            return false;
    return true;
}

static bool state_is_sound(const Barid__JobState *m, const struct envelope *e)
{
    if (m->recipient_count != e->recipient_count || m->last_attempt_ms > WIRE_TIME_MAX ||
        m->cursor > e->queue_count || m->reached > e->queue_count)
        return false;
    uint32_t least = 0;
    for (size_t i = 0; i < m->n_recipients; i++) {
        if (!recipient_state_is_sound(m->recipients[i], least, e->recipient_count))
            return false;
        least = m->recipients[i]->index + 1;
    }
    return children_are_sound(m->left, m->n_left, e) && children_are_sound(m->unknown, m->n_unknown, e);
}

static void get_verdict(const Barid__RecipientState *m, struct verdict *ret_verdict)
{
    *ret_verdict = (struct verdict){
        .class = (enum verdict_class) m->class_,
        .code = m->code,
        .text = bytes_text(m->text),
        .remote = bytes_text(m->remote),
        .bounce = m->bounce < BOUNCE_COUNT ? (enum bounce) m->bounce : BOUNCE_OTHER, /* a newer version's */
        .from_remote = m->from_remote,
        .in_doubt = m->in_doubt,
    };
    if (m->status.len)
        memcpy(ret_verdict->status, m->status.data, m->status.len);
}

/* An older version moves cursor on and knows no `reached`: what is said of children outside of the two is not true any more. */
static size_t get_children(const uint32_t *from, size_t count, const struct job_state *s, uint32_t **ret_list)
{
    size_t first = 0;

    while (first < count && from[first] <= s->cursor)
        first++;
    while (count > first && from[count - 1] > s->reached)
        count--;
    if (count > first)
        *ret_list = mem_copy(from + first, (count - first) * sizeof(*from));
    return count - first;
}

int wire_get_state(struct span in, const struct envelope *e, struct job_state *ret_state)
{
    struct arena a;
    void *message;

    int r = record_get(in, &barid__job_state__descriptor, &a, &message);
    if (!r && !state_is_sound(message, e))
        r = -EBADMSG;
    if (r) {
        arena_done(&a);
        return r;
    }
    const Barid__JobState *m = message;
    job_state_init(ret_state, e);
    ret_state->attempts = m->attempts;
    ret_state->last_attempt_ms = m->last_attempt_ms;
    ret_state->cursor = m->cursor;
    ret_state->is_waiting = m->is_waiting;
    ret_state->is_past_hold = m->is_past_hold;
    ret_state->past_rule = m->past_rule;
    ret_state->rounds = m->rounds;
    ret_state->reached = m->reached > m->cursor ? m->reached : m->cursor;
    ret_state->left_count = get_children(m->left, m->n_left, ret_state, &ret_state->left);
    ret_state->unknown_count = get_children(m->unknown, m->n_unknown, ret_state, &ret_state->unknown);
    if (ret_state->left_count + ret_state->unknown_count == 0)
        ret_state->cursor = ret_state->reached;
    for (size_t i = 0; i < m->n_recipients; i++) {
        struct recipient_state *to = &ret_state->recipients[m->recipients[i]->index];
        to->is_done = m->recipients[i]->is_done;
        to->is_report_due = m->recipients[i]->is_report_due;
        to->is_delay_told = m->recipients[i]->is_delay_told;
        get_verdict(m->recipients[i], &to->last);
    }
    arena_done(&a);
    return 0;
}

/* ---- stats of a beat ---- */

/* Up to the last class of which something was counted. */
static size_t told_classes(const uint64_t counts[static BOUNCE_COUNT])
{
    size_t told = BOUNCE_COUNT;

    while (told > 0 && counts[told - 1] == 0)
        told--;
    return told;
}

static void put_busy(Barid__Busy *m, const struct node_busy *b)
{
    barid__busy__init(m);
    m->queue = bytes_of_start(b->queue, STATS_TEXT_MAX);
    m->site = bytes_of_start(b->site, STATS_TEXT_MAX);
    m->has_queue = true;
    m->has_site = m->site.len > 0;
    WIRE_PUT(m, connections, b->connections);
    WIRE_PUT(m, granted, b->granted);
    WIRE_PUT(m, rate, b->rate);
    WIRE_PUT(m, jobs, b->jobs);
}

void wire_put_stats(const struct node_stats *s, struct buf *out)
{
    Barid__Stats m = BARID__STATS__INIT;
    Barid__Busy busy[NODE_BUSY_MAX], *busy_list[NODE_BUSY_MAX];

    WIRE_PUT(&m, role, (uint32_t) s->role);
    m.name = bytes_of_start(s->name, STATS_TEXT_MAX);
    m.version = bytes_of_start(s->version, STATS_TEXT_MAX);
    m.http = bytes_of_start(s->http, STATS_TEXT_MAX);
    m.bus = bytes_of_start(s->bus, STATS_TEXT_MAX);
    m.has_name = m.has_version = m.has_http = m.has_bus = true;
    m.pools = bytes_of_start(s->pools, POOLS_TEXT_MAX);
    m.has_pools = m.pools.len > 0;
    m.bus_key = bytes_of_start(s->bus_key, STATS_TEXT_MAX);
    m.has_bus_key = m.bus_key.len > 0;
    WIRE_PUT(&m, bus_key_ms, s->bus_key_ms);
    WIRE_PUT(&m, started_ms, s->started_ms);
    WIRE_PUT(&m, store_audit_ok, s->store_audit_ok);
    WIRE_PUT(&m, is_draining, s->is_draining);
    WIRE_PUT(&m, sessions, s->sessions);
    WIRE_PUT(&m, accepted, s->accepted);
    WIRE_PUT(&m, delivered, s->delivered);
    WIRE_PUT(&m, deferred, s->deferred);
    WIRE_PUT(&m, failed, s->failed);
    WIRE_PUT(&m, in_doubt, s->in_doubt);
    WIRE_PUT(&m, claimed, s->claimed);
    WIRE_PUT(&m, capacity, s->capacity);
    WIRE_PUT(&m, partitions, s->partitions);
    WIRE_PUT(&m, queues_active, s->queues_active);
    WIRE_PUT(&m, beat_ms, s->beat_ms);
    WIRE_PUT(&m, clock_ahead_ms, s->clock_ahead_ms);
    m.settings = bytes_of_start(s->settings, SETTINGS_TEXT_MAX);
    m.has_settings = m.settings.len > 0;
    m.deferred_as = (uint64_t *) s->deferred_as; /* protobuf-c only reads */
    m.n_deferred_as = told_classes(s->deferred_as);
    m.failed_as = (uint64_t *) s->failed_as;
    m.n_failed_as = told_classes(s->failed_as);
    for (size_t i = 0; i < s->busy_count && i < NODE_BUSY_MAX; i++) {
        put_busy(&busy[i], &s->busy[i]);
        busy_list[i] = &busy[i];
        m.n_busy++;
    }
    m.busy = busy_list;
    record_put(&m.base, out);
}

static bool stats_are_sound(const Barid__Stats *m)
{
    for (size_t i = 0; i < m->n_busy; i++)
        if (!bytes_fit(m->busy[i]->queue, 1, STATS_TEXT_MAX) ||
            !bytes_fit(m->busy[i]->site, 0, STATS_TEXT_MAX))
            return false;
    return m->n_busy <= NODE_BUSY_MAX && bytes_fit(m->settings, 0, SETTINGS_TEXT_MAX) &&
           m->role < ROLE_COUNT && bytes_fit(m->name, 0, STATS_TEXT_MAX) &&
           bytes_fit(m->version, 0, STATS_TEXT_MAX) && bytes_fit(m->http, 0, STATS_TEXT_MAX) &&
           bytes_fit(m->bus, 0, STATS_TEXT_MAX) && bytes_fit(m->pools, 0, POOLS_TEXT_MAX) &&
           bytes_fit(m->bus_key, 0, STATS_TEXT_MAX) && m->bus_key_ms <= WIRE_TIME_MAX &&
           m->started_ms <= WIRE_TIME_MAX && m->beat_ms <= WIRE_TIME_MAX &&
           m->partitions <= PARTITION_COUNT && m->capacity <= capacity_max;
}

/* Classes of a newer version are counted with the others. */
static void get_classes(const uint64_t *from, size_t count, uint64_t to[static BOUNCE_COUNT])
{
    for (size_t i = 0; i < count; i++)
        to[i < BOUNCE_COUNT ? i : BOUNCE_OTHER] += from[i];
}

static void get_busy(const Barid__Stats *m, struct node_stats *to)
{
    to->busy = mem_array(m->n_busy + 1, sizeof(*to->busy));
    to->busy_count = m->n_busy;
    for (size_t i = 0; i < m->n_busy; i++) {
        const Barid__Busy *b = m->busy[i];
        to->busy[i] = (struct node_busy){.queue = bytes_text(b->queue),
                                         .site = bytes_text(b->site),
                                         .connections = b->connections,
                                         .granted = b->granted,
                                         .rate = b->rate,
                                         .jobs = b->jobs};
    }
}

int wire_get_stats(struct span in, struct node_stats *ret_stats)
{
    struct arena a;
    void *message;

    int r = record_get(in, &barid__stats__descriptor, &a, &message);
    if (!r && !stats_are_sound(message))
        r = -EBADMSG;
    if (!r) {
        const Barid__Stats *m = message;
        *ret_stats = (struct node_stats){
            .role = (enum role) m->role,
            .name = bytes_text(m->name),
            .version = bytes_text(m->version),
            .http = bytes_text(m->http),
            .bus = bytes_text(m->bus),
            .pools = bytes_text(m->pools),
            .bus_key = bytes_text(m->bus_key),
            .bus_key_ms = m->bus_key_ms,
            .started_ms = m->started_ms,
            .store_audit_ok = m->store_audit_ok,
            .is_draining = m->is_draining,
            .sessions = m->sessions,
            .accepted = m->accepted,
            .delivered = m->delivered,
            .deferred = m->deferred,
            .failed = m->failed,
            .in_doubt = m->in_doubt,
            .claimed = m->claimed,
            .capacity = m->capacity,
            .partitions = m->partitions,
            .queues_active = m->queues_active,
            .beat_ms = m->beat_ms,
            .clock_ahead_ms = m->clock_ahead_ms,
            .settings = bytes_text(m->settings),
        };
        get_classes(m->deferred_as, m->n_deferred_as, ret_stats->deferred_as);
        get_classes(m->failed_as, m->n_failed_as, ret_stats->failed_as);
        get_busy(m, ret_stats);
    }
    arena_done(&a);
    return r;
}

void node_stats_drop_busy(struct node_stats *s)
{
    for (size_t i = 0; i < s->busy_count; i++) {
        mem_free(s->busy[i].queue);
        mem_free(s->busy[i].site);
    }
    s->busy = mem_free(s->busy);
    s->busy_count = 0;
}

void node_stats_done(struct node_stats *s)
{
    node_stats_drop_busy(s);
    mem_free(s->settings);
    mem_free(s->name);
    mem_free(s->version);
    mem_free(s->http);
    mem_free(s->bus);
    mem_free(s->pools);
    mem_free(s->bus_key);
    *s = (struct node_stats){0};
}
