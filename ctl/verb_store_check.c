/* store check: every server behind the queue, and what should be otherwise. */
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "ctl/inspection.h"
#include "ctl/print.h"

/* ---- for people ---- */

static void add_memory(struct grid *t, const struct server *s)
{
    AUTO_BUF struct buf text = {.data = NULL};

    if (s->has_answered && *s->version) {
        add_bytes(&text, s->memory.used_bytes);
        if (s->memory.most_bytes)
            buf_printf(&text, ", %u%%", (unsigned) (s->memory.used_bytes * 100 / s->memory.most_bytes));
    }
    grid_cell(t, "%.*s", SPAN_ARG(buf_span(&text)));
}

static void add_copies(struct grid *t, const struct server *s)
{
    AUTO_BUF struct buf text = {.data = NULL};

    if (s->primary) {
        add_bytes(&text, s->behind_bytes);
        grid_cell(t, "%.*s behind", SPAN_ARG(buf_span(&text)));
    } else if (strcmp(s->role, "primary") == 0) {
        grid_cell(t, "%u replica%s", s->replicas, s->replicas == 1 ? "" : "s");
    } else {
        grid_cell(t, "%s", "");
    }
}

static void print_servers(const struct inspection *n)
{
    struct grid t;

    grid_init(&t, "server|role|of|version|memory|copies|>clock|state");
    for (size_t i = 0; i < n->count; i++) {
        const struct server *s = n->servers[i];
        grid_cell_safe(&t, span_of(s->address));
        grid_cell(&t, "%s", s->role);
        grid_cell_safe(&t, span_of(s->primary ? s->primary : ""));
        grid_cell_safe(&t, span_of(s->version));
        add_memory(&t, s);
        add_copies(&t, s);
        if (s->has_answered && *s->version)
            grid_cell(&t, "%+.3f s", (double) s->clock_ms / 1000);
        else
            grid_cell(&t, "%s", "");
        grid_cell(&t, "%s", audit_word(s->findings.worst));
    }
    grid_print(&t);
    grid_done(&t);
}

/* NULL: about all of them together. */
static void print_finding(const struct finding *one, const char *whose)
{
    AUTO_BUF struct buf line = {.data = NULL};

    buf_printf(&line, "%s: ", audit_word(one->level));
    if (whose)
        buf_printf(&line, "Redis at %s ", whose);
    buf_printf(&line, *one->why ? "%s (%s)" : "%s", one->text, one->why);
    print_safe(buf_span(&line));
    (void) putchar('\n'); /* main() asks whether standard output took it all */
}

static bool has_finding(const struct server *s, const char *text)
{
    for (size_t i = 0; i < s->findings.count; i++)
        if (strcmp(s->findings.all[i].text, text) == 0)
            return true;
    return false;
}

/* Once, with all servers of which it is true. */
static void print_finding_of(const struct inspection *n, size_t first, const struct finding *one)
{
    AUTO_BUF struct buf addresses = {.data = NULL};

    for (size_t i = 0; i < first; i++)
        if (has_finding(n->servers[i], one->text))
            return;
    for (size_t i = first; i < n->count; i++)
        if (has_finding(n->servers[i], one->text))
            buf_printf(&addresses, "%s%s", addresses.len ? ", " : "", n->servers[i]->address);
    AUTO_FREE char *whose = buf_steal_text(&addresses);
    print_finding(one, whose);
}

static void print_people(const struct inspection *n)
{
    print_servers(n);
    (void) putchar('\n'); /* likewise */
    for (size_t i = 0; i < n->count; i++)
        for (size_t j = 0; j < n->servers[i]->findings.count; j++)
            print_finding_of(n, i, &n->servers[i]->findings.all[j]);
    for (size_t i = 0; i < n->findings.count; i++)
        print_finding(&n->findings.all[i], NULL);
    printf("%s\n", n->worst <= AUDIT_ADVICE ? "The store is as it should be."
                   : n->worst == AUDIT_WEAK ? "The store is used and loses nothing, but a fault may stop it."
                                            : "The store is not safe, or not to be used: see above.");
}

/* ---- for programs ---- */

static struct json *findings_json(const struct findings *f)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < f->count; i++) {
        struct json *one = json_new_object();
        json_put_text(one, "level", span_of(audit_word(f->all[i].level)));
        json_put_text(one, "text", span_of(f->all[i].text));
        json_put_text(one, "why", span_of(f->all[i].why));
        json_put(list, NULL, one);
    }
    return list;
}

static struct json *server_json(const struct server *s)
{
    struct json *json = json_new_object();

    json_put_text(json, "address", span_of(s->address));
    json_put_text(json, "role", span_of(s->role));
    json_put_flag(json, "answers", s->has_answered);
    if (s->primary) {
        json_put_text(json, "primary", span_of(s->primary));
        json_put_number(json, "behind_bytes", (int64_t) s->behind_bytes);
        json_put_number(json, "lag_s", (int64_t) s->lag_s);
    }
    if (s->has_answered && *s->version) {
        json_put_text(json, "version", span_of(s->version));
        json_put_number(json, "used_bytes", (int64_t) s->memory.used_bytes);
        json_put_number(json, "max_bytes", (int64_t) s->memory.most_bytes);
        json_put_number(json, "clock_ms", s->clock_ms);
    }
    if (strcmp(s->role, "primary") == 0)
        json_put_number(json, "replicas", s->replicas);
    json_put_text(json, "level", span_of(audit_word(s->findings.worst)));
    json_put(json, "findings", findings_json(&s->findings));
    return json;
}

static void print_programs(const struct inspection *n)
{
    struct json *json = json_new_object(), *servers = json_new_array();

    json_put_flag(json, "ok", n->worst <= AUDIT_ADVICE);
    json_put_text(json, "level", span_of(audit_word(n->worst)));
    for (size_t i = 0; i < n->count; i++)
        json_put(servers, NULL, server_json(n->servers[i]));
    json_put(json, "servers", servers);
    json_put(json, "findings", findings_json(&n->findings));
    print_json(json);
}

int verb_store_check(const struct arguments *a)
{
    struct inspection n;
    struct ask *k;

    int status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = inspect(k, &n);
    if (status == EXIT_OK) {
        if (a->is_json)
            print_programs(&n);
        else
            print_people(&n);
        status = n.worst <= AUDIT_ADVICE ? EXIT_OK : EXIT_ASKED_FAILED;
        inspection_done(&n);
    }
    ask_close(k);
    return status;
}
