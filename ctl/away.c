/* Shards that did not answer. */
#include "ctl/away.h"

#include <string.h>

#include "base/mem.h"
#include "ctl/verb.h"

enum { AWAY_MAX = 64, WHY_MAX = 300 };
static const char nobody[] = "slots without a primary";

struct missed {
    char *address, *why;
    bool is_back, has_common;
    bool partitions[PARTITION_COUNT];
};
static struct missed missed[AWAY_MAX];
static size_t missed_count;

static const char *name_of(const struct shard *shard)
{
    return shard ? shard->address : nobody;
}

static struct missed *find(const char *address)
{
    for (size_t i = 0; i < missed_count; i++)
        if (strcmp(missed[i].address, address) == 0)
            return &missed[i];
    return NULL;
}

/* A new primary of the same slots is one more that may be away: what was missed adds up. */
void away_note(const struct shards *shards, const struct shard *shard, const char *why)
{
    struct missed *m = find(name_of(shard));

    if (!m) {
        m = &missed[missed_count < AWAY_MAX ? missed_count++ : AWAY_MAX - 1];
        mem_free(m->address);
        mem_free(m->why);
        m->address = mem_string(name_of(shard));
        m->why = mem_string(why);
    }
    m->is_back = false;
    m->has_common |= shards_find(shards, common_slot()) == shard;
    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        m->partitions[p] |= shards_find(shards, partition_slot(p)) == shard;
}

void away_back(const struct shard *shard)
{
    struct missed *m = missed_count ? find(name_of(shard)) : NULL;

    if (m)
        m->is_back = true;
}

bool away_is(const struct shard *shard)
{
    const struct missed *m = missed_count ? find(name_of(shard)) : NULL;

    return m && !m->is_back;
}

bool away_any(void)
{
    return missed_count > 0;
}

bool away_has_partition(unsigned partition)
{
    for (size_t i = 0; i < missed_count; i++)
        if (missed[i].partitions[partition])
            return true;
    return false;
}

bool away_has_common(void)
{
    for (size_t i = 0; i < missed_count; i++)
        if (missed[i].has_common)
            return true;
    return false;
}

unsigned away_partitions(void)
{
    unsigned count = 0;

    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        count += away_has_partition(p);
    return count;
}

/* ---- in words ---- */

static void add_ranges(struct buf *out, const bool *has)
{
    unsigned count = 0, end;

    for (unsigned p = 0; p < PARTITION_COUNT; p = end + 1) {
        for (end = p; end < PARTITION_COUNT && has[end]; end++)
            ;
        if (end == p)
            continue;
        buf_printf(out, "%s%u", count ? ", " : "", p);
        if (end > p + 1)
            buf_printf(out, "-%u", end - 1);
        count += end - p;
    }
    if (count > 0)
        buf_printf(out, " (%u of %d)", count, PARTITION_COUNT);
    else
        buf_add_text(out, "none");
}

void away_add_partitions(struct buf *out, const struct shards *shards, const struct shard *shard)
{
    bool has[PARTITION_COUNT];

    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        has[p] = shards_find(shards, partition_slot(p)) == shard;
    add_ranges(out, has);
}

static void add_missed(struct buf *out, const struct missed *m)
{
    if (strcmp(m->address, nobody) != 0)
        buf_printf(out, "Redis at %s did not answer", m->address);
    else
        buf_add_text(out, "some slots of the Redis Cluster have no primary");
    if (*m->why) {
        buf_add_text(out, " (");
        buf_add_printable(out, span_of(m->why), WHY_MAX);
        buf_add_char(out, ')');
    }
    buf_add_text(out, ": away with it are partitions ");
    add_ranges(out, m->partitions);
    if (m->has_common)
        buf_add_text(out, ", and the common keys: nodes, rules, users and tables");
}

static void add_all(struct buf *out, bool is_back_too)
{
    for (size_t i = 0; i < missed_count; i++) {
        if (missed[i].is_back && !is_back_too)
            continue;
        buf_add_text(out, out->len ? "; " : "");
        add_missed(out, &missed[i]);
    }
}

void away_add(struct buf *out)
{
    add_all(out, false);
}

void away_put(struct json *json)
{
    if (missed_count == 0)
        return;
    struct json *addresses = json_new_array(), *partitions = json_new_array();
    for (size_t i = 0; i < missed_count; i++)
        json_put_text(addresses, NULL, span_of(missed[i].address));
    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        if (away_has_partition(p))
            json_put_number(partitions, NULL, p);
    json_put(json, "away", addresses);
    json_put(json, "away_partitions", partitions);
}

int away_tell(int status)
{
    AUTO_BUF struct buf out = {.data = NULL};

    if (missed_count == 0)
        return status;
    add_all(&out, true);
    bool is_all = away_has_common() && away_partitions() == PARTITION_COUNT;
    (void) say_failed("%.*s; nothing above tells of what is away. See whether it runs and can be reached; "
                      "`baridctl store check` asks each server",
                      SPAN_ARG(buf_span(&out))); /* the status is told below */
    return status != EXIT_OK ? status : is_all ? EXIT_ASKED_FAILED : EXIT_PARTLY;
}

void away_forget(void)
{
    for (size_t i = 0; i < missed_count; i++) {
        mem_free(missed[i].address);
        mem_free(missed[i].why);
        missed[i] = (struct missed){.address = NULL};
    }
    missed_count = 0;
}
