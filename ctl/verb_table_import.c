/* alias import, recipient import: a table made like a file. */
#include "base/map.h"
#include "base/mem.h"
#include "cluster/address_text.h"
#include "ctl/order.h"
#include "ctl/table_plan.h"

struct import {
    enum table table;
    struct table_rows wanted, held;
    struct map domains; /* of recipients: what is wanted of each */
    struct map seen;
};

static char all[] = RECIPIENT_ALL, listed[] = RECIPIENT_LISTED;

static const char *on_alias(void *context, struct span key, struct span value)
{
    struct import *i = context;

    if (map_set(&i->seen, key, i))
        return "is there already";
    table_rows_add(&i->wanted, key, value);
    return NULL;
}

static const char *on_recipient(void *context, struct span key, struct span value UNUSED)
{
    struct import *i = context;
    struct span domain = address_domain(key);

    if (domain.len == key.len)
        (void) map_set(&i->domains, key, all); /* before or after its addresses */
    else if (!map_set(&i->seen, key, i))
        table_rows_add(&i->wanted, key, SPAN(RECIPIENT_KNOWN));
    if (!map_get(&i->domains, domain))
        (void) map_set(&i->domains, domain, listed); /* none was there */
    return NULL;
}

/* A domain of which all are known already stays so, unless the file replaces what there is. */
static void want_domains(struct import *i, bool is_replacing)
{
    struct span key;
    void *value;
    size_t cursor = 0;

    while (map_next(&i->domains, &cursor, &key, &value)) {
        const struct table_row *held = table_rows_find(&i->held, key);
        bool stays = held && value == listed && !is_replacing;
        table_rows_add(&i->wanted, key, stays ? held->value : span_of(value));
    }
}

static void plan_rows(const struct import *i, bool is_replacing, struct table_plan *p)
{
    static const struct span nothing = {.at = NULL};

    for (size_t k = 0; k < i->wanted.count; k++) {
        const struct table_row *row = &i->wanted.rows[k];
        const struct table_row *held = table_rows_find(&i->held, row->field);
        plan_add(p, row->field, held ? held->value : nothing, row->value);
    }
    for (size_t k = 0; is_replacing && k < i->held.count; k++)
        if (!table_rows_find(&i->wanted, i->held.rows[k].field))
            plan_add(p, i->held.rows[k].field, i->held.rows[k].value, nothing);
}

static int import_run(const struct arguments *a, struct import *i)
{
    bool is_replacing = argument_is_given(a, "replace"), is_alias = i->table == TABLE_ALIASES;
    struct table_plan plan = {.table = i->table};
    AUTO_FREE char *error = NULL;
    struct table_link *l;
    int status = order_check_consent(a);

    if (status == EXIT_OK && address_file_read(a->operands[0], is_alias ? ADDRESS_LIST : ADDRESS_NOTHING,
                                               is_alias ? on_alias : on_recipient, i, &error) < 0)
        status = say_failed("%s", error);
    if (status == EXIT_OK)
        status = table_link_open(a, &l);
    if (status != EXIT_OK)
        return status;
    status = table_link_list(l, i->table, &i->held);
    if (status == EXIT_OK) {
        want_domains(i, is_replacing);
        table_rows_sort(&i->wanted);
        plan_rows(i, is_replacing, &plan);
        status = plan_run(a, l, &plan);
    }
    plan_done(&plan);
    table_link_close(l);
    return status;
}

static int import(const struct arguments *a, enum table table)
{
    struct import i = {.table = table};
    int status = import_run(a, &i);

    table_rows_done(&i.wanted);
    table_rows_done(&i.held);
    map_done(&i.domains);
    map_done(&i.seen);
    return status;
}

int verb_alias_import(const struct arguments *a)
{
    return import(a, TABLE_ALIASES);
}

int verb_recipient_import(const struct arguments *a)
{
    return import(a, TABLE_RECIPIENTS);
}
