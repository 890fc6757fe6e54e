/*
 * The first steps of a connection's life: TLS, AUTH, who am I, killing the predecessor, the owner's greeting. What goes wrong here becomes a
 * sentence that says what to do about it.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/redis_private.h"

enum {
    ALERT_RECORD = 0x15,
    ERROR_SHOWN_BYTES = 200,
    MUTE_ENDS = 4 /* a server that starts or ends does it less often */
};

/* ---- what is wrong */

static bool is_code(struct span error, const char *code)
{
    return error.len >= strlen(code) && memcmp(error.at, code, strlen(code)) == 0;
}

void redis_hello_error(struct redis_connection *c, struct span error)
{
    const char *user = c->redis->user ? c->redis->user : "default";

    if (c->refusal)
        return; /* the first one is the cause */
    if (is_code(error, "WRONGPASS")) {
        c->refusal = mem_format(
            "it refuses the password of user %s, or does not know it: set user and password as in its ACL",
            user);
    } else if (is_code(error, "ERR AUTH <password> called without any password")) {
        c->refusal = mem_string("it has no password for its default user: set a user too, or no password");
    } else if (is_code(error, "NOAUTH")) {
        c->refusal = mem_string("it wants a password: set user and password as in its ACL");
    } else if (is_code(error, "NOPERM")) {
        c->refusal = mem_format(
            "user %s may not use CLIENT ID, CLIENT KILL and INFO: make its rules anew with baridctl store acl",
            user);
    } else {
        AUTO_BUF struct buf text = {0};
        buf_add_printable(&text, error, ERROR_SHOWN_BYTES);
        c->refusal = mem_format("it answered: %.*s", SPAN_ARG(buf_span(&text)));
    }
}

void redis_hello_first_bytes(struct redis_connection *c, struct span in)
{
    if (!c->redis->settings.tls && in.at[0] == ALERT_RECORD && !c->refusal)
        c->refusal = mem_string("it speaks TLS there: set store.tls yes, or use its plain port");
}

static char *tls_refusal(const struct redis_connection *c, int reason)
{
    const char *error = stream_tls_error(c->stream);

    switch (stream_tls_failure(c->stream)) {
    case TLS_FAILURE_NOT_TRUSTED:
        return mem_format(
            "its certificate is not trusted (%s): set store.tls_ca_file to the authority that signed it",
            error);
    case TLS_FAILURE_HOST_MISMATCH:
        return mem_format(
            "its certificate is not for %s (%s): set store.tls_name to a name it has, or make it one for this name",
            c->redis->tls_name, error);
    case TLS_FAILURE_EXPIRED:
        return mem_format("its certificate is not valid now (%s): renew it, or set the clocks right", error);
    default: break;
    }
    if (strstr(error, "certificate required") || strstr(error, "handshake failure") ||
        strstr(error, "unknown ca") || strstr(error, "bad certificate"))
        return mem_format(
            "it refuses our certificate, or wants one (%s): set store.tls_certificate to one that its tls-ca-cert-file knows, or tls-auth-clients no there",
            error);
    if (reason == -ETIMEDOUT ||
        strstr(error, "wrong version number")) /* Redis awaits the end of a line in our greeting */
        return mem_string("it does not speak TLS there: use its tls-port, or set store.tls no");
    return mem_format("TLS failed: %s", error);
}

char *redis_refusal_of(struct redis_connection *c, int reason)
{
    bool is_mute = !c->refusal && c->state == CONNECTION_HELLO && (reason == 0 || reason == -ECONNRESET) &&
                   !c->redis->settings.tls;

    c->redis->mute_ends = is_mute ? c->redis->mute_ends + 1 : 0;
    c->redis->refuses = c->refusal || *stream_tls_error(c->stream) || c->redis->mute_ends >= MUTE_ENDS;
    if (c->refusal)
        return STEAL(c->refusal);
    if (c->state == CONNECTION_ENDING)
        return c->fault ? mem_string(c->fault) : NULL;
    if (*stream_tls_error(c->stream) ||
        (reason == -ETIMEDOUT && stream_tls_failure(c->stream) == TLS_FAILURE_HANDSHAKE))
        return tls_refusal(c, reason);
    if (is_mute)
        return mem_string(
            "it closed the connection without a word: if that is its tls-port, set store.tls yes");
    if (reason == -ETIMEDOUT && c->state != CONNECTION_OPENING)
        return mem_string("it takes connections and does not answer: is it stopped, or too busy?");
    return mem_format("%s: is it running, and is its address right?",
                      reason == 0 ? "it closed the connection" : log_errno_text(-reason));
}

/* ---- step by step */

static void connection_ask(struct redis_connection *c, enum connection_state state,
                           void (*on_done)(struct redis_request *, enum redis_result,
                                           const struct redis_value *))
{
    c->state = state;
    c->own.on_done = on_done;
    redis_connection_send(c, &c->own, clock_us());
    stream_written(c->stream);
}

static void connection_is_up(struct redis_connection *c)
{
    c->state = CONNECTION_UP;
    c->has_been_up = true;
    c->redis->mute_ends = 0;
    c->retry_ms = 0;
    stream_deadline(c->stream, 0);
    redis_connection_up(c->redis);
    redis_stir(c->redis);
}

