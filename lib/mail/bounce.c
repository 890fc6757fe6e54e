/* What a reply means, by the rules of bounce.def. */
#include "mail/bounce.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "mail/verdict.h"

const char *const bounce_names[BOUNCE_COUNT] = {
    [BOUNCE_NONE] = "none",
#define BOUNCE(name, word, help) [BOUNCE_##name] = word,
#include "mail/bounce.def"
};

const char *bounce_name(enum bounce bounce)
{
    must(bounce < BOUNCE_COUNT);
    return bounce_names[bounce];
}

enum bounce bounce_named(struct span word)
{
    for (enum bounce b = BOUNCE_NONE + 1; b < BOUNCE_COUNT; b++)
        if (span_equal(word, span_of(bounce_names[b])))
            return b;
    return BOUNCE_NONE;
}

enum bounce bounce_of(const struct verdict *v, const struct conf_map *rules UNUSED)
{
    return strncmp(v->status + 1, ".1.1", 4) == 0 ? BOUNCE_BAD_MAILBOX : BOUNCE_OTHER;
}

int bounce_rules_check(const struct conf_map *rules UNUSED, char **ret_error UNUSED)
{
    return 0;
}

void bounce_print_markdown(struct buf *out UNUSED)
{
}
