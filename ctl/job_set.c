/* Jobs in an open hash table. */
#include "ctl/job_set.h"

#include "base/mem.h"
#include "io/hash.h"

enum { ROOM_FIRST = 1024 };

struct job_key {
    struct id id;
    uint32_t number; /* index + 1; 0: empty */
};

static size_t start_of(const struct job_key *key, size_t room)
{
    uint64_t hash = hash64((struct span){.at = (const char *) key->id.bytes, .len = sizeof(key->id.bytes)});

    return (size_t) (hash ^ key->number * UINT64_C(0x9e3779b97f4a7c15)) & (room - 1);
}

/* Where it is, or the empty place where it belongs. There is an empty one. */
static struct job_key *find(const struct job_set *s, const struct job_key *key)
{
    size_t i = start_of(key, s->room);

    while (s->keys[i].number && !(s->keys[i].number == key->number && id_equal(&s->keys[i].id, &key->id)))
        i = (i + 1) & (s->room - 1);
    return &s->keys[i];
}

static void grow(struct job_set *s)
{
    struct job_set next = {.room = s->room ? 2 * s->room : ROOM_FIRST, .count = s->count};

    next.keys = mem_array(next.room, sizeof(*next.keys));
    for (size_t i = 0; i < s->room; i++)
        if (s->keys[i].number)
            *find(&next, &s->keys[i]) = s->keys[i];
    mem_free(s->keys);
    *s = next;
}

static bool key_of(struct span job, struct job_key *ret_key)
{
    uint32_t index;

    if (job_parse(job, &ret_key->id, &index) < 0 || index == UINT32_MAX)
        return false;
    ret_key->number = index + 1;
    return true;
}

bool job_set_add(struct job_set *s, struct span job)
{
    struct job_key key;

    if (!key_of(job, &key))
        return true;
    if (s->count >= s->room / 4 * 3)
        grow(s);
    struct job_key *at = find(s, &key);
    if (at->number)
        return false;
    *at = key;
    s->count++;
    return true;
}

bool job_set_has(const struct job_set *s, struct span job)
{
    struct job_key key;

    return s->room > 0 && key_of(job, &key) && find(s, &key)->number;
}

void job_set_done(struct job_set *s)
{
    mem_free(s->keys);
    *s = (struct job_set){.keys = NULL};
}
