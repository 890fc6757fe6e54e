/* Which questions are asked for a host's TLS policy, and what their answers make of it: DNS and MTA-STS are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "courier/policy_search.h"
#include "courier/sts.h"

#define DIGEST "0123456789abcdef0123456789abcdef"
#define KEY_RECORD SPAN("\3\1\1" DIGEST)
#define AUTHORITY_RECORD SPAN("\2\0\1" DIGEST)
#define PKIX_RECORD SPAN("\1\1\1" DIGEST)
#define TORN_RECORD \
    SPAN("\3\1\1"   \
         "0123")
#define ALIAS SPAN("real.example.net")

/* ---- a resolver that knows what the test says ---- */

struct known {
    const char *name;
    enum dns_type type;
    enum dns_result result;
    bool is_secure;
    struct span records[3];
};

struct dns_question {
    struct list link;
    char name[DOMAIN_MAX + 16];
    enum dns_type type;
    dns_on_answer *on_answer;
    void *context;
};

static const struct known *known;
static size_t known_count;
static struct list questions;
static struct buf asked; /* "TLSA _25._tcp.mx.example.com " for each */

struct dns_question *dns_ask(struct dns *d UNUSED, const char *name, enum dns_type type,
                             dns_on_answer *on_answer, void *context)
{
    struct dns_question *q = NEW(struct dns_question);

    must(strlen(name) < sizeof(q->name));
    memcpy(q->name, name, strlen(name) + 1);
    q->type = type;
    q->on_answer = on_answer;
    q->context = context;
    list_append(&questions, &q->link);
    buf_printf(&asked, "%s%s", type == DNS_CNAME ? "CNAME " : "", name);
    buf_add_char(&asked, ';');
    return q;
}

void dns_cancel(struct dns_question *q)
{
    list_remove(&q->link);
    mem_free(q);
}

static void tell(struct dns_question *q)
{
    struct dns_record records[3] = {0};
    struct dns_answer a = {.result = DNS_NO_NAME, .records = records};

    for (size_t i = 0; i < known_count; i++) {
        const struct known *k = &known[i];

        if (strcmp(k->name, q->name) != 0 || k->type != q->type)
            continue;
        a.result = k->result;
        a.is_secure = k->is_secure;
        while (a.count < ARRAY_LEN(k->records) && k->records[a.count].len > 0) {
            records[a.count].data = k->records[a.count];
            a.count++;
        }
    }
    list_remove(&q->link);
    q->on_answer(q->context, &a);
    mem_free(q);
}

/* ---- MTA-STS that the test plays ---- */

struct sts_search {
    sts_on_policy *on_policy;
    void *context;
};
static struct sts_search *sts_open_search;
static struct sts_policy *sts_known;
static char sts_asked[DOMAIN_MAX + 1];

struct sts_search *sts_ask(struct courier *c UNUSED, const char *domain, sts_on_policy *on_policy,
                           void *context)
{
    must(!sts_open_search && strlen(domain) <= DOMAIN_MAX);
    sts_open_search = NEW(struct sts_search);
    *sts_open_search = (struct sts_search){on_policy, context};
    memcpy(sts_asked, domain, strlen(domain) + 1);
    return sts_open_search;
}

struct sts_search *sts_cancel(struct sts_search *s)
{
    if (s)
        sts_open_search = mem_free(sts_open_search);
    return NULL;
}

static void sts_tell(void)
{
    struct sts_search s = *sts_open_search;

    sts_open_search = mem_free(sts_open_search);
    s.on_policy(s.context, sts_known ? sts_policy_hold(sts_known) : NULL, STS_TROUBLE_NONE);
}

/* ---- one search ---- */

static struct courier courier;
static struct policy_search search;
static struct transport transport;
static unsigned done_count;

static void on_done(void *context)
{
    assert_ptr_equal(context, &search);
    done_count++;
}

static struct conf *conf_of(bool validates, bool mta_sts)
{
    struct conf *c = NULL;
    char *error = NULL;

    must(conf_load(NULL, NULL, &c, &error) == 0);
    c->dns.validates = validates;
    c->tls_out.mta_sts = mta_sts;
    return c;
}

static void begin(const struct known *rows, size_t count, bool validates, bool mta_sts)
{
    known = rows;
    known_count = count;
    done_count = 0;
    sts_asked[0] = '\0';
    buf_clear(&asked);
    list_init(&questions);
    conf_set(conf_of(validates, mta_sts));
    policy_search_begin(&search, &courier, "example.com", &transport);
}

