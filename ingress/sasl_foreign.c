/* Users that others vouch for: Dovecot, the introspection end point. */
#include "base/conf.h"
#include "base/mem.h"
#include "ingress/sasl_driver.h"
#include "io/stream.h"

static struct user *foreign_user(struct span name)
{
    const struct conf_list *senders = &conf_get()->auth.foreign_senders;
    struct user *u = user_new(name);
    char sender[USER_SENDER_MAX + 1];
    u->is_foreign = true;
    for (size_t i = 0; i < senders->count; i++)
        if (user_sender_check(span_of(senders->items[i]), sender) >= 0) /* auth_check() */
            user_add_sender(u, sender);
    return u;
}

static void on_foreign_user(void *context, enum user_answer answer, struct user *user)
{
    struct sasl *s = context;
    if (!sasl_is_waiting(s))
        return;
    if (answer == USER_AWAY || answer == USER_BROKEN) {
        sasl_finish(s, SASL_AWAY);
        return;
    }
    if (answer == USER_FOUND) {
        s->user = user_ref(user);
    } else {
        s->user = foreign_user(buf_span(&s->foreign));
    }
    if (s->user->is_disabled)
        sasl_refuse(s);
    else
        sasl_finish(s, SASL_ACCEPTED);
}

/* A record here, if there is one, says what that user may send, and whether it is disabled. */
void sasl_take_foreign(struct sasl *s)
{
    s->waits++;
    user_get(s->reactor->store, buf_span(&s->foreign), conf_get()->auth.timeout_ms, on_foreign_user, s);
}

static void on_dovecot(void *context, const struct dovecot_result *result)
{
    struct sasl *s = context;
    const struct sasl_result challenge = {.state = SASL_CHALLENGE, .challenge = result->challenge};
    bool is_relayed = s->exchange.mechanism == NULL;
    must(s->magic == SASL_MAGIC);
    if (result->answer != DOVECOT_CHALLENGE)
        s->dovecot = NULL;
    switch (result->answer) {
    case DOVECOT_CHALLENGE:
        if (is_relayed)
            s->on_result(s->owner, &challenge);
        else
            sasl_finish(s, SASL_AWAY); /* PLAIN has none */
        return;
    case DOVECOT_AWAY: sasl_finish(s, SASL_AWAY); return;
    case DOVECOT_ACCEPTED:
        if (user_name_check(result->user) < 0)
            break;
        buf_add_span(&s->foreign, result->user);
        if (is_relayed)
            sasl_confirm(s);
        else
            sasl_judge(s, true);
        return;
    case DOVECOT_REFUSED: break;
    }
    if (is_relayed)
        sasl_refuse(s);
    else
        sasl_judge(s, false);
}

void sasl_ask_dovecot(struct sasl *s, struct span mechanism, bool has_response, struct span response)
{
    struct ip local;
    uint16_t port;
    bool has_local = s->client->stream && stream_local(s->client->stream, &local, &port) >= 0;
    const struct dovecot_client client = {.remote = s->client->ip,
                                          .local = has_local ? &local : NULL,
                                          .session = s->client->session,
                                          .is_secured = s->client->is_secured};
    s->dovecot = dovecot_ask(auth_dovecot(s->reactor->auth), &client, mechanism, has_response, response,
                             conf_get()->auth.timeout_ms, on_dovecot, s);
}

void sasl_ask_dovecot_password(struct sasl *s)
{
    struct buf message = {0};
    (void) buf_reserve(&message,
                       s->exchange.name.len + s->exchange.password.len + 2); /* so it is not copied */
    buf_add_char(&message, '\0');
    buf_add_span(&message, buf_span(&s->exchange.name));
    buf_add_char(&message, '\0');
    buf_add_span(&message, buf_span(&s->exchange.password));
    sasl_ask_dovecot(s, SPAN("PLAIN"), true, buf_span(&message));
    buf_wipe(&message);
}

static void on_oauth(void *context, enum oauth_answer answer, struct span user)
{
    struct sasl *s = context;
    struct span claimed = buf_span(&s->exchange.name);
    must(s->magic == SASL_MAGIC);
    s->oauth = NULL;
    if (answer == OAUTH_AWAY) {
        sasl_finish(s, SASL_AWAY);
        return;
    }
    bool is_right = answer == OAUTH_GOOD && user_name_check(user) >= 0 &&
                    (claimed.len == 0 || span_equal(claimed, user));
    if (is_right)
        buf_add_span(&s->foreign, user);
    sasl_judge(s, is_right);
}

void sasl_ask_oauth(struct sasl *s)
{
    s->oauth = oauth_ask(auth_oauth(s->reactor->auth), buf_span(&s->exchange.token), on_oauth, s);
}
