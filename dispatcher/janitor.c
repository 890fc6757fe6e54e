/* All keys, a few at a time: SCAN of each shard, then the script for those of a partition together. */
#include "dispatcher/janitor.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum {
    TOGETHER = 32, /* keys of a partition that make a call worth while */
    CALL_MOST = 64,
    STEPS_A_SECOND = 10,
    SCAN_LEAST = 10,
    SCAN_MOST = 500,
    AGAIN_MS = 1000,
    FIRST_MS = 60000, /* the partition has been ours so long when we begin */
    STRAYS_MOST = 1000,
    PASSES_ALONE = 2, /* whole passes that saw no job of a message: nobody reads its content */
    TOLD_MOST = 100   /* lines of a pass; the metric counts all */
};
_Static_assert(PARTITION_COUNT - 1 <= UINT8_MAX, "a partition fits into janitor.shards");

struct janitor_batch {
    struct queue_tidy_key *keys; /* the texts are ours */
    size_t count, room;
};

struct janitor_stray {
    char *message;
    bool is_new;  /* of the pass under way: that began without it */
    bool is_seen; /* a job of it, in this pass */
    unsigned passes;
};

enum found {
#define FOUND(name, word, help) FOUND_##name,
#include "dispatcher/janitor.def"
#undef FOUND
    FOUND_COUNT
};
static const char *const found_words[] = {
#define FOUND(name, word, help) [FOUND_##name] = (word),
#include "dispatcher/janitor.def"
#undef FOUND
};

/* ---- keys ---- */

struct subject { /* of a key */
    unsigned partition;
    struct span kind, name;
};

/* kind:{tag} or kind:{tag}:name, of a kind that there is something to be known of. */
static bool subject_read(struct span key, struct subject *ret_subject)
{
    static const char *const kinds[] = {"j", "b", "q", "seen", "s", "t", "l", "n", "probe", "never"};
    struct span rest = key, kind = span_cut(&rest, ':');

    if (rest.len < 2 || rest.at[0] != '{')
        return false;
    *ret_subject = (struct subject){.kind = kind,
                                    .partition = key_slot(key) / (SLOT_COUNT / PARTITION_COUNT)};
    span_cut(&rest, '{');
    struct span tag = span_cut(&rest, '}');
    if (!span_equal(tag, span_of(partition_tag(ret_subject->partition))))
        return false;
    if (rest.len && rest.at[0] == ':')
        ret_subject->name = (struct span){.at = rest.at + 1, .len = rest.len - 1};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (span_equal(kind, span_of(kinds[i])))
            return true;
    return false;
}

/* "<message>.<index>", or that and ":<chunk>": the message. */
static struct span message_of(const struct subject *s)
{
    const char *dot = memrchr(s->name.at, '.', s->name.len);
    return (struct span){.at = s->name.at, .len = dot ? (size_t) (dot - s->name.at) : 0};
}

/* ---- strays ---- */

static struct janitor_stray *stray_find(const struct janitor *j, struct span message)
{
    for (size_t i = 0; i < j->stray_count; i++)
        if (span_equal(message, span_of(j->strays[i].message)))
            return &j->strays[i];
    return NULL;
}

static void stray_add(struct janitor *j, struct span message)
{
    if (!message.len || j->stray_count == STRAYS_MOST || stray_find(j, message))
        return; /* what there is no room for is met again in the next pass */
    j->strays = mem_resize(j->strays, (j->stray_count + 1) * sizeof *j->strays);
    j->strays[j->stray_count++] = (struct janitor_stray){.message = mem_text(message.at, message.len),
                                                         .is_new = true};
}

static bool stray_is_alone(const struct janitor_stray *stray)
{
    return stray && stray->passes >= PASSES_ALONE && !stray->is_seen;
}