/* Answers all that is asked; MTA-STS first or last. */
static void play(struct policy_host *hosts, size_t count, bool is_sts_first)
{
    bool is_done;

    if (is_sts_first && sts_open_search)
        sts_tell();
    is_done = policy_search_hosts(&search, hosts, count, on_done, &search);
    while (!list_is_empty(&questions)) {
        assert_int_equal(done_count, 0);
        tell(LIST_FIRST(&questions, struct dns_question, link));
    }
    if (sts_open_search) {
        assert_int_equal(done_count, 0);
        sts_tell();
        while (!list_is_empty(&questions))
            tell(LIST_FIRST(&questions, struct dns_question, link));
    }
    assert_int_equal(done_count, is_done ? 0 : 1);
    for (size_t i = 0; i < count; i++)
        assert_non_null(hosts[i].policy);
}

static void end(void)
{
    policy_search_end(&search);
    assert_true(list_is_empty(&questions));
    assert_null(sts_open_search);
    buf_done(&asked);
}

static const struct policy_host secure_host = {
    .name = "mx.example.com", .port = 25, .is_by_mx = true, .is_mx_secure = true, .is_secure = true};

static struct policy_host host_of(const char *expanded)
{
    struct policy_host h = secure_host;

    memcpy(h.expanded, expanded, strlen(expanded) + 1);
    return h;
}

static void assert_asked(const char *wanted)
{
    buf_add_char(&asked, '\0');
    assert_string_equal(asked.data, wanted);
}

/* ---- DANE ---- */

/* One host by secure MX, what DNS says, and the level that follows. */
static void assert_level(const struct known *rows, size_t count, const char *expanded, enum tls_level level,
                         bool is_barred, const char *sni)
{
    struct policy_host h = host_of(expanded);

    begin(rows, count, true, false);
    play(&h, 1, false);
    assert_int_equal(h.policy->level, level);
    assert_int_equal(tls_policy_is_barred(h.policy), is_barred);
    if (sni)
        assert_string_equal(h.policy->sni, sni);
    end();
}

#define ASSERT_LEVEL(expanded, level, is_barred, sni, ...)                    \
    do {                                                                      \
        const struct known rows[] = {__VA_ARGS__};                            \
        assert_level(rows, ARRAY_LEN(rows), expanded, level, is_barred, sni); \
    } while (0)

#define AT_HOST "_25._tcp.mx.example.com", DNS_TLSA
#define AT_END "_25._tcp.real.example.net", DNS_TLSA

/* proves: L04 L06 L07 */
static void secure_records_bind(void **state UNUSED)
{
    const char *own = "mx.example.com";

    ASSERT_LEVEL(own, TLS_LEVEL_DANE, false, own, {AT_HOST, DNS_OK, true, {KEY_RECORD}});
    ASSERT_LEVEL(own, TLS_LEVEL_DANE, false, own, {AT_HOST, DNS_OK, true, {PKIX_RECORD, AUTHORITY_RECORD}});
    /* None usable: TLS, without proof. */
    ASSERT_LEVEL(own, TLS_LEVEL_ENCRYPT, false, NULL,
                 {AT_HOST, DNS_OK, true, {PKIX_RECORD, TORN_RECORD, SPAN("\3")}});
    /* None at all, or from a zone that is not signed: as without DANE. */
    ASSERT_LEVEL(own, TLS_LEVEL_MAY, false, own, {AT_HOST, DNS_NO_DATA, true, {{0}}});
    ASSERT_LEVEL(own, TLS_LEVEL_MAY, false, own, {AT_HOST, DNS_NO_NAME, false, {{0}}});
    ASSERT_LEVEL(own, TLS_LEVEL_MAY, false, own, {AT_HOST, DNS_OK, false, {KEY_RECORD}});
}

/* proves: L05 */
static void records_that_cannot_be_asked_for_bar_the_host(void **state UNUSED)
{
    ASSERT_LEVEL("mx.example.com", TLS_LEVEL_DANE, true, NULL, {AT_HOST, DNS_AWAY, false, {{0}}});
    ASSERT_LEVEL("real.example.net", TLS_LEVEL_DANE, true, NULL, {AT_END, DNS_AWAY, false, {{0}}},
                 {AT_HOST, DNS_OK, true, {KEY_RECORD}});
    ASSERT_LEVEL("real.example.net", TLS_LEVEL_DANE, true, NULL, {AT_HOST, DNS_AWAY, false, {{0}}});
}

