/* Users as the verbs handle them: one question at a time, the loop running until it is answered. */
#include "ctl/user_desk.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "ctl/password.h"

static const uint64_t quota_most = UINT64_C(1) << 40;

int desk_open(const struct arguments *a, struct desk *ret_desk)
{
    *ret_desk = (struct desk){.link = NULL};
    return table_link_open(a, &ret_desk->link);
}

void desk_close(struct desk *d)
{
    d->user = user_unref(d->user);
    buf_wipe(&d->read);
    d->link = table_link_close(d->link);
}

/* ---- records */

int desk_find(struct desk *d, const char *name, bool must_be_new)
{
    if (user_name_check(span_of(name)) < 0)
        return say_usage("a user's name has 1 to %d bytes of UTF-8, without control characters",
                         USER_NAME_MAX);
    enum table_answer answer = table_link_get(d->link, TABLE_USERS, span_of(name), &d->read);
    if (answer == TABLE_UNKNOWN)
        return table_say_unknown(TABLE_USERS);
    if (must_be_new) {
        if (answer == TABLE_OK)
            return say_failed("there is a user %s already; baridctl user passwd gives it another password",
                              name);
        d->user = user_new(span_of(name));
        return EXIT_OK;
    }
    if (answer == TABLE_NONE)
        return say_failed("there is no user %s", name);
    if (wire_get_user(buf_span(&d->read), &d->user) < 0)
        return say_failed("the record of %s cannot be read; baridctl user rm removes it", name);
    return EXIT_OK;
}

int desk_write(struct desk *d)
{
    AUTO_BUF struct buf value = {0};
    struct span expected = buf_span(&d->read);
    d->user->changed_ms = store_redis_ms(table_link_store(d->link));
    wire_put_user(d->user, &value);
    if (value.len > TABLE_VALUE_MAX)
        return say_failed("that is too much for one user: %zu bytes, %d at most", value.len, TABLE_VALUE_MAX);
    switch (table_link_put(d->link, TABLE_USERS, span_of(d->user->name), buf_span(&value), &expected)) {
    case TABLE_OK: return EXIT_OK;
    case TABLE_EXISTS:
    case TABLE_NONE:
    case TABLE_CHANGED: return say_failed("somebody else has changed %s meanwhile; try again", d->user->name);
    case TABLE_UNKNOWN: break;
    }
    return table_say_unknown(TABLE_USERS);
}

int desk_remove(struct desk *d, const char *name)
{
    switch (table_link_remove(d->link, TABLE_USERS, span_of(name), NULL)) {
    case TABLE_NONE: return say_failed("there is no user %s", name);
    case TABLE_UNKNOWN: return table_say_unknown(TABLE_USERS);
    default: return EXIT_OK;
    }
}

int desk_list(struct desk *d, desk_on_user *on_user, void *context)
{
    struct table_rows rows;
    int status = table_link_list(d->link, TABLE_USERS, &rows);
    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < rows.count; i++) {
        struct user *u = NULL;
        if (wire_get_user(rows.rows[i].value, &u) < 0 || !span_equal(span_of(u->name), rows.rows[i].field))
            u = user_unref(u);
        on_user(context, rows.rows[i].field, u);
        (void) user_unref(u); /* always NULL */
    }
    table_rows_done(&rows);
    return EXIT_OK;
}

/* ---- passwords */

static int count_given(const struct arguments *a)
{
    return argument_is_given(a, "password-file") + argument_is_given(a, "password-stdin") +
           argument_is_given(a, "verifier") + argument_is_given(a, "no-password");
}

int desk_set_password(struct desk *d, const struct arguments *a, struct buf *generated)
{
    struct verifier *v = &d->user->verifier;
    struct buf password = {0};
    int status = EXIT_OK;
    if (count_given(a) > 1)
        return say_usage(
            "only one of --password-file, --password-stdin, --verifier and --no-password can be given");
    if (argument_is_given(a, "no-password")) {
        *v = (struct verifier){.kind = VERIFIER_NONE};
        return EXIT_OK;
    }
    if (argument_is_given(a, "verifier"))
        return verifier_parse(span_of(argument_text(a, "verifier", "")), v) < 0
                   ? say_usage(
                         "--verifier: expected {SCRAM-SHA-256}..., SCRAM-SHA-256$... or $scrypt$ln=...,r=...,p=...$...")
                   : EXIT_OK;
    if (argument_is_given(a, "password-file"))
        status = password_read_file(argument_text(a, "password-file", ""), &password);
    else if (argument_is_given(a, "password-stdin"))
        status = password_read(STDIN_FILENO, "standard input", &password);
    else
        password_make(&password);
    if (status == EXIT_OK && password_check(buf_span(&password)) < 0)
        status = say_failed("a password has 1 to %d bytes of UTF-8, without control characters",
                            PASSWORD_MAX);
    if (status == EXIT_OK)
        verifier_make(buf_span(&password), v);
    if (status == EXIT_OK && count_given(a) == 0)
        buf_add_span(generated, buf_span(&password));
    buf_wipe(&password);
    return status;
}

/* ---- the rest */

/* Separated by commas. */
static int set_senders(struct user *u, const char *text)
{
    char sender[USER_SENDER_MAX + 1];
    struct span rest = span_of(text);
    user_clear_senders(u);
    while (rest.at && text[0] != '\0') {
        struct span item = span_trim(span_cut(&rest, ','));
        if (user_sender_check(item, sender) < 0)
            return say_usage("--senders: \"%.*s\" is no address, @domain, @.domain or *", SPAN_ARG(item));
        if (u->sender_count == USER_SENDERS_MAX)
            return say_usage("--senders: %d at most", USER_SENDERS_MAX);
        user_add_sender(u, sender);
    }
    return EXIT_OK;
}

static int set_tenant(struct user *u, const char *text)
{
    size_t len = strlen(text);
    if (len > USER_TENANT_MAX || !span_is_text(span_of(text)))
        return say_usage("--tenant: a name has at most %d bytes of UTF-8, without control characters",
                         USER_TENANT_MAX);
    mem_free(u->tenant);
    u->tenant = len > 0 ? mem_string(text) : NULL;
    return EXIT_OK;
}

int desk_set_options(struct desk *d, const struct arguments *a)
{
    struct user *u = d->user;
    const struct {
        const char *option;
        uint64_t *number;
    } quotas[] = {{"messages-per-hour", &u->messages_per_hour},
                  {"messages-per-day", &u->messages_per_day},
                  {"recipients-per-hour", &u->recipients_per_hour},
                  {"recipients-per-day", &u->recipients_per_day}};
    int status = EXIT_OK;
    if (argument_is_given(a, "tenant"))
        status = set_tenant(u, argument_text(a, "tenant", ""));
    if (status == EXIT_OK && argument_is_given(a, "senders"))
        status = set_senders(u, argument_text(a, "senders", ""));
    for (size_t i = 0; i < ARRAY_LEN(quotas) && status == EXIT_OK; i++)
        if (argument_number(a, quotas[i].option, 0, quota_most, *quotas[i].number, quotas[i].number) < 0)
            status = EXIT_BAD_USAGE;
    return status;
}