/* is_whole: the pass has seen all keys. A message of which a job was seen is forgotten, as is one whose content has its time limit now. */
static void strays_end_pass(struct janitor *j, bool is_whole)
{
    size_t kept = 0;

    for (size_t i = 0; i < j->stray_count; i++) {
        struct janitor_stray stray = j->strays[i];
        if (stray.is_seen || stray_is_alone(&stray)) {
            mem_free(stray.message);
            continue;
        }
        stray.passes += is_whole && !stray.is_new;
        stray.is_new = false;
        j->strays[kept++] = stray;
    }
    j->stray_count = kept;
}

/* ---- a pass ---- */

static void batches_free(struct janitor *j)
{
    for (size_t p = 0; j->batches && p < PARTITION_COUNT; p++) {
        for (size_t i = 0; i < j->batches[p].count; i++)
            mem_free((char *) j->batches[p].keys[i].key.at);
        mem_free(j->batches[p].keys);
    }
    j->batches = mem_free(j->batches);
}

static void shards_see(const struct janitor *j, uint8_t ret_shards[static PARTITION_COUNT])
{
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        unsigned first = 0;
        while (first < p && !store_partitions_share(j->store, first, p))
            first++;
        ret_shards[p] = (uint8_t) first;
    }
}

static void pass_begin(struct janitor *j, uint64_t now_ms)
{
    batches_free(j);
    j->batches = mem_array(PARTITION_COUNT, sizeof *j->batches);
    for (size_t i = 0; i < j->stray_count; i++)
        j->strays[i].is_seen = false;
    shards_see(j, j->shards);
    j->stage = JANITOR_SCANS;
    j->place = 0;
    j->cursor = j->keys = j->found = 0;
    j->began_ms = now_ms;
}

static void pass_end(struct janitor *j, uint64_t now_ms)
{
    uint8_t shards[PARTITION_COUNT];

    batches_free(j);
    shards_see(j, shards);
    strays_end_pass(j, memcmp(shards, j->shards, sizeof shards) ==
                           0); /* else keys may have passed behind our back */
    j->stage = JANITOR_RESTS;
    j->next_ms = now_ms + conf_get()->janitor.every_ms;
    log_event(LOG_JANITOR_PASSED, FN("keys", j->keys), FN("found", j->found), FN("ms", now_ms - j->began_ms));
}

/* The next shard, by its first partition. */
static void next_place(struct janitor *j)
{
    do
        j->place++;
    while (j->place < PARTITION_COUNT && j->shards[j->place] != j->place);
    if (j->place == PARTITION_COUNT)
        j->stage = JANITOR_ENDS;
}

/* ---- scan ---- */

static void take_key(struct janitor *j, struct span key)
{
    struct subject subject;
    bool is_alone = false;

    if (!subject_read(key, &subject))
        return;
    struct janitor_stray *stray = j->stray_count ? stray_find(j, message_of(&subject)) : NULL;
    if (stray && span_equal(subject.kind, SPAN("j")))
        stray->is_seen = true;
    else if (stray && span_equal(subject.kind, SPAN("b")))
        is_alone = stray_is_alone(stray);
    struct janitor_batch *batch = &j->batches[subject.partition];
    if (batch->count == batch->room) {
        batch->room = batch->room ? 2 * batch->room : TOGETHER;
        batch->keys = mem_resize(batch->keys, batch->room * sizeof *batch->keys);
    }
    batch->keys[batch->count++] = (struct queue_tidy_key){
        .key = {.at = mem_text(key.at, key.len), .len = key.len}, .is_alone = is_alone};
}

static void on_scan(void *context, bool ok, uint64_t cursor, const struct redis_value *keys)
{
    struct janitor *j = context;
    uint64_t now = clock_ms();

    j->is_asking = false;
    if (!ok || j->stage != JANITOR_SCANS) {
        j->next_ms = now + AGAIN_MS;
        return;
    }
    for (size_t i = 0; i < keys->count; i++)
        take_key(j, redis_text(&keys->items[i]));
    j->keys += keys->count;
    metric_add(METRIC_JANITOR_KEYS_TOTAL, (int64_t) keys->count);
    j->next_ms = now + keys->count * 1000 / conf_get()->janitor.rate;
    j->cursor = cursor;
    if (cursor == 0)
        next_place(j);
}