/* proves: L04 */
static void the_name_after_aliases_is_asked_first(void **state UNUSED)
{
    const char *end_name = "real.example.net", *own = "mx.example.com";

    ASSERT_LEVEL(end_name, TLS_LEVEL_DANE, false, end_name, {AT_END, DNS_OK, true, {KEY_RECORD}},
                 {AT_HOST, DNS_OK, true, {AUTHORITY_RECORD}});
    ASSERT_LEVEL(end_name, TLS_LEVEL_DANE, false, own, {AT_HOST, DNS_OK, true, {KEY_RECORD}});
    ASSERT_LEVEL(end_name, TLS_LEVEL_DANE, false, own, {AT_END, DNS_OK, false, {KEY_RECORD}},
                 {AT_HOST, DNS_OK, true, {KEY_RECORD}});
    ASSERT_LEVEL(end_name, TLS_LEVEL_MAY, false, own, {AT_END, DNS_NO_DATA, true, {{0}}});
}

/* proves: L04 */
static void a_secure_alias_of_an_insecure_name_has_records_of_its_own(void **state UNUSED)
{
    static const struct known rows[] = {{"mx.example.com", DNS_CNAME, DNS_OK, true, {ALIAS}},
                                        {AT_HOST, DNS_OK, true, {KEY_RECORD}},
                                        {AT_END, DNS_OK, true, {AUTHORITY_RECORD}}};
    static const struct known insecure[] = {{"mx.example.com", DNS_CNAME, DNS_OK, false, {ALIAS}},
                                            {AT_HOST, DNS_OK, true, {KEY_RECORD}}};
    static const struct known gone[] = {{"mx.example.com", DNS_CNAME, DNS_AWAY, false, {{0}}}};
    struct policy_host h = host_of("real.example.net");

    h.is_secure = false;
    begin(rows, ARRAY_LEN(rows), true, false);
    play(&h, 1, false);
    assert_asked("CNAME mx.example.com;_25._tcp.mx.example.com;");
    assert_int_equal(h.policy->level, TLS_LEVEL_DANE);
    assert_int_equal(h.policy->associations[0].usage, 3);
    end();
    h = host_of("real.example.net");
    h.is_secure = false;
    begin(insecure, ARRAY_LEN(insecure), true, false);
    play(&h, 1, false);
    assert_int_equal(h.policy->level, TLS_LEVEL_MAY);
    end();
    h = host_of("real.example.net");
    h.is_secure = false;
    begin(gone, ARRAY_LEN(gone), true, false);
    play(&h, 1, false);
    assert_true(tls_policy_is_barred(h.policy));
    end();
}

/* proves: L04 L08 */
static void nothing_is_asked_where_it_cannot_matter(void **state UNUSED)
{
    static const struct known rows[] = {{AT_HOST, DNS_OK, true, {KEY_RECORD}}};
    struct policy_host hosts[] = {secure_host, secure_host, secure_host, secure_host};

    hosts[0].is_mx_secure = false;
    hosts[1].is_secure = false;
    hosts[2].name = "192.0.2.1";
    hosts[3].name = NULL; /* a socket */
    hosts[3].is_by_mx = false;
    begin(rows, ARRAY_LEN(rows), true, false);
    play(hosts, ARRAY_LEN(hosts), false);
    assert_asked("");
    assert_string_equal(sts_asked, "");
    assert_ptr_equal(hosts[0].policy, tls_policy_may());
    assert_ptr_equal(hosts[3].policy, tls_policy_none());
    end();

    hosts[0] = secure_host;
    begin(rows, ARRAY_LEN(rows), false, false); /* dns.validates: no */
    play(hosts, 1, false);
    assert_asked("");
    end();
}

/* proves: L04 */
static void a_host_that_the_settings_name_has_dane_of_its_own(void **state UNUSED)
{
    static const struct known rows[] = {{"_587._tcp.smart.test", DNS_TLSA, DNS_OK, true, {KEY_RECORD}}};
    struct policy_host h = {.name = "smart.test", .port = 587, .is_secure = true};

    begin(rows, ARRAY_LEN(rows), true, true);
    play(&h, 1, false);
    assert_int_equal(h.policy->level, TLS_LEVEL_DANE);
    assert_string_equal(h.policy->domain, "smart.test");
    end();
}

