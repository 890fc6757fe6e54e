/*
 * MTA-STS: any bytes as the TXT records of a name, as a policy, or as what Redis keeps of one, are refused, or mean what they say: one record, one id;
 * a policy within all limits, whose patterns are host names that match themselves and one label more, no other names. Written anew it is the same.
 * First byte: which of the three.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "courier/sts.h"
#include "io/hash.h"
#include "mail/addr.h"
#include "mail/ascii.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 8, HEAD_BYTES = 5 };

/* ---- TXT records, each ended by a line feed ---- */

static void try_records(struct span in)
{
    static const struct span ours = {"v=STSv1", 7};
    struct span records[RECORDS_MAX], rest = in;
    char room[STS_ID_MAX + 1 + 8]; /* behind the id there is a mark */
    size_t count = 0, like_ours = 0;

    for (; rest.len > 0 && count < RECORDS_MAX; count++)
        records[count] = span_cut(&rest, '\n');
    memset(room, '#', sizeof(room));
    if (!sts_record_parse(records, count, room)) {
        must(room[0] == '#');
        return;
    }
    must(strnlen(room, STS_ID_MAX + 1) <= STS_ID_MAX && room[0] != '\0');
    for (size_t i = 0; room[i]; i++)
        must(is_alnum(room[i]));
    must(memcmp(room + STS_ID_MAX + 1, "########", 8) == 0);
    for (size_t i = 0; i < count; i++) {
        struct span after = records[i], before = span_trim(span_cut(&after, ';'));
        like_ours += records[i].len > 0 && records[i].at[0] == 'v' && after.at && span_equal(before, ours);
    }
    must(like_ours == 1);
}

/* ---- policies ---- */

static bool allows(const struct sts_policy *p, size_t i, const char *more)
{
    const struct sts_policy one = {.mx = &p->mx[i], .mx_count = 1};
    AUTO_FREE char *host = mem_format("%s%s", more, p->mx[i][0] == '*' ? p->mx[i] + 2 : p->mx[i]);

    return sts_allows(&one, host);
}

static void check_pattern(const struct sts_policy *p, size_t i)
{
    bool is_wild = p->mx[i][0] == '*';
    struct span name = span_of(p->mx[i] + (is_wild ? 2 : 0));
    char same[DOMAIN_MAX + 1];

    must(!is_wild || p->mx[i][1] == '.');
    must(domain_normalise(name, same) == 0 && span_equal(span_of(same), name));
    must(allows(p, i, "") == !is_wild && allows(p, i, "x.") == is_wild);
    must(!allows(p, i, "x") && !allows(p, i, ".") && !allows(p, i, "y.x."));
    must(sts_allows(p, p->mx[i]));
}

static void check_text(const struct sts_policy *p, struct span in)
{
    must(span_equal(span_of(p->text), in));
    for (size_t i = 0; i < in.len; i++)
        must((uint8_t) in.at[i] >= ' ' || strchr("\t\r\n", in.at[i]));
}

static void check_same(const struct sts_policy *p)
{
    static const char *const modes[] = {"none", "testing", "enforce"};
    AUTO_BUF struct buf text = {.data = NULL};
    const char *why = NULL;
    struct sts_policy *same;

    buf_printf(&text, "mode: %s\r\nmax_age: %u\r\nversion: STSv1\r\n", modes[p->mode],
               (unsigned) p->max_age_s);
    for (size_t i = 0; i < p->mx_count; i++)
        buf_printf(&text, "mx: %s\r\n", p->mx[i]);
    same = sts_policy_parse(buf_span(&text), &why);
    must(same && same->mode == p->mode && same->max_age_s == p->max_age_s && same->mx_count == p->mx_count);
    for (size_t i = 0; i < p->mx_count; i++)
        must(strcmp(same->mx[i], p->mx[i]) == 0);
    sts_policy_release(same);
}

static void try_policy(struct span in)
{
    const char *why = NULL;
    struct sts_policy *p = sts_policy_parse(in, &why);

    must(!p == (why && *why));
    if (!p)
        return;
    must(p->users == 1 && p->mode <= STS_ENFORCE && p->max_age_s <= 31557600);
    must(p->mx_count <= STS_MX_MAX && (p->mx_count > 0 || p->mode == STS_NONE));
    for (size_t i = 0; i < p->mx_count; i++)
        check_pattern(p, i);
    check_text(p, in);
    check_same(p);
    sts_policy_release(p);
}

/* ---- what Redis keeps, with a right head ---- */

static void try_stored(struct span body)
{
    static const struct sts_record nothing = {.until_ms = 77};
    AUTO_BUF struct buf in = {.data = NULL}, again = {.data = NULL}, third = {.data = NULL};
    struct sts_record r = nothing, same;
    uint32_t sum = hash32(body);

    buf_add_char(&in, 1);
    for (unsigned i = 0; i < HEAD_BYTES - 1; i++)
        buf_add_char(&in, (char) (uint8_t) (sum >> 8 * i));
    buf_add_span(&in, body);
    if (wire_get_sts(buf_span(&in), &r) < 0) {
        must(memcmp(&r, &nothing, sizeof(r)) == 0);
        return;
    }
    must(domain_check(span_of(r.domain)) == 0 && strlen(r.id) <= STS_ID_MAX && r.text[0] != '\0');
    must(r.fetched_ms <= r.until_ms && r.until_ms < UINT64_C(1) << 48);
    wire_put_sts(&r, &again);
    must(wire_get_sts(buf_span(&again), &same) == 0);
    wire_put_sts(&same, &third);
    must(span_equal(buf_span(&again), buf_span(&third)));
    sts_record_done(&same);
    sts_record_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *exact = malloc(size); /* a byte too many is seen */
    must(exact);
    memcpy(exact, data + 1, size - 1);
    exact = realloc(exact, size > 1 ? size - 1 : 1);
    must(exact);
    struct span in = {.at = exact, .len = size - 1};
    switch (data[0] % 3) {
    case 0: try_policy(in); break;
    case 1: try_records(in); break;
    default: try_stored(in); break;
    }
    free(exact);
    return 0;
}
