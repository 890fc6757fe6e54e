/*
 * Introspection of bearer tokens. What is remembered is the token's hash under a key of this reactor's, and the name; for a minute, or until the token
 * expires. A refusal is not remembered: the end point decides anew, and failures are counted by the locks.
 */
#include "ingress/oauth.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cluster/user.h"
#include "io/crypto.h"
#include "io/http_client.h"
#include "io/json.h"

enum { ANSWER_MAX = 65536, REMEMBERED = 256, REMEMBER_MS = 60000, KEY_BYTES = 32 };

struct remembered {
    uint8_t mac[SHA256_BYTES];
    uint64_t until_ms;
    char user[USER_NAME_MAX + 1];
};

struct oauth {
    struct loop *loop;
    struct http_client *http;
    uint8_t key[KEY_BYTES];
    struct remembered *remembered[REMEMBERED]; /* at the place its first byte says */
};

struct oauth_call {
    struct oauth *owner;
    struct http_call *http; /* NULL: it was remembered, and the timer tells */
    struct timer timer;
    uint8_t mac[SHA256_BYTES];
    oauth_on_answer *on_answer;
    void *context;
};

/* ---- settings */

/* host, host:port, and a path behind it; nothing else, such as a user's name in front of another host. */
static bool is_local(struct span rest)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    struct span host = span_cut(&rest, '/');
    uint64_t port;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct span name = span_of(names[i]);
        if (!span_starts_nocase(host, name))
            continue;
        struct span behind = {.at = host.at + name.len, .len = host.len - name.len};
        if (behind.len == 0)
            return true;
        if (behind.at[0] == ':')
            return span_number((struct span){.at = behind.at + 1, .len = behind.len - 1}, UINT16_MAX,
                               &port) >= 0;
    }
    return false;
}

int oauth_check_conf(const struct conf_auth *conf, char **ret_error)
{
    static const struct span https = {.at = "https://", .len = 8}, http = {.at = "http://", .len = 7};
    struct span url = span_of(conf->oauth_url);
    if (span_starts_nocase(url, https) && url.len > https.len)
        return 0;
    if (span_starts_nocase(url, http) &&
        is_local((struct span){.at = url.at + http.len, .len = url.len - http.len}))
        return 0;
    *ret_error = mem_format("auth.oauth_url: \"%s\" is no https:// address (http:// is for this host only)",
                            conf->oauth_url);
    return -EINVAL;
}

struct oauth *oauth_new(struct loop *l)
{
    struct oauth *o = NEW(struct oauth);
    o->loop = l;
    o->http = http_client_new(l);
    crypto_random(o->key, sizeof o->key);
    return o;
}

struct oauth *oauth_free(struct oauth *o)
{
    if (!o)
        return NULL;
    o->http = http_client_free(o->http);
    for (size_t i = 0; i < REMEMBERED; i++)
        mem_free(o->remembered[i]);
    explicit_bzero(o, sizeof *o);
    return mem_free(o);
}

/* ---- memory */

static struct span mac_span(const uint8_t mac[static SHA256_BYTES])
{
    return (struct span){.at = (const char *) mac, .len = SHA256_BYTES};
}

static const struct remembered *recall(const struct oauth *o, const uint8_t mac[static SHA256_BYTES])
{
    const struct remembered *m = o->remembered[mac[0] % REMEMBERED];
    return m && m->until_ms > loop_now_ms(o->loop) && crypto_is_equal(mac_span(m->mac), mac_span(mac)) ? m
                                                                                                       : NULL;
}

/* exp_s: as told, seconds of the wall clock; 0: not told. */
static void remember(struct oauth *o, const uint8_t mac[static SHA256_BYTES], struct span user, int64_t exp_s)
{
    uint64_t keep_ms = REMEMBER_MS, wall_ms = clock_wall_ms();
    if (exp_s > 0 && exp_s < INT64_MAX / 1000) {
        uint64_t exp_ms = (uint64_t) exp_s * 1000;
        uint64_t left_ms = exp_ms > wall_ms ? exp_ms - wall_ms : 0;
        keep_ms = left_ms < keep_ms ? left_ms : keep_ms;
    }
    struct remembered **m = &o->remembered[mac[0] % REMEMBERED];
    if (!*m)
        *m = NEW(struct remembered);
    memcpy((*m)->mac, mac, SHA256_BYTES);
    memcpy((*m)->user, user.at, user.len);
    (*m)->user[user.len] = '\0';
    (*m)->until_ms = loop_now_ms(o->loop) + keep_ms;
}

/* ---- asking */