/* ---- MTA-STS ---- */

/* proves: L10 L12 */
static void sts_and_dane_may_come_in_any_order(void **state UNUSED)
{
    static const struct known rows[] = {{AT_HOST, DNS_OK, true, {KEY_RECORD}}};
    char mx[] = "mx2.example.com", *patterns[] = {mx};
    struct sts_policy policy = {.users = 1, .mode = STS_ENFORCE, .mx = patterns, .mx_count = 1};

    sts_known = &policy;
    for (int is_first = 0; is_first < 2; is_first++) {
        struct policy_host hosts[] = {secure_host, secure_host, secure_host};

        hosts[1].name = "mx2.example.com";
        hosts[2].name = "evil.test";
        begin(rows, ARRAY_LEN(rows), true, true);
        play(hosts, ARRAY_LEN(hosts), is_first);
        assert_string_equal(sts_asked, "example.com");
        assert_int_equal(hosts[0].policy->level, TLS_LEVEL_DANE);
        assert_int_equal(hosts[1].policy->source, TLS_SOURCE_STS);
        assert_false(tls_policy_is_barred(hosts[1].policy));
        assert_true(tls_policy_is_barred(hosts[2].policy));
        end();
    }
    sts_known = NULL;
}

static void a_search_may_end_at_any_time(void **state UNUSED)
{
    struct policy_host h = secure_host;

    begin(NULL, 0, true, true);
    end();
    begin(NULL, 0, true, true);
    assert_false(policy_search_hosts(&search, &h, 1, on_done, &search));
    end();
    h = secure_host;
    begin(NULL, 0, true, true);
    sts_tell();
    assert_false(policy_search_hosts(&search, &h, 1, on_done, &search));
    end();
    assert_int_equal(done_count, 0);
}

/* A socket of this machine needs no TLS, also where the transport's other hosts do. */
static void a_socket_has_no_policy_beside_hosts_that_have_one(void **state UNUSED)
{
    struct policy_host hosts[] = {{.name = NULL}, {.name = "mail.example.com", .port = 24}};

    transport = (struct transport){.kind = TRANSPORT_HOSTS, .tls = (char[]){"verify"}};
    begin(NULL, 0, false, false);
    play(hosts, ARRAY_LEN(hosts), false);
    assert_ptr_equal(hosts[0].policy, tls_policy_none());
    assert_int_equal(hosts[1].policy->level, TLS_LEVEL_VERIFY);
    end();
    transport = (struct transport){0};
}

/* proves: H20 */
static void a_password_goes_to_a_proven_host_whatever_the_transport_says(void **state UNUSED)
{
    static char *const texts[] = {NULL, "auto", "may", "encrypt", "none"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct policy_host h = {.name = "mail.example.com", .port = 587};

        transport = (struct transport){.kind = TRANSPORT_HOSTS, .tls = texts[i], .user = (char[]){"us"}};
        begin(NULL, 0, true, true);
        play(&h, 1, false);
        assert_int_equal(h.policy->level, TLS_LEVEL_VERIFY);
        assert_false(tls_policy_is_relaxable(h.policy));
        end();
    }
    transport = (struct transport){0};
}

static int forget_conf(void **state UNUSED)
{
    conf_set(conf_of(false, false));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_records_bind),
        cmocka_unit_test(records_that_cannot_be_asked_for_bar_the_host),
        cmocka_unit_test(the_name_after_aliases_is_asked_first),
        cmocka_unit_test(a_secure_alias_of_an_insecure_name_has_records_of_its_own),
        cmocka_unit_test(nothing_is_asked_where_it_cannot_matter),
        cmocka_unit_test(a_host_that_the_settings_name_has_dane_of_its_own),
        cmocka_unit_test(sts_and_dane_may_come_in_any_order),
        cmocka_unit_test(a_search_may_end_at_any_time),
        cmocka_unit_test(a_socket_has_no_policy_beside_hosts_that_have_one),
        cmocka_unit_test(a_password_goes_to_a_proven_host_whatever_the_transport_says),
    };

    return cmocka_run_group_tests(tests, NULL, forget_conf);
}
