/*
 * What any reply means by any rule of an operator: always one class, the same in any case and whoever it names. The input is a rule, a host and a
 * text, each on a line; the first byte is the reply's code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"
#include "mail/bounce.h"
#include "mail/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum bounce judge(unsigned code, const char *status, const char *text, const char *host,
                         const struct conf_map *rules)
{
    struct verdict v = {.class = code < 500 ? VERDICT_DEFERRED : VERDICT_FAILED,
                        .code = code,
                        .text = mem_string(text), /* ends where the text ends, so that reading on is seen */
                        .remote = mem_string(host),
                        .from_remote = true};

    (void) snprintf(v.status, sizeof(v.status), "%s",
                    status); /* cut, as one from the store would be refused */
    enum bounce b = bounce_of(&v, rules);
    must(b > BOUNCE_NONE && b < BOUNCE_COUNT);
    verdict_done(&v);
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span rest = {.at = (const char *) data + 1, .len = size - 1};
    struct span parts[3];
    for (size_t i = 0; i < 3; i++)
        parts[i] = span_cut(&rest, '\n');
    AUTO_FREE char *key = mem_text(parts[0].at, parts[0].len), *host = mem_text(parts[1].at, parts[1].len);
    AUTO_BUF struct buf printable = {.data = NULL};
    buf_add_printable(&printable, parts[2], VERDICT_TEXT_MAX);
    AUTO_FREE char *text = buf_steal_text(&printable);
    AUTO_FREE char *upper = mem_string(text), *error = NULL;
    char *value = mem_string("operator");
    const struct conf conf = {.courier.bounce_rules = {&key, &value, 1}};
    unsigned code = 400 + data[0] % 200;
    char status[12];

    for (char *c = upper; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char) (*c - ('a' - 'A')) : *c;
    (void) snprintf(status, sizeof(status), "%u.%u.%u", code / 100, data[0] % 8u, data[1] % 30u); /* fits */
    enum bounce b = judge(code, status, text, host, NULL);
    must(b == judge(code, status, upper, host, NULL));
    must(b != BOUNCE_OPERATOR); /* no row of the table says so */
    if (bounce_rules_check(&conf, &error) == 0) {
        enum bounce own = judge(code, status, text, host, &conf.courier.bounce_rules);
        must(own == b || own == BOUNCE_OPERATOR);
    }
    mem_free(value);
    return 0;
}
