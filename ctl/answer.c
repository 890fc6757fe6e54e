/* Numbers and texts in answers. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/ask.h"

uint64_t answer_count(const struct redis_value *v)
{
    int64_t n;

    return redis_number(v, &n) == 0 && n > 0 ? (uint64_t) n : 0;
}

uint64_t answer_score(const struct redis_value *v)
{
    struct span text = redis_text(v);
    char copy[40];

    if (text.len == 0 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    double score = strtod(copy, NULL);
    return score > 0 && score < 9007199254740992.0 ? (uint64_t) score : 0;
}

uint64_t answer_time_ms(const struct redis_value *v)
{
    if (v->type != REDIS_ARRAY || v->count != 2)
        return 0;
    return answer_count(&v->items[0]) * 1000 + answer_count(&v->items[1]) / 1000;
}

char *answer_text(const struct redis_value *v)
{
    struct span s = redis_text(v);

    return mem_text(s.len ? s.at : "", s.len);
}
