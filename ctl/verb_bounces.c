/* bounces: the classes of what is not delivered, and the one of a reply. */
#include "base/conf.h"
#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/settings.h"
#include "ctl/verb.h"
#include "io/json.h"
#include "mail/reply.h"

/* As it would be in a log: one line, in which the host's line ends are blanks. */
static int read_reply(const char *text, const char *host, struct verdict *ret_verdict)
{
    struct reply reply = {.code = 0};
    AUTO_BUF struct buf line = {.data = NULL};

    buf_printf(&line, "%s\r\n", text);
    int r = reply_feed(&reply, buf_span(&line));
    bool is_whole = r == (int) line.len && reply.is_complete;
    if (is_whole)
        reply_verdict(&reply, host, ret_verdict);
    reply_done(&reply);
    if (!is_whole || ret_verdict->class == VERDICT_DELIVERED)
        return say_usage("expected a reply such as \"550 5.1.1 user unknown\", not \"%s\"", text);
    return EXIT_OK;
}

int verb_bounces(const struct arguments *a)
{
    AUTO_BUF struct buf out = {.data = NULL};
    struct verdict v = {.class = VERDICT_NONE};

    if (a->operand_count == 0) {
        bounce_print_markdown(&out);
        print_page(&out, a->is_json);
        return EXIT_OK;
    }
    int status = settings_use(a);
    if (status == EXIT_OK)
        status = read_reply(a->operands[0], argument_text(a, "host", ""), &v);
    if (status != EXIT_OK) {
        verdict_done(&v);
        return status;
    }
    const char *name = bounce_name(bounce_of(&v, &conf_get()->courier.bounce_rules));
    if (a->is_json) {
        struct json *json = json_new_object();
        json_put_text(json, "bounce", span_of(name));
        json_print(json, &out);
        json_free(json);
    } else {
        buf_printf(&out, "%s\n", name);
    }
    print_buf(&out);
    verdict_done(&v);
    return EXIT_OK;
}
