/* Who is limited by what: the wants that a question becomes. The limiter is this test's own. */
#include "ingress/rate.h"

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static struct {
    size_t calls, count;
    struct limit_want wants[LIMIT_WANTS_MAX];
    char keys[LIMIT_WANTS_MAX][LIMIT_KEY_MAX + 1];
} seen, given_back;

static void note(const struct limit_want *wants, size_t count, void *to)
{
    memset(&seen, 0, sizeof seen);
    seen.count = count;
    for (size_t i = 0; i < count; i++) {
        seen.wants[i] = wants[i];
        memcpy(seen.keys[i], wants[i].key.at, wants[i].key.len);
        seen.wants[i].key.at = seen.keys[i];
    }
    if (to)
        memcpy(to, &seen, sizeof seen);
}

/* In place of cluster/limit.c. */
struct limiter {
    int unused;
};
struct limiter *limiter_open(struct store *s UNUSED)
{
    return NULL;
}

struct limiter *limiter_close(struct limiter *l UNUSED)
{
    return NULL;
}

bool limit_take(struct limiter *l UNUSED, const struct limit_want *wants, size_t count,
                limit_on_answer *on_answer UNUSED, void *context UNUSED, struct limit_result *ret)
{
    note(wants, count, NULL);
    seen.calls++;
    *ret = (struct limit_result){.answer = LIMIT_REFUSED, .label = count ? wants[0].label : NULL};
    return true;
}

void limit_cancel(struct limit_call *call UNUSED)
{
}

void limit_give_back(struct limiter *l UNUSED, const struct limit_want *wants, size_t count)
{
    note(wants, count, &given_back);
}

void limit_leave(struct limit_hold *hold UNUSED)
{
}

static struct rate *rate;
static struct limiter limiter;

static int use(const char *name, const char *value, char **ret_error)
{
    char *keys[] = {mem_string(name)}, *values[] = {mem_string(value)};
    const struct conf_map limits = {.keys = keys, .values = values, .count = 1};
    int r = rate_new("public", &limits, &rate, ret_error);

    mem_free(keys[0]);
    mem_free(values[0]);
    return r;
}

static int rate_teardown(void **state)
{
    (void) state;
    rate = rate_free(rate);
    return 0;
}

/* Asks for one thing of a subject; the first want is in seen. */
static bool ask_for(enum rate_what what, const struct rate_subject *who)
{
    struct limit_result result;

    memset(&seen, 0, sizeof seen);
    assert_true(rate_take(rate, &limiter, what, 3, who, NULL, NULL, &result));
    return result.answer == LIMIT_PASS;
}

static void key_of(const char *ip_text, char *ret_key, size_t *ret_len)
{
    struct ip ip;
    const struct rate_subject who = {.listener = "public", .ip = &ip};

    assert_int_equal(ip_parse(span_of(ip_text), &ip), 0);
    assert_false(ask_for(RATE_MESSAGES, &who));
    assert_int_equal(seen.count, 1);
    *ret_len = seen.wants[0].key.len;
    memcpy(ret_key, seen.keys[0], *ret_len);
}

static bool share(const char *left, const char *right)
{
    char left_key[LIMIT_KEY_MAX], right_key[LIMIT_KEY_MAX];
    size_t left_len, right_len;

    key_of(left, left_key, &left_len);
    key_of(right, right_key, &right_len);
    return left_len == right_len && memcmp(left_key, right_key, left_len) == 0;
}

static void without_limits_nothing_is_asked(void **state UNUSED)
{
    const struct ip ip = {.is_v4 = true};
    const struct rate_subject who = {.listener = "public", .ip = &ip};
    const struct conf_map none = {.count = 0};
    char *error = NULL;

    assert_int_equal(rate_new("public", &none, &rate, &error), 0);
    assert_null(rate);
    assert_true(ask_for(RATE_MESSAGES, &who));
    rate_give_back(rate, &limiter, RATE_MESSAGES, 1, &who);
    assert_int_equal(use("bytes_per_client", "1MiB/1h", &error), 0);
    assert_true(ask_for(RATE_MESSAGES, &who));
    assert_int_equal(seen.calls, 0);
    assert_false(ask_for(RATE_BYTES, &who));
    assert_int_equal(seen.wants[0].count, 3);
    assert_string_equal(seen.wants[0].label, "bytes_per_client");
}

