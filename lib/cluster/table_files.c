/* Files of the address tables in memory: a map for each kind. */
#include "cluster/table_files.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "cluster/address_text.h"

struct table_files {
    _Atomic unsigned holds;
    struct map rows[TABLE_FILE_COUNT]; /* normalised key -> value, as text */
    size_t row_count;
};

/* Recipients have no value of their own: one of these. */
static char known[] = RECIPIENT_KNOWN, all[] = RECIPIENT_ALL, listed[] = RECIPIENT_LISTED;

static const enum address_rule rules[] = {
    [FILE_ALIASES] = ADDRESS_LIST,
    [FILE_RECIPIENTS] = ADDRESS_NOTHING,
    [FILE_SENDER_REWRITES] = ADDRESS_ONE,
    [FILE_RECIPIENT_REWRITES] = ADDRESS_ONE,
};

const struct conf_list *table_files_of(const struct conf *conf, enum table_file file)
{
    const struct conf_list *lists[] = {
        [FILE_ALIASES] = &conf->tables.aliases,
        [FILE_RECIPIENTS] = &conf->tables.recipients,
        [FILE_SENDER_REWRITES] = &conf->tables.sender_rewrites,
        [FILE_RECIPIENT_REWRITES] = &conf->tables.recipient_rewrites,
    };

    return lists[file];
}

size_t table_files_rows(const struct table_files *f)
{
    return f ? f->row_count : 0;
}

static const char *on_row(void *context, struct span key, struct span value)
{
    struct map *rows = context;

    if (map_get(rows, key))
        return "is there already, in this file or one before it";
    (void) map_set(rows, key, mem_text(value.at, value.len)); /* none was there */
    return NULL;
}

/* An address makes its domain one of which only those are known that are listed, unless all are. */
static const char *on_recipient(void *context, struct span key, struct span value UNUSED)
{
    struct map *rows = context;
    struct span domain = address_domain(key);

    if (domain.len == key.len)
        (void) map_set(rows, key, all); /* all or listed: static, nothing is freed */
    else if (!map_set(rows, key, known) && !map_get(rows, domain))
        (void) map_set(rows, domain, listed); /* none was there */
    return NULL;
}

static void files_free(struct table_files *f)
{
    for (unsigned i = 0; i < TABLE_FILE_COUNT; i++) {
        struct span key;
        void *value;
        size_t cursor = 0;
        while (i != FILE_RECIPIENTS && map_next(&f->rows[i], &cursor, &key, &value))
            mem_free(value);
        map_done(&f->rows[i]);
    }
    mem_free(f);
}

int table_files_load(const struct conf *conf, struct table_files **ret_files, char **ret_error)
{
    struct table_files *f = NEW(struct table_files);
    size_t file_count = 0;
    int r = 0;

    atomic_init(&f->holds, 1);
    for (unsigned i = 0; i < TABLE_FILE_COUNT && r == 0; i++) {
        const struct conf_list *paths = table_files_of(conf, i);
        for (size_t k = 0; k < paths->count && r == 0; k++, file_count++)
            r = address_file_read(paths->items[k], rules[i], i == FILE_RECIPIENTS ? on_recipient : on_row,
                                  &f->rows[i], ret_error);
        f->row_count += f->rows[i].count;
    }
    if (r < 0 || file_count == 0) {
        files_free(f);
        f = NULL;
    }
    if (r == 0)
        *ret_files = f;
    return r;
}

struct table_files *table_files_hold(struct table_files *f)
{
    if (f)
        (void) atomic_fetch_add(&f->holds, 1); /* the count is not of interest */
    return f;
}

struct table_files *table_files_release(struct table_files *f)
{
    if (f && atomic_fetch_sub(&f->holds, 1) == 1)
        files_free(f);
    return NULL;
}

const char *table_files_find(const struct table_files *f, enum table_file file, const struct span *keys,
                             size_t count, size_t *ret_which)
{
    for (size_t i = 0; f && i < count; i++) {
        const char *value = map_get(&f->rows[file], keys[i]);
        if (value) {
            *ret_which = i;
            return value;
        }
    }
    return NULL;
}

bool table_files_has(const struct table_files *f, enum table_file file)
{
    return f && f->rows[file].count > 0;
}