static void call_free(struct oauth_call *c)
{
    timer_stop(&c->timer);
    explicit_bzero(c, sizeof *c);
    mem_free(c);
}

static void call_end(struct oauth_call *c, enum oauth_answer answer, struct span user)
{
    oauth_on_answer *on_answer = c->on_answer;
    void *context = c->context;
    call_free(c);
    on_answer(context, answer, user);
}

static void on_remembered(struct timer *t)
{
    struct oauth_call *c = CONTAINER_OF(t, struct oauth_call, timer);
    const struct remembered *m = recall(c->owner, c->mac);
    if (m)
        call_end(c, OAUTH_GOOD, span_of(m->user));
    else
        call_end(c, OAUTH_AWAY, (struct span){0}); /* it went between two rounds */
}

/* Scopes are words between spaces. */
static bool has_scope(struct span scopes, const char *wanted)
{
    if (wanted[0] == '\0')
        return true;
    while (scopes.at)
        if (span_equal(span_cut(&scopes, ' '), span_of(wanted)))
            return true;
    return false;
}

static enum oauth_answer judge(const struct json *j, struct span *ret_user, int64_t *ret_exp)
{
    const struct conf_auth *conf = &conf_get()->auth;
    struct span scopes = {0};
    bool is_active;
    *ret_exp = 0;
    if (!json_get_flag(j, "active", &is_active))
        return OAUTH_AWAY;                     /* RFC 7662 asks for it: this is no such end point */
    (void) json_get_text(j, "scope", &scopes); /* without: none */
    (void) json_get_number(j, "exp", ret_exp); /* without: not told */
    if (!is_active || !has_scope(scopes, conf->oauth_scope) ||
        !json_get_text(j, conf->oauth_user, ret_user) || user_name_check(*ret_user) < 0)
        return OAUTH_REFUSED;
    return *ret_exp == 0 || *ret_exp > (int64_t) (clock_wall_ms() / 1000) ? OAUTH_GOOD : OAUTH_REFUSED;
}

static void on_http(void *context, const struct http_answer *a)
{
    struct oauth_call *c = context;
    struct json *j = a->status == 200 ? json_read(a->body) : NULL;
    struct span user = {0};
    int64_t exp_s = 0;
    enum oauth_answer answer = j ? judge(j, &user, &exp_s) : OAUTH_AWAY;
    c->http = NULL;
    if (answer == OAUTH_AWAY && log_is_on(LOG_BACKEND_LOST))
        log_event(LOG_BACKEND_LOST, F("backend", "oauth"), F("address", conf_get()->auth.oauth_url),
                  FN("status", a->status), F("reason", a->status ? "not an answer of RFC 7662" : a->error));
    if (answer == OAUTH_GOOD)
        remember(c->owner, c->mac, user, exp_s);
    call_end(c, answer, user);
    (void) json_free(j); /* always NULL */
}

/* application/x-www-form-urlencoded. */
static void add_encoded(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char) text.at[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                        c == '-' || c == '.' || c == '_' || c == '~';
        if (is_plain)
            buf_add_char(out, (char) c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

struct oauth_call *oauth_ask(struct oauth *o, struct span token, oauth_on_answer *on_answer, void *context)
{
    const struct conf_auth *conf = &conf_get()->auth;
    struct oauth_call *c = NEW(struct oauth_call);
    struct buf body = {0};
    c->owner = o;
    c->on_answer = on_answer;
    c->context = context;
    crypto_hmac((struct span){.at = (const char *) o->key, .len = sizeof o->key}, token, c->mac);
    if (recall(o, c->mac)) {
        timer_start(o->loop, &c->timer, 0, on_remembered);
        return c;
    }
    (void) buf_reserve(&body, token.len * 3 + 64); /* so that no copy is left behind */
    buf_add_text(&body, "token_type_hint=access_token&token=");
    add_encoded(&body, token);
    const struct http_request request = {
        .url = conf->oauth_url,
        .body = buf_span(&body),
        .content_type = "application/x-www-form-urlencoded",
        .accept = "application/json",
        .user = conf->oauth_client_id[0] != '\0' ? conf->oauth_client_id : NULL,
        .password = conf->oauth_client_secret,
        .ca = conf->oauth_ca,
        .timeout_ms = conf->timeout_ms,
        .max_bytes = ANSWER_MAX,
    };
    c->http = http_send(o->http, &request, on_http, c);
    buf_wipe(&body);
    return c;
}

struct oauth_call *oauth_cancel(struct oauth_call *c)
{
    if (c) {
        c->http = http_cancel(c->http);
        call_free(c);
    }
    return NULL;
}
