/* What TLS to a host must prove, of all that can be known about it: every setting, DANE and MTA-STS together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "courier/dane.h"
#include "courier/sts.h"
#include "courier/tls_policy.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* ---- what is known ---- */

static struct tls_setting setting_of(const char *text)
{
    struct tls_setting s;
    char *why = NULL;

    if (tls_setting_parse(span_of(text), &s, &why) < 0)
        fail_msg("%s: %s", text, why);
    return s;
}

static struct sts_policy *sts_of(const char *word)
{
    static const char *const words[] = {"none", "testing", "enforce"};
    char host[] = "*.example.com", other[] = "mx.elsewhere.test", *mx[] = {word[0] == '!' ? other : host};
    struct sts_policy *p;

    if (strcmp(word, "") == 0)
        return NULL;
    p = NEW(struct sts_policy);
    p->users = 1;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word + (word[0] == '!'), words[i]) == 0)
            p->mode = (enum sts_mode) i;
    }
    p->mx = mem_array(1, sizeof(*p->mx));
    p->mx[0] = mem_string(mx[0]);
    p->mx_count = 1;
    p->text = mem_string("");
    p->domain = mem_string("example.com");
    return p;
}

static uint8_t digest[32];
static struct tls_association key_record = {3, 1, 1, {(const char *) digest, sizeof(digest)}};
static struct tls_association authority_record = {2, 0, 1, {(const char *) digest, sizeof(digest)}};

static const struct dane_answer no_records = {.result = DANE_NONE, .base = "mx.example.com"};
static const struct dane_answer usable_records = {
    .result = DANE_FOUND, .base = "mx.example.com", .records = &key_record, .count = 1};
static const struct dane_answer authority_records = {
    .result = DANE_FOUND, .base = "mx.example.com", .records = &authority_record, .count = 1};
static const struct dane_answer unusable_records = {
    .result = DANE_FOUND, .base = "mx.example.com", .unusable_count = 2};
static const struct dane_answer away = {
    .result = DANE_AWAY, .base = "mx.example.com", .why = "mx.example.com"};

static const struct tls_facts plain_facts = {
    .domain = "example.com", .host = "mx.example.com", .is_by_mx = true};

static struct tls_policy *make(struct tls_facts facts, const char *text, const struct dane_answer *dane,
                               const char *sts)
{
    struct tls_setting setting = setting_of(text);
    struct sts_policy *policy = sts_of(sts);
    struct tls_policy *p;

    facts.setting = &setting;
    facts.dane = dane;
    facts.sts = policy;
    p = tls_policy_make(&facts);
    tls_setting_done(&setting);
    sts_policy_release(policy);
    assert_non_null(p->key);
    return p;
}

/* ---- the table ---- */

/* - none, m may, l may and look, e encrypt, v verify, s by MTA-STS, f fingerprint, d by DANE; barred: A records away, D no DANE, S no MTA-STS, X not in it. */
static char letter_of(const struct tls_policy *p)
{
    static const char letters[] = "-mevfd";

    if (tls_policy_is_barred(p)) {
        assert_int_equal(p->barred.class, VERDICT_DEFERRED);
        assert_string_equal(p->barred.status, "4.7.5");
        return strstr(p->barred.text, "could not be looked up") ? 'A'
               : strstr(p->barred.text, "TLSA")                 ? 'D'
               : strstr(p->barred.text, "no MTA-STS")           ? 'S'
                                                                : 'X';
    }
    if (p->level == TLS_LEVEL_VERIFY && p->source == TLS_SOURCE_STS)
        return 's';
    return p->is_tolerant ? 'l' : letters[p->level];
}

