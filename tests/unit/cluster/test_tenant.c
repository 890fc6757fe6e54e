/* Tenants: their records, and what they have in the queue, counted by the scripts. */
#include "cluster/tenant.h"

#include "cluster/table.h"
#include "queue_test.h"

static struct {
    unsigned answers;
    enum tenant_answer answer;
    struct tenant *tenant;
    bool is_read;
    struct tenant_use uses[3];
} got;

static void on_tenant(void *context, enum tenant_answer answer, struct tenant *tenant)
{
    assert_ptr_equal(context, &got);
    got.answers++;
    got.answer = answer;
    got.tenant = tenant ? tenant_ref(tenant) : NULL;
    loop_stop(loop);
}

static enum tenant_answer get(struct span name)
{
    got.answers = 0;
    tenant_get(store, name, 5000, on_tenant, &got);
    assert_int_equal(got.answers, 0);
    loop_go();
    assert_int_equal(got.answers, 1);
    return got.answer;
}

static void on_put(void *context UNUSED, enum table_answer answer, struct span value UNUSED)
{
    assert_int_equal(answer, TABLE_OK);
    loop_stop(loop);
}

static void put(struct span name, struct span value)
{
    table_put(store, TABLE_TENANTS, name, value, NULL, 5000, on_put, NULL);
    loop_go();
}

static void on_uses(void *context UNUSED, const struct tenant_use *uses, size_t count)
{
    got.is_read = uses != NULL;
    if (uses)
        memcpy(got.uses, uses, count * sizeof *uses);
    loop_stop(loop);
}

static void read_uses(const struct span *names, size_t count)
{
    memset(&got, 0, sizeof got);
    tenant_uses(store, names, count, 5000, on_uses, NULL);
    loop_go();
    assert_true(got.is_read);
}

static void read_use(const char *name)
{
    read_uses(&(struct span){.at = name, .len = strlen(name)}, 1);
}

static void a_record_keeps_all(void **state UNUSED)
{
    AUTO_BUF struct buf record = {.data = NULL};
    struct tenant *t = tenant_new(SPAN("sh{o}p: *"));

    for (size_t i = 0; i < tenant_row_count; i++)
        *tenant_limit(t, i) = i + 1;
    t->queue_bytes = TENANT_LIMIT_MAX;
    tenant_encode(t, &record);
    put(SPAN("sh{o}p: *"), buf_span(&record));
    assert_int_equal(get(SPAN("sh{o}p: *")), TENANT_FOUND);
    assert_string_equal(got.tenant->name, t->name);
    for (size_t i = 0; i < tenant_row_count; i++)
        assert_true(*tenant_limit(got.tenant, i) == *tenant_limit(t, i));
    assert_true(tenant_has_quota(got.tenant));
    got.tenant = tenant_unref(got.tenant);
    assert_int_equal(get(SPAN("sh")), TENANT_NONE);
    (void) tenant_unref(t); /* always NULL */
}

/* proves: M06 */
static void a_record_that_is_none_is_broken(void **state UNUSED)
{
    AUTO_BUF struct buf record = {.data = NULL}, above = {.data = NULL};
    struct tenant *t = tenant_new(SPAN("shop"));

    tenant_encode(t, &record);
    put(SPAN("other"), buf_span(&record)); /* another's */
    assert_int_equal(get(SPAN("other")), TENANT_BROKEN);
    for (size_t i = 0; i < record.len; i++) {
        record.data[i] ^= 0x40;
        put(SPAN("shop"), buf_span(&record));
        assert_int_equal(get(SPAN("shop")), TENANT_BROKEN);
        record.data[i] ^= 0x40;
    }
    t->queue_messages = TENANT_LIMIT_MAX + 1;
    tenant_encode(t, &above);
    put(SPAN("shop"), buf_span(&above));
    assert_int_equal(get(SPAN("shop")), TENANT_BROKEN);
    (void) tenant_unref(t); /* always NULL */
}

