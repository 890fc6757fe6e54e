/* Which row of courier.routes a queue's mail goes by, and what the row says. */
#include "cluster/transport.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/lane.h"

static const struct conf_transport *named(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->transport_count; i++)
        if (strcmp(conf->transports[i].name, name) == 0)
            return &conf->transports[i];
    return NULL;
}

static char *text_or_null(const char *text)
{
    return text && *text ? mem_string(text) : NULL;
}

static char *joined(const struct conf_list *list)
{
    struct buf text = {.data = NULL};

    for (size_t i = 0; i < list->count; i++) {
        buf_add_text(&text, i > 0 ? ", " : "");
        buf_add_text(&text, list->items[i]);
    }
    return buf_steal_text(&text);
}

static void take(const struct conf_transport *from, struct transport *t)
{
    *t = (struct transport){
        .kind = from->hosts.count > 0 ? TRANSPORT_HOSTS : TRANSPORT_MX,
        .is_lmtp = from->protocol == PROTOCOL_LMTP,
        .is_wrapped = from->protocol == PROTOCOL_SMTPS,
        .name = mem_string(from->name),
        .hosts = from->hosts.count > 0 ? joined(&from->hosts) : NULL,
        .tls = text_or_null(from->tls),
        .user = text_or_null(from->user),
        .password = text_or_null(from->password),
        .mechanisms = {.items = mem_array(from->mechanisms.count, sizeof(char *)),
                       .count = from->mechanisms.count},
    };
    for (size_t i = 0; i < t->mechanisms.count; i++)
        t->mechanisms.items[i] = mem_string(from->mechanisms.items[i]);
}

/* The names that are nobody's transport; NULL: it is one. */
static const struct word {
    const char *name;
    enum transport_kind kind;
} words[] = {{"mx", TRANSPORT_MX}, {"hold", TRANSPORT_HOLD}, {"discard", TRANSPORT_DISCARD}};

static const struct word *word_of(const char *row)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(row, words[i].name) == 0)
            return &words[i];
    return NULL;
}

static void set_plain(struct transport *t, enum transport_kind kind, const char *name, const char *hosts)
{
    *t = (struct transport){
        .kind = kind, .name = mem_string(name), .hosts = hosts ? mem_string(hosts) : NULL};
}

void transport_read(const struct conf *conf, const char *row, struct transport *ret_transport)
{
    const struct word *word = word_of(row ? row : "mx");
    const struct conf_transport *t = word ? NULL : named(conf, row);

    if (word)
        set_plain(ret_transport, word->kind, word->name, NULL);
    else if (t)
        take(t, ret_transport);
    else
        set_plain(ret_transport, TRANSPORT_HOSTS, "static", row);
}

enum transport_kind transport_kind_read(const struct conf *conf, const char *row)
{
    const struct word *word = word_of(row ? row : "mx");
    const struct conf_transport *t = word ? NULL : named(conf, row);

    if (word)
        return word->kind;
    return t && t->hosts.count == 0 ? TRANSPORT_MX : TRANSPORT_HOSTS;
}

void transport_find(const struct conf *conf, const char *queue, struct transport *ret_transport)
{
    transport_read(conf, queue_row(&conf->courier.routes, queue), ret_transport);
}

enum transport_kind transport_kind_of(const struct conf *conf, const char *queue)
{
    return transport_kind_read(conf, queue_row(&conf->courier.routes, queue));
}

void transport_done(struct transport *t)
{
    for (size_t i = 0; i < t->mechanisms.count; i++)
        mem_free(t->mechanisms.items[i]);
    mem_free(t->mechanisms.items);
    mem_free(t->name);
    mem_free(t->hosts);
    mem_free(t->tls);
    mem_free(t->user);
    if (t->password)
        explicit_bzero(t->password, strlen(t->password));
    mem_free(t->password);
    *t = (struct transport){0};
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool transport_equal(const struct transport *a, const struct transport *b)
{
    if (a->kind != b->kind || a->is_lmtp != b->is_lmtp || a->is_wrapped != b->is_wrapped ||
        a->mechanisms.count != b->mechanisms.count)
        return false;
    for (size_t i = 0; i < a->mechanisms.count; i++)
        if (strcmp(a->mechanisms.items[i], b->mechanisms.items[i]) != 0)
            return false;
    return text_equal(a->name, b->name) && text_equal(a->hosts, b->hosts) && text_equal(a->tls, b->tls) &&
           text_equal(a->user, b->user) && text_equal(a->password, b->password);
}
