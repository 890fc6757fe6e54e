/* An entry: <ms>-<seq>, then e <event>, then j <job> x <detail> for each job it tells of. */
#include "cluster/history.h"

struct span history_entry_id(const struct redis_value *entry)
{
    if (entry->type != REDIS_ARRAY || entry->count != 2 || redis_text(&entry->items[0]).len > STREAM_ID_MAX)
        return (struct span){.at = NULL};
    return redis_text(&entry->items[0]);
}

void history_read(const struct redis_value *entry, history_on_line *on_line, void *context)
{
    struct span seq = history_entry_id(entry), ms = span_cut(&seq, '-');
    struct history_line line = {.ms = 0};

    if (entry->type != REDIS_ARRAY || entry->count != 2 || entry->items[1].type != REDIS_ARRAY ||
        entry->items[1].count < 2 || span_number(ms, UINT64_MAX, &line.ms) < 0 ||
        span_number(seq, UINT64_MAX, &line.seq) < 0)
        return;
    const struct redis_value *fields = entry->items[1].items;
    size_t count = entry->items[1].count;
    line.event = redis_text(&fields[1]);
    for (size_t i = 2; i + 1 < count; i += 2) {
        if (!redis_is_text(&fields[i], "j"))
            continue;
        bool has_detail = i + 3 < count && redis_is_text(&fields[i + 2], "x");
        line.job = redis_text(&fields[i + 1]);
        line.detail = has_detail ? redis_text(&fields[i + 3]) : (struct span){.at = NULL};
        on_line(context, &line);
    }
}
