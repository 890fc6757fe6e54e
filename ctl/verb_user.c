/* user add, set, passwd, disable, enable, rm, list, show. */
#include "ctl/print.h"
#include "ctl/user_desk.h"
#include "ctl/user_mail.h"

static const char *const verifier_names[] = {
    [VERIFIER_NONE] = "none", [VERIFIER_SCRAM] = "SCRAM-SHA-256", [VERIFIER_SCRYPT] = "scrypt"};

/* ---- what is told of a user */

static struct json *user_json(const struct user *u)
{
    struct json *json = json_new_object(), *senders = json_new_array();
    json_put_text(json, "name", span_of(u->name));
    if (u->tenant)
        json_put_text(json, "tenant", span_of(u->tenant));
    else
        json_put_null(json, "tenant");
    for (size_t i = 0; i < u->sender_count; i++)
        json_put_text(senders, NULL, span_of(u->senders[i]));
    json_put(json, "senders", senders);
    json_put_flag(json, "disabled", u->is_disabled);
    json_put_text(json, "password", span_of(verifier_names[u->verifier.kind]));
    json_put_number(json, "messages_per_hour", (int64_t) u->messages_per_hour);
    json_put_number(json, "messages_per_day", (int64_t) u->messages_per_day);
    json_put_number(json, "recipients_per_hour", (int64_t) u->recipients_per_hour);
    json_put_number(json, "recipients_per_day", (int64_t) u->recipients_per_day);
    json_put_number(json, "changed_ms", (int64_t) u->changed_ms);
    return json;
}

static void print_quota(const char *what, uint64_t per_hour, uint64_t per_day)
{
    if (per_hour > 0)
        printf("%-11s %llu an hour\n", what, (unsigned long long) per_hour);
    if (per_day > 0)
        printf("%-11s %llu a day\n", per_hour > 0 ? "" : what, (unsigned long long) per_day);
}

static void print_user(const struct user *u)
{
    printf("user        ");
    print_safe(span_of(u->name));
    printf("%s\n", u->is_disabled ? "  (disabled)" : "");
    if (u->tenant) {
        printf("tenant      ");
        print_safe(span_of(u->tenant));
        printf("\n");
    }
    printf("senders     ");
    for (size_t i = 0; i < u->sender_count; i++) {
        printf("%s", i > 0 ? ", " : "");
        print_safe(span_of(u->senders[i]));
    }
    printf("%s\n", u->sender_count == 0 ? "its own name, if that is an address" : "");
    printf("password    %s\n", verifier_names[u->verifier.kind]);
    print_quota("messages", u->messages_per_hour, u->messages_per_day);
    print_quota("recipients", u->recipients_per_hour, u->recipients_per_day);
}

/* What was done, and the password if it was made up here: it is told this once. */
static void tell(const struct arguments *a, const struct user *u, const char *done,
                 const struct buf *generated)
{
    if (a->is_json) {
        struct json *json = user_json(u);
        json_put_text(json, "done", span_of(done));
        if (generated->len > 0)
            json_put_text(json, "generated_password", buf_span(generated));
        print_json(json);
        return;
    }
    print_safe(span_of(u->name));
    printf(": %s\n", done);
    if (generated->len > 0)
        printf("password    %.*s\n", SPAN_ARG(buf_span(generated)));
}

/* ---- verbs that change one */

enum change { CHANGE_ADD, CHANGE_SET, CHANGE_PASSWORD };

static int change(struct desk *d, const struct arguments *a, enum change what, struct buf *generated)
{
    int status = desk_find(d, a->operands[0], what == CHANGE_ADD);
    if (status == EXIT_OK && what != CHANGE_PASSWORD)
        status = desk_set_options(d, a);
    if (status == EXIT_OK && what != CHANGE_SET)
        status = desk_set_password(d, a, generated);
    return status == EXIT_OK ? desk_write(d) : status;
}

static int run_change(const struct arguments *a, enum change what)
{
    static const char *const done[] = {"added", "changed", "has another password; its sessions end"};
    struct desk d;
    struct buf generated = {0};
    int status = desk_open(a, &d);
    if (status != EXIT_OK)
        return status;
    status = change(&d, a, what, &generated);
    if (status == EXIT_OK)
        tell(a, d.user, done[what], &generated);
    buf_wipe(&generated);
    desk_close(&d);
    return status;
}

