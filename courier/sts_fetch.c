/* One fetch of a policy (RFC 8461 section 3.3). */
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "courier/courier.h"
#include "courier/sts_private.h"
#include "courier/web_host.h"
#include "io/http_client.h"

enum { HTTPS_PORT = 443, STATUS_GOOD = 200 };
#define HOST "mta-sts."

struct sts_fetch {
    struct courier *courier;
    struct http_client *http;
    struct http_call *call;
    struct timer timer;
    uint64_t until_ms;
    struct web_host *place; /* looked for; NULL: found */
    sts_on_fetched *on_fetched;
    void *context;
    char host[DOMAIN_MAX + 1];
};

struct sts_fetch *sts_fetch_cancel(struct sts_fetch *f)
{
    if (!f)
        return NULL;
    timer_stop(&f->timer);
    f->place = web_host_cancel(f->place);
    f->call = http_cancel(f->call);
    return mem_free(f);
}

/* why may be the HTTP client's, whose call is over: it is copied before that. */
static void fetch_end(struct sts_fetch *f, struct sts_policy *policy, enum sts_trouble trouble,
                      const char *why)
{
    sts_on_fetched *on_fetched = f->on_fetched;
    void *context = f->context;

    sts_fetch_cancel(f);
    on_fetched(context, policy, trouble, why);
}

static void on_timer(struct timer *t)
{
    fetch_end(CONTAINER_OF(t, struct sts_fetch, timer), NULL, STS_TROUBLE_FETCH, "no answer in time");
}

/* ---- HTTPS ---- */

static bool is_plain_text(const char *content_type)
{
    struct span rest = span_of(content_type);

    return span_equal_nocase(span_trim(span_cut(&rest, ';')), SPAN("text/plain"));
}

static void on_answer(void *context, const struct http_answer *a)
{
    struct sts_fetch *f = context;
    AUTO_FREE char *error = mem_string(a->error);
    struct sts_policy *policy;
    const char *why = "";

    f->call = NULL; /* it frees itself */
    if (a->status == 0) {
        fetch_end(f, NULL, a->is_untrusted ? STS_TROUBLE_CERT : STS_TROUBLE_FETCH, error);
    } else if (a->status != STATUS_GOOD) { /* a redirect too */
        AUTO_FREE char *status = mem_format("HTTP status %u", a->status);
        fetch_end(f, NULL, STS_TROUBLE_FETCH, status);
    } else if (!is_plain_text(a->content_type)) {
        fetch_end(f, NULL, STS_TROUBLE_INVALID, "it is not text/plain");
    } else {
        policy = sts_policy_parse(a->body, &why);
        fetch_end(f, policy, policy ? STS_TROUBLE_NONE : STS_TROUBLE_INVALID, why);
    }
}

static void fetch_send(struct sts_fetch *f, const struct ip *ips, size_t count)
{
    const struct conf *conf = conf_get();
    uint64_t now = clock_ms();
    AUTO_FREE char *port = conf->tls_out.sts_port == HTTPS_PORT
                               ? mem_string("")
                               : mem_format(":%u", (unsigned) conf->tls_out.sts_port);
    AUTO_FREE char *url = mem_format("https://%s%s/.well-known/mta-sts.txt", f->host, port);
    const struct http_request request = {
        .url = url,
        .accept = "text/plain",
        .ca = conf->tls_out.sts_ca,
        .addresses = ips,
        .address_count = count,
        .is_alone = true,
        .timeout_ms = now < f->until_ms ? f->until_ms - now : 1,
        .max_bytes = conf->tls_out.sts_max_size_bytes,
    };

    f->call = http_send(f->http, &request, on_answer, f);
}

/* ---- where the host is ---- */

static void on_found(void *context, const struct ip *ips, size_t count, const char *why)
{
    struct sts_fetch *f = context;

    f->place = NULL;
    if (count > 0)
        fetch_send(f, ips, count);
    else
        fetch_end(f, NULL, STS_TROUBLE_FETCH, why);
}

struct sts_fetch *sts_fetch_start(struct courier *c, struct http_client *http, const char *domain,
                                  sts_on_fetched *on_fetched, void *context)
{
    struct sts_fetch *f = NEW(struct sts_fetch);
    uint64_t time_ms = conf_get()->tls_out.sts_fetch_time_ms;
    size_t len = strlen(domain);

    must(len + strlen(HOST) <= DOMAIN_MAX);
    memcpy(f->host, HOST, strlen(HOST));
    memcpy(f->host + strlen(HOST), domain, len + 1);
    f->courier = c;
    f->http = http;
    f->on_fetched = on_fetched;
    f->context = context;
    f->until_ms = clock_ms() + time_ms;
    timer_start(c->loop, &f->timer, time_ms, on_timer);
    f->place = web_host_find(c, f->host, on_found, f);
    return f;
}
