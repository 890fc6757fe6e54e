/* What exchanges share: see auth.h. The secret is written once, by whoever needs it first (SET NX), and never changes. */
#include "ingress/auth.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/limit.h"
#include "cluster/store.h"
#include "ingress/reactor.h"
#include "ingress/service.h"
#include "io/crypto.h"

enum { SECRET_BYTES = 32, DUMMY_SALT_BYTES = 16, REMEMBERED = 1024 };

struct remembered {
    uint8_t mac[SHA256_BYTES];
    uint64_t until_ms;
};

struct auth {
    struct reactor *reactor;
    bool has[AUTH_BACKEND_COUNT], has_secret;
    struct dovecot *dovecot;
    struct oauth *oauth;
    uint8_t secret[SECRET_BYTES];     /* the cluster's */
    uint8_t memory_key[SECRET_BYTES]; /* this reactor's, for as long as it lives */
    struct remembered
        remembered[REMEMBERED]; /* each at the place its first bytes say: a newer one replaces it */
};

static const char *const backend_names[AUTH_BACKEND_COUNT] = {
    [AUTH_USERS] = "users", [AUTH_DOVECOT] = "dovecot", [AUTH_OAUTH] = "oauth"};

static struct span span_at(const uint8_t *bytes, size_t len)
{
    return (struct span){.at = (const char *) bytes, .len = len};
}

/* ---- settings */

/* AUTH_BACKEND_COUNT: none of that name. */
static enum auth_backend backend_find(const char *name)
{
    unsigned i = 0;
    while (i < AUTH_BACKEND_COUNT && strcmp(name, backend_names[i]) != 0)
        i++;
    return (enum auth_backend) i;
}

static int check_limit(const char *name, const char *text, char **ret_error)
{
    struct limit_rule rule;
    const char *why;
    if (text[0] == '\0' || limit_parse(span_of(text), false, &rule, &why) >= 0)
        return 0;
    *ret_error = mem_format("auth.%s: \"%s\": %s", name, text, why);
    return -EINVAL;
}