int verb_user_add(const struct arguments *a)
{
    return run_change(a, CHANGE_ADD);
}

int verb_user_set(const struct arguments *a)
{
    return run_change(a, CHANGE_SET);
}

int verb_user_passwd(const struct arguments *a)
{
    return run_change(a, CHANGE_PASSWORD);
}

int verb_user_rm(const struct arguments *a)
{
    struct desk d;
    int status = desk_open(a, &d);
    if (status != EXIT_OK)
        return status;
    status = desk_remove(&d, a->operands[0]);
    if (status == EXIT_OK && a->is_json) {
        struct json *json = json_new_object();
        json_put_text(json, "name", span_of(a->operands[0]));
        json_put_text(json, "done", SPAN("removed"));
        print_json(json);
    } else if (status == EXIT_OK) {
        print_safe(span_of(a->operands[0]));
        printf(": removed; its sessions end\n");
    }
    desk_close(&d);
    return status;
}

/* ---- disabled and enabled */

/* The record first: what is submitted after that has seen it, and what was before is found in the queue. */
static int set_disabled(const struct arguments *a, bool is_disabled)
{
    struct desk d;
    int status = desk_open(a, &d);
    if (status != EXIT_OK)
        return status;
    status = desk_find(&d, a->operands[0], false);
    if (status == EXIT_OK && !argument_is_given(a, "dry-run")) {
        d.user->is_disabled = is_disabled;
        status = desk_write(&d);
    }
    desk_close(&d);
    return status;
}

int verb_user_disable(const struct arguments *a)
{
    int status = set_disabled(a, true);
    return status == EXIT_OK ? user_mail_hold(a, a->operands[0]) : status;
}

int verb_user_enable(const struct arguments *a)
{
    int status = set_disabled(a, false);
    return status == EXIT_OK ? user_mail_release(a, a->operands[0]) : status;
}

/* ---- verbs that look */

int verb_user_show(const struct arguments *a)
{
    struct desk d;
    int status = desk_open(a, &d);
    if (status != EXIT_OK)
        return status;
    status = desk_find(&d, a->operands[0], false);
    if (status == EXIT_OK && a->is_json)
        print_json(user_json(d.user));
    else if (status == EXIT_OK)
        print_user(d.user);
    desk_close(&d);
    return status;
}

struct listing {
    struct json *json;
    struct grid grid;
    const char *tenant; /* only its users; NULL: all */
    size_t count, unreadable;
};

static void on_user(void *context, struct span name, const struct user *u)
{
    struct listing *l = context;
    if (!u) {
        l->unreadable++;
        fprintf(stderr, "the record of %.*s cannot be read\n", SPAN_ARG(name));
        return;
    }
    if (l->tenant && !span_equal(span_of(u->tenant), span_of(l->tenant)))
        return;
    l->count++;
    json_put(l->json, NULL, user_json(u));
    grid_cell_safe(&l->grid, span_of(u->name));
    grid_cell_safe(&l->grid, span_of(u->tenant ? u->tenant : "-"));
    grid_cell(&l->grid, "%s", u->is_disabled ? "disabled" : "enabled");
    grid_cell(&l->grid, "%s", verifier_names[u->verifier.kind]);
    AUTO_BUF struct buf senders = {0};
    for (size_t i = 0; i < u->sender_count; i++)
        buf_printf(&senders, "%s%s", i > 0 ? ", " : "", u->senders[i]);
    grid_cell_safe(&l->grid, u->sender_count > 0 ? buf_span(&senders) : SPAN("-"));
}

int verb_user_list(const struct arguments *a)
{
    struct desk d;
    struct listing l = {.tenant = argument_text(a, "tenant", NULL)};
    int status = desk_open(a, &d);
    if (status != EXIT_OK)
        return status;
    l.json = json_new_array();
    grid_init(&l.grid, "user|tenant|state|password|senders");
    status = desk_list(&d, on_user, &l);
    if (status == EXIT_OK && a->is_json) {
        print_json(STEAL(l.json));
    } else if (status == EXIT_OK) {
        if (l.count > 0)
            grid_print(&l.grid);
        else
            printf("no users\n");
    }
    l.json = json_free(l.json);
    grid_done(&l.grid);
    desk_close(&d);
    return status == EXIT_OK && l.unreadable > 0 ? EXIT_ASKED_FAILED : status;
}