static void names_are_text(void **state UNUSED)
{
    char longest[TENANT_NAME_MAX + 1];

    memset(longest, 'x', sizeof longest);
    assert_int_equal(tenant_name_check(SPAN("a b:{c}*'")), 0);
    assert_int_equal(tenant_name_check((struct span){.at = longest, .len = TENANT_NAME_MAX}), 0);
    assert_int_not_equal(tenant_name_check((struct span){.at = longest, .len = TENANT_NAME_MAX + 1}), 0);
    assert_int_not_equal(tenant_name_check(SPAN("")), 0);
    assert_int_not_equal(tenant_name_check(SPAN("a\0b")), 0);
    assert_int_not_equal(tenant_name_check(SPAN("a\r\n")), 0);
    assert_int_not_equal(tenant_name_check(SPAN("\xff")), 0);
}

static void a_job_counts_until_it_ends(void **state UNUSED)
{
    static const char *const jobs[] = {"M1.0", "M2.0", "M3.0"};

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        struct queue_job job = some_job(jobs[i], "example.com");
        job.tenant = i < 2 ? "shop" : "other";
        assert_int_equal(commit(&job, false, 5000), COMMIT_NEW);
        assert_int_equal(commit(&job, false, 5000), COMMIT_AGAIN);
    }
    make("M4.0", "example.com"); /* nobody's */
    read_uses((struct span[]){SPAN("shop"), SPAN("other"), SPAN("nobody")}, 3);
    assert_true(got.uses[0].messages == 2 && got.uses[0].bytes == 14);
    assert_true(got.uses[1].messages == 1 && got.uses[1].bytes == 7);
    assert_true(got.uses[2].messages == 0 && got.uses[2].bytes == 0);
    claim("example.com", 1);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_END), SETTLE_OK);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_END), SETTLE_GONE);
    read_use("shop");
    assert_true(got.uses[0].messages == 1 && got.uses[0].bytes == 7);
    assert_int_equal(delete_job("M2.0", "example.com", false), DELETE_DELETED);
    read_use("shop");
    assert_true(got.uses[0].messages == 0 && got.uses[0].bytes == 0);
    assert_int_equal(delete_job("M3.0", "example.com", true), DELETE_DELETED);
    assert_int_equal(count_of(&server, "EXISTS t:{%s}", T), 0);
}

static void a_delay_is_when_it_is_first_due(void **state UNUSED)
{
    struct queue_job job = some_job("M1.0", "example.com");

    job.delay_ms = 3 * 86400000ULL;
    assert_int_equal(commit(&job, false, 5000), COMMIT_NEW);
    claim("example.com", 10);
    assert_int_equal(claimed.count, 0);
    assert_int_equal(count_of(&server, "TTL b:{%s}:M1.0:0", T), -1);
    make("M2.0", "example.com"); /* the queue is looked at for this one at once */
    claim("example.com", 10);
    assert_int_equal(claimed.count, 1);
    assert_string_equal(claimed.jobs[0], "M2.0");
}

/* proves: M06 */
static void counts_may_be_anything(void **state UNUSED)
{
    struct queue_job job = some_job("M1.0", "example.com");

    job.tenant = "shop";
    tell(&server, "SET t:{%s} x", T); /* of another type: nobody is counted there, and mail is taken */
    assert_int_equal(commit(&job, false, 5000), COMMIT_NEW);
    read_use("shop");
    assert_int_equal(got.uses[0].messages, 0);
    claim("example.com", 1);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_END), SETTLE_OK);
    tell(&server, "DEL t:{%s}", T);
    tell(&server, "HSET t:{%s} m:shop 99999999999999999999 b:shop -5", T);
    read_use("shop");
    assert_true(got.uses[0].messages == 0 && got.uses[0].bytes == 0);
    job.job = "M2.0";
    assert_int_equal(commit(&job, false, 5000), COMMIT_NEW);
    tell(&server, "HSET t:{%s} m:shop -3 b:shop nonsense", T);
    read_use("shop");
    assert_true(got.uses[0].messages == 0 && got.uses[0].bytes == 0);
    tell(&server, "HSET j:{%s}:M2.0 t nonsense", T);
    claim("example.com", 1);
    assert_int_equal(settle_one("M2.0", "example.com", OUTCOME_END), SETTLE_OK);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_keeps_all),         TEST(a_record_that_is_none_is_broken), TEST(names_are_text),
        TEST(a_job_counts_until_it_ends), TEST(a_delay_is_when_it_is_first_due), TEST(counts_may_be_anything),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