/* proves: L05 L06 L10 L12 L17 */
static void setting_dane_and_sts_make_one_policy(void **state UNUSED)
{
    static const char *const sts[] = {"", "testing", "!testing", "enforce", "!enforce"};
    static const struct dane_answer *const dane[] = {NULL, &no_records, &usable_records, &unusable_records,
                                                     &away};
    static const struct {
        const char *setting;
        const char *expected[ARRAY_LEN(dane)]; /* a letter for each of sts */
    } rows[] = {
        {"auto", {"mllsX", "mllsX", "ddddd", "eeesX", "AAAAA"}},
        {"none", {"-----", "-----", "-----", "-----", "-----"}},
        {"may", {"mmmmm", "mmmmm", "mmmmm", "mmmmm", "mmmmm"}},
        {"encrypt", {"eeeee", "eeeee", "eeeee", "eeeee", "eeeee"}},
        {"verify", {"vvvvv", "vvvvv", "vvvvv", "vvvvv", "vvvvv"}},
        {"verify mx.example.com", {"vvvvv", "vvvvv", "vvvvv", "vvvvv", "vvvvv"}},
        {"fingerprint " DIGEST, {"fffff", "fffff", "fffff", "fffff", "fffff"}},
        {"dane", {"DDDDD", "DDDDD", "ddddd", "DDDDD", "AAAAA"}},
        {"sts", {"SSSsX", "SSSsX", "SSSsX", "SSSsX", "SSSsX"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(dane); k++) {
            char letters[ARRAY_LEN(sts) + 1] = {0};

            for (size_t n = 0; n < ARRAY_LEN(sts); n++) {
                struct tls_policy *p = make(plain_facts, rows[i].setting, dane[k], sts[n]);

                letters[n] = letter_of(p);
                tls_policy_release(p);
            }
            if (strcmp(letters, rows[i].expected[k]) != 0)
                fail_msg("%s, dane %zu: %s, not %s", rows[i].setting, k, letters, rows[i].expected[k]);
        }
    }
}

/* proves: L12 */
static void dane_that_fails_is_not_mended_by_sts(void **state UNUSED)
{
    struct tls_policy *p = make(plain_facts, "auto", &usable_records, "enforce");
    struct tls_demand demand;

    tls_policy_demand(p, &demand);
    assert_int_equal(demand.proof, TLS_PROOF_DANE);
    assert_false(demand.is_tolerant);
    assert_int_equal(p->source, TLS_SOURCE_DANE);
    assert_string_equal(tls_policy_proof_name(p), "dane");
    tls_policy_release(p);
}

/* ---- names ---- */

static void assert_names(const struct tls_policy *p, const char *sni, const char *first, const char *second)
{
    const char *const wanted[] = {first, second};

    if (sni)
        assert_string_equal(p->sni, sni);
    else
        assert_null(p->sni);
    assert_int_equal(p->name_count, !first ? 0 : !second ? 1 : 2);
    for (size_t i = 0; i < p->name_count; i++)
        assert_string_equal(p->names[i], wanted[i]);
}

/* proves: L07 L10 */
static void the_names_are_those_that_can_be_relied_on(void **state UNUSED)
{
    static const struct tls_facts named = {
        .domain = "example.com", .host = "smart.provider.test", .is_name_secure = true};
    static const struct tls_facts address = {
        .domain = "example.com", .host = "192.0.2.1", .is_name_secure = true};
    static const struct {
        const struct tls_facts *facts;
        const char *setting;
        const struct dane_answer *dane;
        const char *sts, *sni, *first, *second;
        bool is_authentic;
    } rows[] = {
        {&plain_facts, "auto", &authority_records, "", "mx.example.com", "mx.example.com", "example.com",
         true},
        {&plain_facts, "auto", NULL, "enforce", "mx.example.com", "mx.example.com", NULL, true},
        {&plain_facts, "verify", NULL, "", "mx.example.com", "mx.example.com", "example.com", false},
        {&plain_facts,
         "verify B\xc3\xbc"
         "cher.test",
         NULL, "", "mx.example.com", "xn--bcher-kva.test", NULL, true},
        {&plain_facts, "verify a.test b.test", NULL, "", "mx.example.com", "a.test", "b.test", true},
        {&plain_facts, "encrypt", NULL, "", NULL, NULL, NULL, false},
        {&named, "verify", NULL, "", "smart.provider.test", "smart.provider.test", NULL, true},
        {&named, "auto", &authority_records, "", "mx.example.com", "mx.example.com", "smart.provider.test",
         true},
        {&address, "verify mail.test", NULL, "", "mail.test", "mail.test", NULL, true},
        {&address, "verify", NULL, "", NULL, NULL, NULL, true},
        {&plain_facts, "fingerprint " DIGEST, NULL, "", "mx.example.com", NULL, NULL, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_policy *p = make(*rows[i].facts, rows[i].setting, rows[i].dane, rows[i].sts);

        assert_names(p, rows[i].sni, rows[i].first, rows[i].second);
        assert_int_equal(p->is_authentic, rows[i].is_authentic);
        tls_policy_release(p);
    }
}

/* Mail with REQUIRETLS may go where DNSSEC vouches for the host and the certificate for its name; other mail does not mind. */
static void a_host_by_secure_mx_is_looked_at_and_not_bound(void **state UNUSED)
{
    struct tls_facts facts = plain_facts;
    struct tls_policy *p;

    facts.is_name_secure = true;
    p = make(facts, "auto", &no_records, "");
    assert_int_equal(letter_of(p), 'l');
    assert_true(p->is_authentic);
    assert_names(p, "mx.example.com", "mx.example.com", NULL);
    tls_policy_release(p);
}

static void what_demands_nothing_is_one_for_all(void **state UNUSED)
{
    struct tls_facts other = plain_facts;

    other.host = "mx2.example.com";
    assert_ptr_equal(make(plain_facts, "auto", NULL, ""), make(other, "may", NULL, ""));
    assert_ptr_equal(make(plain_facts, "none", NULL, ""), tls_policy_none());
}

/* ---- passwords ---- */

/* proves: H20 */
static void a_password_is_said_to_the_right_host_only(void **state UNUSED)
{
    static const char *const weak[] = {"auto", "none", "may", "encrypt"};
    struct tls_facts facts = {
        .domain = "example.com", .host = "smart.provider.test", .is_name_secure = true, .is_guarded = true};
    struct tls_policy *p;

    for (size_t i = 0; i < ARRAY_LEN(weak); i++) {
        p = make(facts, weak[i], NULL, "");
        assert_int_equal(letter_of(p), 'v');
        assert_names(p, "smart.provider.test", "smart.provider.test", NULL);
        tls_policy_release(p);
    }
    p = make(facts, "auto", &unusable_records, "");
    assert_int_equal(letter_of(p), 'v');
    tls_policy_release(p);
    p = make(facts, "auto", &usable_records, "");
    assert_int_equal(letter_of(p), 'd');
    tls_policy_release(p);
    p = make(facts, "auto", &away, "");
    assert_int_equal(letter_of(p), 'A');
    assert_false(tls_policy_is_relaxable(p));
    tls_policy_release(p);
}

/* ---- who may pass ---- */

/* proves: L16 */
static void only_what_the_destination_asks_for_is_relaxed(void **state UNUSED)
{
    static const struct {
        const char *setting;
        const struct dane_answer *dane;
        const char *sts;
        bool is_relaxable;
    } rows[] = {
        {"auto", &usable_records, "", true},
        {"auto", &away, "", true},
        {"auto", NULL, "enforce", true},
        {"auto", NULL, "!enforce", true},
        {"auto", &unusable_records, "", true},
        {"dane", &usable_records, "", false},
        {"dane", &no_records, "", false},
        {"sts", NULL, "enforce", false},
        {"verify", NULL, "", false},
        {"encrypt", NULL, "", false},
        {"auto", NULL, "", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_policy *p = make(plain_facts, rows[i].setting, rows[i].dane, rows[i].sts);

        assert_int_equal(tls_policy_is_relaxable(p), rows[i].is_relaxable);
        tls_policy_release(p);
    }
}

/* ---- sharing ---- */

static bool is_shared(const char *one_domain, const char *other_domain, const char *setting,
                      const struct dane_answer *one_dane, const struct dane_answer *other_dane)
{
    struct tls_facts one = plain_facts, other = plain_facts;
    struct tls_policy *p, *q;
    bool is_equal;

    one.domain = one_domain;
    other.domain = other_domain;
    p = make(one, setting, one_dane, "");
    q = make(other, setting, other_dane, "");
    is_equal = strcmp(p->key, q->key) == 0;
    tls_policy_release(p);
    tls_policy_release(q);
    return is_equal;
}

/* proves: H15 L19 */
static void connections_are_shared_by_equal_demands_only(void **state UNUSED)
{
    uint8_t other_digest[32] = {1};
    struct tls_association other_record = {3, 1, 1, {(const char *) other_digest, sizeof(other_digest)}};
    struct dane_answer other_records = usable_records;

    other_records.records = &other_record;
    assert_true(is_shared("a.test", "b.test", "auto", &usable_records, &usable_records));
    assert_false(is_shared("a.test", "b.test", "auto", &authority_records, &authority_records));
    assert_false(is_shared("a.test", "a.test", "auto", &usable_records, &other_records));
    assert_false(is_shared("a.test", "a.test", "auto", &usable_records, &authority_records));
    assert_false(is_shared("a.test", "a.test", "auto", &usable_records, &unusable_records));
    assert_false(is_shared("a.test", "a.test", "auto", &usable_records, NULL));
    assert_false(is_shared("a.test", "b.test", "verify", NULL, NULL));
    assert_true(is_shared("a.test", "b.test", "verify c.test", NULL, NULL));
    assert_true(is_shared("a.test", "b.test", "encrypt", NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_dane_and_sts_make_one_policy),
        cmocka_unit_test(dane_that_fails_is_not_mended_by_sts),
        cmocka_unit_test(the_names_are_those_that_can_be_relied_on),
        cmocka_unit_test(a_host_by_secure_mx_is_looked_at_and_not_bound),
        cmocka_unit_test(what_demands_nothing_is_one_for_all),
        cmocka_unit_test(a_password_is_said_to_the_right_host_only),
        cmocka_unit_test(only_what_the_destination_asks_for_is_relaxed),
        cmocka_unit_test(connections_are_shared_by_equal_demands_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