int auth_check(const struct conf *conf, char **ret_error)
{
    bool has[AUTH_BACKEND_COUNT + 1] = {false};
    for (size_t i = 0; i < conf->auth.backends.count; i++) {
        enum auth_backend backend = backend_find(conf->auth.backends.items[i]);
        has[backend] = true;
        if (backend == AUTH_BACKEND_COUNT) {
            *ret_error = mem_format("auth.backends: \"%s\" is none of users, dovecot, oauth",
                                    conf->auth.backends.items[i]);
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < conf->auth.foreign_senders.count; i++) {
        char sender[USER_SENDER_MAX + 1];
        if (user_sender_check(span_of(conf->auth.foreign_senders.items[i]), sender) < 0) {
            *ret_error = mem_format("auth.foreign_senders: \"%s\" is no address, @domain, @.domain or *",
                                    conf->auth.foreign_senders.items[i]);
            return -EINVAL;
        }
    }
    int r = check_limit("failures_per_client", conf->auth.failures_per_client, ret_error);
    if (r >= 0)
        r = check_limit("failures_per_user", conf->auth.failures_per_user, ret_error);
    if (r >= 0 && has[AUTH_DOVECOT])
        r = dovecot_check(conf->auth.dovecot_socket, ret_error);
    if (r >= 0 && has[AUTH_OAUTH])
        r = oauth_check_conf(&conf->auth, ret_error);
    return r;
}

struct auth *auth_new(struct reactor *r)
{
    struct auth *a = NEW(struct auth);
    const struct conf *conf = conf_get();
    a->reactor = r;
    crypto_random(a->memory_key, sizeof a->memory_key);
    for (size_t i = 0; i < conf->auth.backends.count; i++) {
        enum auth_backend backend = backend_find(conf->auth.backends.items[i]);
        if (backend != AUTH_BACKEND_COUNT) /* auth_check() has told */
            a->has[backend] = true;
    }
    return a;
}

/* What EHLO offers may be more now. */
static void on_hello(void *context)
{
    services_refresh(context);
}

/* Connections are made when the first client needs them: most nodes have no listener with AUTH. */
struct dovecot *auth_dovecot(struct auth *a)
{
    if (!a->dovecot && a->has[AUTH_DOVECOT])
        a->dovecot = dovecot_open(a->reactor->loop, conf_get()->auth.dovecot_socket, on_hello, a->reactor);
    return a->dovecot;
}

struct oauth *auth_oauth(struct auth *a)
{
    if (!a->oauth && a->has[AUTH_OAUTH])
        a->oauth = oauth_new(a->reactor->loop);
    return a->oauth;
}

struct auth *auth_free(struct auth *a)
{
    if (!a)
        return NULL;
    a->dovecot = dovecot_close(a->dovecot);
    a->oauth = oauth_free(a->oauth);
    explicit_bzero(a, sizeof *a);
    return mem_free(a);
}

bool auth_has(const struct auth *a, enum auth_backend backend)
{
    return a->has[backend];
}

/* ---- the cluster's secret */

struct secret_call {
    struct store_call call;
    struct auth *auth;
    void (*on_ready)(void *context, bool is_ready);
    void *context;
};

bool auth_has_secret(const struct auth *a)
{
    return a->has_secret;
}

static void on_secret(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct secret_call *call = CONTAINER_OF(c, struct secret_call, call);
    bool is_ready = result == STORE_OK && values[1].type == REDIS_STRING &&
                    values[1].text.len == SECRET_BYTES;
    if (is_ready) {
        memcpy(call->auth->secret, values[1].text.at, SECRET_BYTES);
        call->auth->has_secret = true;
    }
    call->on_ready(call->context, is_ready);
    store_call_done(&call->call);
    mem_free(call);
}

void auth_fetch_secret(struct auth *a, void (*on_ready)(void *context, bool is_ready), void *context)
{
    uint8_t fresh[SECRET_BYTES];
    struct secret_call *call = NEW(struct secret_call);
    struct buf *bytes = &call->call.request.bytes;
    call->auth = a;
    call->on_ready = on_ready;
    call->context = context;
    call->call.give_up_ms = clock_ms() + conf_get()->auth.timeout_ms;
    call->call.accepts_errors = true;
    call->call.on_done = on_secret;
    crypto_random(fresh, sizeof fresh);
    call_begin(&call->call, 4);
    resp_arg_text(bytes, "SET");
    resp_arg_text(bytes, KEY_SECRET);
    resp_arg(bytes, span_at(fresh, sizeof fresh));
    resp_arg_text(bytes, "NX");
    call_begin(&call->call, 2);
    resp_arg_text(bytes, "GET");
    resp_arg_text(bytes, KEY_SECRET);
    store_send(a->reactor->store, &call->call);
}

void auth_make_dummy(const struct auth *a, struct span name, struct verifier *ret_verifier)
{
    AUTO_BUF struct buf info = {0};
    struct verifier v = {
        .kind = VERIFIER_SCRAM, .salt_len = DUMMY_SALT_BYTES, .iterations = SCRAM_ITERATIONS};
    struct span secret = span_at(a->secret, sizeof a->secret);
    uint8_t salt[SHA256_BYTES];
    must(a->has_secret);
    buf_add_text(&info, "salt:");
    buf_add_span(&info, name);
    crypto_hmac(secret, buf_span(&info), salt);
    memcpy(v.salt, salt, DUMMY_SALT_BYTES);
    memcpy(info.data, "key1:", 5);
    crypto_hmac(secret, buf_span(&info), v.stored_key);
    memcpy(info.data, "key2:", 5);
    crypto_hmac(secret, buf_span(&info), v.server_key);
    *ret_verifier = v;
}

/* ---- passwords that were right */

/* Bound to the verifier: a new password, or a new salt for the old one, is another thing to remember. */
static void memory_mac(const struct auth *a, struct span name, const struct verifier *v, struct span password,
                       uint8_t ret_mac[static SHA256_BYTES])
{
    AUTO_BUF struct buf text = {0};
    (void) buf_reserve(&text, name.len + password.len + sizeof v->stored_key + VERIFIER_SALT_MAX +
                                  1); /* at once, so that no copy is left behind */
    buf_add(&text, v->stored_key, sizeof v->stored_key);
    buf_add(&text, v->salt, sizeof v->salt);
    buf_add_span(&text, name);
    buf_add_char(&text, '\0');
    buf_add_span(&text, password);
    crypto_hmac(span_at(a->memory_key, sizeof a->memory_key), buf_span(&text), ret_mac);
    buf_wipe(&text);
}

static size_t memory_place(const uint8_t mac[static SHA256_BYTES])
{
    return (mac[0] | (size_t) mac[1] << 8) % REMEMBERED;
}

bool auth_remembers(const struct auth *a, struct span name, const struct verifier *v, struct span password)
{
    uint8_t mac[SHA256_BYTES];
    if (conf_get()->auth.remember_ms == 0 || v->kind == VERIFIER_NONE)
        return false;
    memory_mac(a, name, v, password, mac);
    const struct remembered *m = &a->remembered[memory_place(mac)];
    return m->until_ms > loop_now_ms(a->reactor->loop) &&
           crypto_is_equal(span_at(m->mac, sizeof m->mac), span_at(mac, sizeof mac));
}

void auth_remember(struct auth *a, struct span name, const struct verifier *v, struct span password)
{
    uint8_t mac[SHA256_BYTES];
    memory_mac(a, name, v, password, mac);
    struct remembered *m = &a->remembered[memory_place(mac)];
    memcpy(m->mac, mac, sizeof m->mac);
    m->until_ms = loop_now_ms(a->reactor->loop) + conf_get()->auth.remember_ms;
}
