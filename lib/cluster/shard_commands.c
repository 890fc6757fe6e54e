/* Commands as shards need them: which slot they name, and behind ASKING; and store.address as it is said. */
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/shard.h"

unsigned commands_slot(struct span commands)
{
    /* Each key of ours has a hash tag, and neither the name of a command nor a script's hash or number of keys has a brace. */
    const char *open = memchr(commands.at, '{', commands.len);
    const char *end = open ? memchr(open, '}', commands.len - (size_t) (open - commands.at)) : NULL;

    return end ? key_slot((struct span){.at = open, .len = (size_t) (end - open) + 1}) : common_slot();
}

/* The length of the command at the start. */
static size_t command_len(struct span rest)
{
    const char *start = rest.at;
    uint64_t args = 0, len = 0;
    struct span line = span_cut(&rest, '\n');

    must(line.len > 2 && line.at[0] == '*');
    must(span_number((struct span){.at = line.at + 1, .len = line.len - 2}, UINT32_MAX, &args) == 0);
    while (args--) {
        line = span_cut(&rest, '\n');
        must(line.len > 2 && line.at[0] == '$');
        must(span_number((struct span){.at = line.at + 1, .len = line.len - 2}, UINT32_MAX, &len) == 0);
        must(rest.len >= len + 2);
        rest.at += len + 2;
        rest.len -= len + 2;
    }
    return (size_t) (rest.at - start);
}

unsigned commands_ask(struct span commands, struct buf *out)
{
    unsigned count = 0;

    (void) buf_reserve(out, commands.len + 64); /* the place itself is asked for later */
    while (commands.len) {
        size_t len = command_len(commands);
        resp_command(out, 1);
        resp_arg(out, SPAN("ASKING"));
        buf_add(out, commands.at, len);
        commands.at += len;
        commands.len -= len;
        count += 2;
    }
    return count;
}

char *shards_place(void)
{
    const struct conf_list *addresses = &conf_get()->store.address;
    struct buf out = {.data = NULL};

    for (size_t i = 0; i < addresses->count; i++) {
        buf_add_text(&out, i ? ", " : "");
        buf_add_text(&out, addresses->items[i]);
    }
    return buf_steal_text(&out);
}
