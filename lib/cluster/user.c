/* Users: records, senders. The field of the table is the name as it is, and only that: no name is ever part of a command's text (BEHAVIOURS D07). */
#include "cluster/user.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/table.h"
#include "cluster/wire.h"
#include "io/idn.h"

/* ---- a user */

struct user *user_new(struct span name)
{
    struct user *u = NEW(struct user);
    u->holders = 1;
    u->name = mem_text(name.at, name.len);
    return u;
}

struct user *user_ref(struct user *u)
{
    u->holders++;
    return u;
}

struct user *user_unref(struct user *u)
{
    if (!u)
        return NULL;
    must(u->holders > 0);
    if (--u->holders > 0)
        return NULL;
    mem_free(u->name);
    mem_free(u->tenant);
    user_clear_senders(u);
    explicit_bzero(&u->verifier, sizeof u->verifier);
    return mem_free(u);
}

void user_add_sender(struct user *u, const char *sender)
{
    u->senders = mem_resize(u->senders, (u->sender_count + 1) * sizeof *u->senders);
    u->senders[u->sender_count++] = mem_string(sender);
}

void user_clear_senders(struct user *u)
{
    for (size_t i = 0; i < u->sender_count; i++)
        mem_free(u->senders[i]);
    u->senders = mem_free(u->senders);
    u->sender_count = 0;
}

int user_name_check(struct span name)
{
    return name.len > 0 && name.len <= USER_NAME_MAX && span_is_text(name) ? 0 : -EINVAL;
}

/* ---- senders */

/* local@ and a domain that is an A-label or a literal; the part before the domain is `head`. */
static int add_domain(struct span head, struct span domain, char ret_sender[static USER_SENDER_MAX + 1])
{
    char text[DOMAIN_MAX + 1];
    if (idn_domain(domain, text) < 0 || head.len + strlen(text) > USER_SENDER_MAX)
        return -EINVAL;
    memcpy(ret_sender, head.at, head.len);
    memcpy(ret_sender + head.len, text, strlen(text) + 1);
    return 0;
}

static struct span behind(struct span s, size_t len)
{
    return (struct span){.at = s.at + len, .len = s.len - len};
}

int user_sender_check(struct span sender, char ret_sender[static USER_SENDER_MAX + 1])
{
    struct addr addr;
    if (span_equal(sender, SPAN("*"))) {
        memcpy(ret_sender, "*", sizeof "*");
        return 0;
    }
    if (sender.len > USER_SENDER_MAX || !span_is_text(sender))
        return -EINVAL;
    if (span_starts_nocase(sender, SPAN("@.")))
        return add_domain(SPAN("@."), behind(sender, 2), ret_sender);
    if (span_starts_nocase(sender, SPAN("@")))
        return add_domain(SPAN("@"), behind(sender, 1), ret_sender);
    const char *at = sender.len ? memrchr(sender.at, '@', sender.len) : NULL;
    if (!at)
        return -EINVAL;
    struct span head = {.at = sender.at, .len = (size_t) (at - sender.at) + 1};
    if (add_domain(head, behind(sender, head.len), ret_sender) < 0 ||
        addr_parse(span_of(ret_sender), &addr) < 0)
        return -EINVAL;
    return 0;
}

/* domain: an A-label in lower case; a pattern is "local@domain", "@domain", "@.domain". */
static bool pattern_matches(const char *pattern, struct span local, const char *domain)
{
    const char *at = strrchr(pattern, '@');
    if (!at)
        return false;
    if (at == pattern)
        return at[1] == '.' ? domain_matches(domain, at + 1) : strcmp(domain, at + 1) == 0;
    struct span own = {.at = pattern, .len = (size_t) (at - pattern)};
    return strcmp(domain, at + 1) == 0 && span_equal_nocase(local, own);
}

bool user_may_send(const struct user *u, const struct addr *sender)
{
    char domain[DOMAIN_MAX + 1], own[USER_SENDER_MAX + 1];
    if (sender->whole.len == 0)
        return true;
    for (size_t i = 0; i < u->sender_count; i++)
        if (strcmp(u->senders[i], "*") == 0)
            return true;
    if (sender->is_literal || idn_domain(sender->domain, domain) < 0)
        return false;
    if (u->sender_count == 0)
        return u->name[0] != '@' && strcmp(u->name, "*") != 0 &&
               user_sender_check(span_of(u->name), own) >= 0 && pattern_matches(own, sender->local, domain);
    for (size_t i = 0; i < u->sender_count; i++)
        if (pattern_matches(u->senders[i], sender->local, domain))
            return true;
    return false;
}

/* ---- the table */

struct user_question {
    user_on_answer *on_answer;
    void *context;
    char *name;
};

static void on_value(void *context, enum table_answer answer, struct span value)
{
    struct user_question *q = context;
    struct user *u = NULL;
    enum user_answer said = answer == TABLE_OK ? USER_FOUND : answer == TABLE_NONE ? USER_NONE : USER_AWAY;
    if (said == USER_FOUND && (wire_get_user(value, &u) < 0 || strcmp(u->name, q->name) != 0)) {
        u = user_unref(u);
        said = USER_BROKEN;
    }
    q->on_answer(q->context, said, u);
    (void) user_unref(u); /* always NULL */
    mem_free(q->name);
    mem_free(q);
}

void user_get(struct store *s, struct span name, uint64_t time_ms, user_on_answer *on_answer, void *context)
{
    struct user_question *q = NEW(struct user_question);
    q->on_answer = on_answer;
    q->context = context;
    q->name = mem_text(name.at, name.len);
    table_get(s, TABLE_USERS, name, time_ms, on_value, q);
}

bool user_may_go_on(const struct user *was, enum user_answer answer, const struct user *now)
{
    if (answer == USER_AWAY || answer == USER_BROKEN)
        return true;
    if (answer == USER_NONE)
        return was->is_foreign;
    return !now->is_disabled && (was->is_foreign || verifier_equal(&was->verifier, &now->verifier));
}
