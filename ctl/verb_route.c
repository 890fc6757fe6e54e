/* route: which way mail to an address takes, by the settings that baridctl reads: as a courier with the same would choose. */
#include "ctl/outlook.h"
#include "ctl/print.h"
#include "ctl/settings.h"
#include "ctl/way.h"
#include "io/json.h"

static void print_way(const struct way *w)
{
    AUTO_BUF struct buf out = {.data = NULL};

    buf_printf(&out, "queue      %s\n", w->queue);
    buf_printf(&out, "lane       %s\n", *w->lane ? w->lane : "the default one");
    buf_add_text(&out, "pool       ");
    add_way_pool(&out, w);
    buf_printf(&out, "\ntransport  %s%s\nhosts      ", w->transport.name,
               w->transport.is_lmtp      ? ", by LMTP"
               : w->transport.is_wrapped ? ", by SMTPS"
                                         : "");
    add_way_hosts(&out, w);
    if (w->transport.user)
        buf_printf(&out, "\nlogin      %s", w->transport.user);
    buf_printf(&out, "\ntls        %s%s\nlimits     ", w->tls,
               way_is_guarded(&w->transport) ? ", but never less than verify" : "");
    add_limits(&out, w->queue);
    buf_add_char(&out, '\n');
    print_buf(&out);
}

static void print_way_json(const struct way *w)
{
    AUTO_BUF struct buf hosts = {.data = NULL}, limits = {.data = NULL};
    struct json *json = json_new_object();

    add_way_hosts(&hosts, w);
    add_limits(&limits, w->queue);
    json_put_text(json, "queue", span_of(w->queue));
    json_put_text(json, "lane", span_of(w->lane));
    json_put_text(json, "pool", span_of(w->pool ? w->pool->name : ""));
    json_put_text(json, "transport", span_of(w->transport.name));
    json_put_flag(json, "lmtp", w->transport.is_lmtp);
    json_put_flag(json, "smtps", w->transport.is_wrapped);
    json_put_text(json, "hosts", buf_span(&hosts));
    json_put_text(json, "user", span_of(w->transport.user ? w->transport.user : ""));
    json_put_text(json, "tls", span_of(w->tls));
    json_put_text(json, "limits", buf_span(&limits));
    print_json(json);
}

int verb_route(const struct arguments *a)
{
    struct way w;
    int status = settings_use(a);

    if (status == EXIT_OK)
        status = way_find(a, &w);
    if (status != EXIT_OK)
        return status;
    if (a->is_json)
        print_way_json(&w);
    else
        print_way(&w);
    way_done(&w);
    return EXIT_OK;
}
