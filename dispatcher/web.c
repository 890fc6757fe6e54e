/* What the HTTP port of a dispatcher answers below /web/. */
#include "dispatcher/web.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dispatcher/story.h"
#include "io/crypto.h"

/* On every answer: kept by nobody, taken for nothing else, shown within nothing else, told to nobody. */
#define WEB_HEADERS                                                                              \
    "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", "X-Frame-Options", "DENY", \
        "Referrer-Policy", "no-referrer", "Cross-Origin-Resource-Policy", "same-origin",         \
        "Cross-Origin-Opener-Policy", "same-origin"

static void web_answer(struct http_exchange *x, unsigned status, const char *const *headers, const char *type,
                       struct span body)
{
    const struct http_answer answer = {.status = status, .type = type, .headers = headers, .body = body};

    http_exchange_answer(x, &answer);
}

static void answer_data(struct http_exchange *x, unsigned status, struct span json)
{
    static const char *const headers[] = {WEB_HEADERS, "Content-Security-Policy",
                                          "default-src 'none'; frame-ancestors 'none'", NULL};

    web_answer(x, status, headers, "application/json", json);
}

/* Without a word on why. */
static void answer_no(struct http_exchange *x, unsigned status, const char *header, const char *value)
{
    const char *const headers[] = {WEB_HEADERS, header, value, NULL};

    web_answer(x, status, headers, "text/plain; charset=utf-8", (struct span){.at = NULL});
}

/* ---- the page ---- */

/* Adds 'sha256-...' of what is between the two marks, once each in the page. */
static void add_hash(struct buf *out, const char *begin, const char *end)
{
    size_t len = (size_t) (web_page_end - web_page);
    const char *from = memmem(web_page, len, begin, strlen(begin));
    uint8_t digest[SHA256_BYTES];

    must(from);
    from += strlen(begin);
    const char *to = memmem(from, (size_t) (web_page_end - from), end, strlen(end));
    must(to);
    crypto_sha256((struct span){.at = from, .len = (size_t) (to - from)}, digest);
    buf_add_text(out, "'sha256-");
    base64_encode((struct span){.at = (const char *) digest, .len = sizeof(digest)}, out);
    buf_add_char(out, '\'');
}

static char *policy_new(void)
{
    struct buf out = {.data = NULL};

    buf_add_text(&out, "default-src 'none'; script-src ");
    add_hash(&out, "<script>", "</script>");
    buf_add_text(&out, "; style-src ");
    add_hash(&out, "<style>", "</style>");
    buf_add_text(&out, "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'");
    return buf_steal_text(&out);
}

static void answer_page(struct web *w, struct http_exchange *x)
{
    const char *const headers[] = {WEB_HEADERS, "Content-Security-Policy", w->policy, NULL};
    struct span page = {.at = web_page, .len = (size_t) (web_page_end - web_page)};

    web_answer(x, 200, headers, "text/html; charset=utf-8", page);
}

/* ---- a message's story ---- */

struct web_story {
    struct web *web;
    struct http_exchange *exchange;
};

static void on_story(void *context, const struct story *s)
{
    struct web_story *told = context;
    struct web *w = told->web;
    AUTO_BUF struct buf text = {.data = NULL};

    w->stories--;
    if (!s || !w->overview.node) {
        answer_no(told->exchange, 503, "Retry-After", "5");
    } else {
        struct json *json = story_json(s, node_view(w->overview.node), store_redis_ms(w->overview.store));
        json_print_line(json, &text);
        json_free(json);
        answer_data(told->exchange, 200, buf_span(&text));
    }
    mem_free(told);
}

static void tell_story(struct web *w, struct http_exchange *x, struct span text)
{
    struct id id;
    uint32_t job;

    if (id_parse(text, &id) < 0 && job_parse(text, &id, &job) < 0) {
        answer_no(x, 400, NULL, NULL);
        return;
    }
    if (w->stories >= WEB_STORIES ||
        !store_partition_is_ready(w->overview.store, id_home(&id) % PARTITION_COUNT)) {
        answer_no(x, 503, "Retry-After", "1");
        return;
    }
    struct web_story *told = NEW(struct web_story);
    *told = (struct web_story){.web = w, .exchange = x};
    w->stories++;
    story_read(w->overview.store, &id, on_story, told);
}

/* ---- who asks ---- */

/* False: it was answered. */
static bool may_look(struct web *w, struct http_exchange *x, const char *token)
{
    static const char challenge[] = "Bearer realm=\"barid\"";
    struct ip client;
    AUTO_BUF struct buf address = {.data = NULL};
    enum door_verdict verdict = DOOR_WRONG;

    if (http_exchange_client(x, &client))
        verdict = door_knock(&w->door, &client, http_exchange_header(x, "Authorization"), token, clock_ms());
    switch (verdict) {
    case DOOR_OPEN: return true;
    case DOOR_SHUT: answer_no(x, 429, "Retry-After", "60"); return false;
    case DOOR_SHUTS:
        ip_format(&client, &address);
        log_event(LOG_WEB_SHUT, FS("client", buf_span(&address)));
        break;
    case DOOR_WRONG: break;
    }
    answer_no(x, 401, "WWW-Authenticate", challenge);
    return false;
}

bool web_serve(struct web *w, struct http_exchange *x, const char *path)
{
    static const char message[] = "/web/message/";
    const char *token = conf_get()->web.token;
    bool is_story = strncmp(path, message, sizeof(message) - 1) == 0;

    if (!w->policy || !*token || strncmp(path, "/web", 4) != 0)
        return false;
    if (strcmp(path, "/web") == 0)
        answer_no(x, 301, "Location", "web/");
    else if (strcmp(path, "/web/") == 0)
        answer_page(w, x);
    else if (!is_story && strcmp(path, "/web/status") != 0)
        return false;
    else if (!may_look(w, x, token))
        return true;
    else if (!w->overview.node)
        answer_no(x, 503, "Retry-After", "5"); /* it leaves */
    else if (is_story)
        tell_story(w, x, span_of(path + sizeof(message) - 1));
    else
        answer_data(x, 200, overview_text(&w->overview, clock_ms()));
    return true;
}

int web_check(const struct conf *conf, char **ret_error)
{
    if (!*conf->web.token || door_token_check(conf->web.token) == 0)
        return 0;
    *ret_error = mem_format(
        "web.token: %d to %d letters, digits and -._~+/= are wanted (openssl rand -hex 32)", DOOR_TOKEN_LEAST,
        DOOR_TOKEN_MOST);
    return -EINVAL;
}

void web_init(struct web *w, struct store *store)
{
    *w = (struct web){.policy = policy_new()};
    overview_init(&w->overview, store);
}

void web_done(struct web *w)
{
    overview_done(&w->overview);
    w->policy = mem_free(w->policy);
}