static void scan(struct janitor *j)
{
    uint64_t count = conf_get()->janitor.rate / STEPS_A_SECOND;

    count = count < SCAN_LEAST ? SCAN_LEAST : count > SCAN_MOST ? SCAN_MOST : count;
    j->is_asking = true;
    queue_scan(j->store, j->place, j->cursor, (uint32_t) count, on_scan, j);
}

/* ---- tidy ---- */

static void tell(struct janitor *j, unsigned partition, const struct queue_found *found)
{
    size_t word = 0;
    struct subject subject;

    while (word < FOUND_COUNT && !span_equal(found->what, span_of(found_words[word])))
        word++;
    must(word < FOUND_COUNT);
    metric_add_labelled(METRIC_JANITOR_FOUND_TOTAL, word, 1);
    if (j->found++ < TOLD_MOST)
        log_event(LOG_JANITOR_FOUND, F("what", found_words[word]), FS("key", found->key),
                  FN("partition", partition));
    if (word == FOUND_LOST)
        metric_add(METRIC_HELD_TOTAL, 1);
    if (word == FOUND_UNOWNED && subject_read(found->key, &subject))
        stray_add(j, message_of(&subject));
}

static void on_tidy(void *context, unsigned partition, bool ok, const struct queue_found *found, size_t count)
{
    struct janitor *j = context;

    j->is_asking = false;
    if (!ok)
        j->next_ms = clock_ms() + AGAIN_MS; /* these keys are met again in the next pass */
    for (size_t i = 0; ok && i < count; i++)
        tell(j, partition, &found[i]);
    if (ok)
        janitor_work(j, clock_ms());
}

/* The first partition with so many keys at hand; false: there is none. */
static bool tidy(struct janitor *j, size_t least)
{
    unsigned p = 0;

    while (p < PARTITION_COUNT && j->batches[p].count < least)
        p++;
    if (p == PARTITION_COUNT)
        return false;
    struct janitor_batch *batch = &j->batches[p];
    size_t count = batch->count < CALL_MOST ? batch->count : CALL_MOST;
    struct queue_tidy_key *first = &batch->keys[batch->count - count];
    batch->count -= count;
    j->is_asking = true;
    queue_tidy(j->store, p, first, count, conf_get()->janitor.keep_ms, on_tidy, j);
    for (size_t i = 0; i < count; i++)
        mem_free((char *) first[i].key.at);
    return true;
}

/* ---- */

void janitor_work(struct janitor *j, uint64_t now_ms)
{
    if (j->is_asking || now_ms < j->next_ms || conf_get()->janitor.every_ms == 0)
        return;
    bool was_ours = j->is_ours;
    j->is_ours = partition_is_usable(&j->partitions->of[0], now_ms);
    if (!j->is_ours) {
        batches_free(j);
        j->stage = JANITOR_RESTS;
        return;
    }
    if (!was_ours) {
        uint64_t every_ms = conf_get()->janitor.every_ms;
        j->next_ms = now_ms + (every_ms < FIRST_MS ? every_ms : FIRST_MS);
        return;
    }
    if (j->stage == JANITOR_RESTS)
        pass_begin(j, now_ms);
    if (tidy(j, j->stage == JANITOR_ENDS ? 1 : TOGETHER))
        return;
    if (j->stage == JANITOR_ENDS)
        pass_end(j, now_ms);
    else
        scan(j);
}

void janitor_init(struct janitor *j, struct store *s, struct partitions *partitions)
{
    *j = (struct janitor){.store = s, .partitions = partitions};
    metric_label(METRIC_JANITOR_FOUND_TOTAL, found_words, FOUND_COUNT);
}

void janitor_done(struct janitor *j)
{
    batches_free(j);
    for (size_t i = 0; i < j->stray_count; i++)
        mem_free(j->strays[i].message);
    j->strays = mem_free(j->strays);
    j->stray_count = 0;
}