static void on_greeted(struct redis_request *request, enum redis_result result,
                       const struct redis_value *values)
{
    struct redis_connection *c = CONTAINER_OF(request, struct redis_connection, greeting);
    const struct redis_settings *settings = &c->redis->settings;
    if (result != REDIS_OK)
        return; /* on_closed sees to it */
    int r = settings->on_greeted ? settings->on_greeted(settings->owner, values, request->reply_count) : 0;
    if (c->state != CONNECTION_GREET)
        return; /* the owner has closed it all */
    if (r != 0)
        redis_connection_give_up(c, NULL); /* the owner knows why */
    else
        connection_is_up(c);
}

static void connection_greet(struct redis_connection *c)
{
    const struct redis_settings *settings = &c->redis->settings;
    buf_clear(&c->greeting.bytes);
    c->greeting.reply_count = 0;
    if (settings->greet)
        settings->greet(settings->owner, &c->greeting);
    if (c->state == CONNECTION_ENDING)
        return;
    if (c->greeting.reply_count == 0) {
        connection_is_up(c);
        return;
    }
    c->state = CONNECTION_GREET;
    c->greeting.on_done = on_greeted;
    redis_connection_send(c, &c->greeting, clock_us());
    stream_written(c->stream);
}

static void connection_limbo_is_over(struct redis_connection *c)
{
    redis_connection_resolve_limbo(c);
    if (c->state != CONNECTION_ENDING)
        connection_greet(c);
}

static void on_killed(struct redis_request *request, enum redis_result result,
                      const struct redis_value *values)
{
    struct redis_connection *c = CONTAINER_OF(request, struct redis_connection, own);
    if (result != REDIS_OK)
        return;                          /* on_closed sees to it */
    if (values[0].type == REDIS_INTEGER) /* how many were killed: the last life is gone either way */
        connection_limbo_is_over(c);
    else
        redis_connection_give_up(c, "CLIENT KILL was refused");
}

static int life_parse(struct life *ret_life, const struct redis_value *values)
{
    struct span info = redis_text(&values[1]);
    if (values[0].type != REDIS_INTEGER || values[0].integer <= 0)
        return -EPROTO;
    while (info.len > 0) {
        struct span line = span_trim(span_cut(&info, '\n'));
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        struct span key = span_cut(&line, ':');
        if (!span_equal(key, SPAN("run_id")) || line.len == 0 || line.len > RUN_ID_MAX)
            continue;
        ret_life->client_id = values[0].integer;
        memcpy(ret_life->run_id, line.at, line.len);
        ret_life->run_id[line.len] = '\0';
        return 0;
    }
    return -EPROTO;
}

static void on_hello(struct redis_request *request, enum redis_result result,
                     const struct redis_value *values)
{
    struct redis_connection *c = CONTAINER_OF(request, struct redis_connection, own);
    if (result != REDIS_OK)
        return; /* on_closed sees to it */
    /* AUTH's reply, if there is one, comes before; an error in it is remembered, and the others are errors too. */
    if (c->refusal || life_parse(&c->life, values + request->reply_count - 2) < 0) {
        redis_connection_give_up(c, "no answer to CLIENT ID and INFO server");
        return;
    }
    if (!c->before.client_id || strcmp(c->before.run_id, c->life.run_id) != 0) {
        connection_limbo_is_over(
            c); /* nothing to kill, or another process: the last one's clients are gone with it */
        return;
    }
    buf_clear(&c->own.bytes);
    resp_command(&c->own.bytes, 4);
    resp_arg_text(&c->own.bytes, "CLIENT");
    resp_arg_text(&c->own.bytes, "KILL");
    resp_arg_text(&c->own.bytes, "ID");
    resp_arg_number(&c->own.bytes, c->before.client_id);
    c->own.reply_count = 1;
    connection_ask(c, CONNECTION_KILL, on_killed);
}

static void say_hello(struct redis_connection *c)
{
    const struct redis *r = c->redis;
    struct buf *b = &c->own.bytes;
    buf_clear(b);
    c->own.reply_count = 2;
    if (r->password) {
        resp_command(b, r->user ? 3 : 2);
        resp_arg_text(b, "AUTH");
        if (r->user)
            resp_arg_text(b, r->user);
        resp_arg_text(b, r->password);
        c->own.reply_count++;
    }
    resp_command(b, 2);
    resp_arg_text(b, "CLIENT");
    resp_arg_text(b, "ID");
    resp_command(b, 2);
    resp_arg_text(b, "INFO");
    resp_arg_text(b, "server");
    connection_ask(c, CONNECTION_HELLO, on_hello);
    explicit_bzero(b->data, b->len);
}

void redis_hello_secured(void *owner)
{
    say_hello(owner);
}

void redis_hello_connected(void *owner)
{
    struct redis_connection *c = owner;
    const struct redis *r = c->redis;
    if (!r->settings.tls) {
        say_hello(c);
        return;
    }
    struct ip ip;
    bool is_ip = ip_parse(span_of(r->tls_name), &ip) == 0;
    const char *const names[] = {r->tls_name};
    stream_start_tls_client(c->stream, r->settings.tls,
                            &(struct tls_demand){.proof = TLS_PROOF_NAME,
                                                 .sni = is_ip ? NULL : r->tls_name,
                                                 .names = names,
                                                 .name_count = is_ip ? 0 : 1,
                                                 .address = is_ip ? r->tls_name : NULL});
}