/* proves: B34 */
static void a_client_is_an_address_or_a_64(void **state UNUSED)
{
    char *error = NULL;

    assert_int_equal(use("messages_per_client", "5/1h", &error), 0);
    assert_true(share("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(share("192.0.2.1", "192.0.2.2"));
    assert_true(share("2001:db8::1", "2001:db8::ffff:1:2:3"));
    assert_false(share("2001:db8::1", "2001:db8:0:1::1"));
}

/* proves: B34 */
static void a_network_is_a_24_or_a_48(void **state UNUSED)
{
    char *error = NULL;

    assert_int_equal(use("messages_per_network", "5/1h", &error), 0);
    assert_true(share("192.0.2.1", "::ffff:192.0.2.200"));
    assert_false(share("192.0.2.1", "192.0.3.1"));
    assert_true(share("2001:db8::1", "2001:db8:0:ffff::1"));
    assert_false(share("2001:db8::1", "2001:db8:1::1"));
}

/* proves: M07 */
static void no_two_subjects_share_a_key(void **state UNUSED)
{
    static const char *const names[] = {"a", "a:b", "{x}", "*", "'", "\r\n", "a\xff", ""};
    char *error = NULL;
    struct user user = {.name = NULL};
    const struct rate_subject who = {.listener = "public", .user = &user};
    char keys[ARRAY_LEN(names)][LIMIT_KEY_MAX + 1];
    size_t lens[ARRAY_LEN(names)];

    assert_int_equal(use("messages_per_user", "5/1h", &error), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        user.name = mem_string(names[i]);
        assert_false(ask_for(RATE_MESSAGES, &who));
        lens[i] = seen.wants[0].key.len;
        memcpy(keys[i], seen.keys[0], lens[i]);
        mem_free(user.name);
        for (size_t j = 0; j < i; j++)
            assert_false(lens[i] == lens[j] && memcmp(keys[i], keys[j], lens[i]) == 0);
    }
    AUTO_FREE char *longest = mem_alloc(USER_NAME_MAX + 1);
    memset(longest, 'x', USER_NAME_MAX);
    user.name = longest;
    assert_false(ask_for(RATE_MESSAGES, &who));
    assert_in_range(seen.wants[0].key.len, USER_NAME_MAX, LIMIT_KEY_MAX);
}

static void who_is_not_known_is_not_limited(void **state UNUSED)
{
    const struct ip ip = {.is_v4 = true};
    const struct rate_subject who = {.listener = "public", .ip = &ip};
    char *error = NULL;

    assert_int_equal(use("messages_per_user", "5/1h", &error), 0);
    (void) ask_for(RATE_MESSAGES, &who);
    assert_int_equal(seen.count, 0);
}

/* proves: B34 */
static void quotas_of_users_and_tenants_go_with_them(void **state UNUSED)
{
    struct tenant *tenant = tenant_new(SPAN("shop"));
    struct user user = {.name = (char[]){"anna"}, .messages_per_hour = 7, .recipients_per_day = 9};
    struct rate_subject who = {.listener = "public", .user = &user, .tenant = tenant};

    tenant->messages_per_day = 11;
    tenant->bytes_per_hour = 13;
    assert_false(ask_for(RATE_MESSAGES, &who));
    assert_int_equal(seen.count, 2);
    assert_true(seen.wants[0].rule.burst == 7 && seen.wants[0].rule.per_ms == 3600000);
    assert_true(seen.wants[1].rule.count == 11 && seen.wants[1].rule.per_ms == 86400000);
    assert_string_equal(seen.wants[1].label, "tenant's messages_per_day");
    assert_false(ask_for(RATE_RECIPIENTS, &who));
    assert_int_equal(seen.count, 1);
    assert_false(ask_for(RATE_BYTES, &who));
    assert_int_equal(seen.count, 1);
    rate_give_back(NULL, &limiter, RATE_BYTES, 5, &who);
    assert_int_equal(given_back.count, 1);
    assert_int_equal(given_back.wants[0].count, 5);
    (void) tenant_unref(tenant); /* always NULL */
}

static void bad_settings_are_named(void **state UNUSED)
{
    static const char *const rows[][3] = {
        {"messages_per_cliet", "5/1h", "listeners.public.limits: \"messages_per_cliet\""},
        {"messages", "5/1h", "<what>_per_<whom>"},
        {"messages_per_client", "5/hour", "listeners.public.limits.messages_per_client: \"5/hour\""},
        {"messages_per_client", "5/hour", "600/1h"},
        {"sessions_per_network", "5/1h", "number of sessions"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *error = NULL;
        assert_int_not_equal(use(rows[i][0], rows[i][1], &error), 0);
        assert_non_null(strstr(error, rows[i][2]));
        mem_free(error);
    }
}

#define TEST(test) cmocka_unit_test_teardown(test, rate_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_limits_nothing_is_asked), TEST(a_client_is_an_address_or_a_64),
        TEST(a_network_is_a_24_or_a_48),       TEST(no_two_subjects_share_a_key),
        TEST(who_is_not_known_is_not_limited), TEST(quotas_of_users_and_tenants_go_with_them),
        TEST(bad_settings_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
