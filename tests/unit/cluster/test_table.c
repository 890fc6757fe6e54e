/* The cluster-wide tables against a real Redis. */
#include "cluster/table.h"

#include "base/map.h"
#include "cluster_test.h"

enum { TIME_MS = 5000 };

static struct {
    enum table_answer answer;
    struct buf value;
    size_t which;
    bool is_done;
} got;

static void on_value(void *context, enum table_answer answer, struct span value)
{
    assert_ptr_equal(context, &got);
    assert_false(got.is_done);
    got.answer = answer;
    got.is_done = true;
    buf_clear(&got.value);
    buf_add_span(&got.value, value);
    loop_stop(loop);
}

static void on_find(void *context, enum table_answer answer, size_t which, struct span value)
{
    got.which = which;
    on_value(context, answer, value);
}

static enum table_answer wait_for_answer(void)
{
    loop_go();
    assert_true(got.is_done);
    return got.answer;
}

static enum table_answer get(enum table table, struct span field)
{
    got.is_done = false;
    table_get(store, table, field, TIME_MS, on_value, &got);
    return wait_for_answer();
}

static enum table_answer put(struct span field, struct span value, const struct span *expected)
{
    got.is_done = false;
    table_put(store, TABLE_ALIASES, field, value, expected, TIME_MS, on_value, &got);
    return wait_for_answer();
}

static enum table_answer take_out(struct span field, const struct span *expected)
{
    got.is_done = false;
    table_remove(store, TABLE_ALIASES, field, expected, TIME_MS, on_value, &got);
    return wait_for_answer();
}

static bool value_is(struct span expected)
{
    return span_equal(buf_span(&got.value), expected);
}

/* ---- one field */

/* proves: M07 */
static void a_field_is_any_bytes_and_found_under_them_only(void **state UNUSED)
{
    const struct span fields[] = {SPAN("a@x"), SPAN("a@x\0b"), SPAN("{a}:*'\r\n\0"), SPAN("\xff"),
                                  SPAN("-1")};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        assert_int_equal(put(fields[i], fields[i], NULL), TABLE_OK);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        assert_int_equal(get(TABLE_ALIASES, fields[i]), TABLE_OK);
        assert_true(value_is(fields[i]));
    }
    assert_int_equal(get(TABLE_ALIASES, SPAN("a@")), TABLE_NONE);
    assert_int_equal(get(TABLE_USERS, SPAN("a@x")), TABLE_NONE);
    assert_int_equal(take_out(fields[1], NULL), TABLE_OK);
    assert_int_equal(get(TABLE_ALIASES, fields[1]), TABLE_NONE);
    assert_int_equal(get(TABLE_ALIASES, fields[0]), TABLE_OK);
}

static void the_largest_field_and_value_fit(void **state UNUSED)
{
    AUTO_BUF struct buf bytes = {.data = NULL};

    for (size_t i = 0; i < TABLE_VALUE_MAX; i++)
        buf_add_char(&bytes, (char) i);
    struct span field = {.at = bytes.data, .len = TABLE_FIELD_MAX};
    assert_int_equal(put(field, buf_span(&bytes), NULL), TABLE_OK);
    assert_int_equal(get(TABLE_ALIASES, field), TABLE_OK);
    assert_true(value_is(buf_span(&bytes)));
}

static void what_is_expected_decides(void **state UNUSED)
{
    const struct span nothing = SPAN(""), old = SPAN("old"), other = SPAN("other");

    assert_int_equal(put(SPAN("f"), SPAN("old"), &other), TABLE_CHANGED);
    assert_int_equal(put(SPAN("f"), SPAN("old"), &nothing), TABLE_OK);
    assert_int_equal(put(SPAN("f"), SPAN("new"), &nothing), TABLE_EXISTS);
    assert_int_equal(put(SPAN("f"), SPAN("new"), &other), TABLE_CHANGED);
    assert_int_equal(put(SPAN("f"), SPAN("new"), &old), TABLE_OK);
    assert_int_equal(take_out(SPAN("f"), &old), TABLE_CHANGED);
    assert_int_equal(take_out(SPAN("f"), NULL), TABLE_OK);
    assert_int_equal(take_out(SPAN("f"), NULL), TABLE_NONE);
}

static void a_lost_reply_to_a_write_is_no_failure(void **state UNUSED)
{
    const struct span nothing = SPAN("");

    proxy_lose(proxy, "ok");
    assert_int_equal(put(SPAN("f"), SPAN("v"), &nothing), TABLE_OK);
    assert_true(proxy_has_lost(proxy));
    proxy_lose(proxy, "ok");
    assert_int_equal(take_out(SPAN("f"), NULL), TABLE_OK);
    assert_true(proxy_has_lost(proxy));
    assert_int_equal(count_of(&server, "EXISTS barid:{c}:aliases"), 0);
}

static void the_first_of_several_fields_is_found(void **state UNUSED)
{
    const struct span fields[] = {SPAN("a"), SPAN("b"), SPAN("c")};

    got.is_done = false;
    table_find(store, TABLE_ALIASES, fields, 3, TIME_MS, on_find, &got);
    assert_int_equal(wait_for_answer(), TABLE_NONE);
    tell(&server, "HSET barid:{c}:aliases c 3 b 2");
    got.is_done = false;
    table_find(store, TABLE_ALIASES, fields, 3, TIME_MS, on_find, &got);
    assert_int_equal(wait_for_answer(), TABLE_OK);
    assert_int_equal(got.which, 1);
    assert_true(value_is(SPAN("2")));
}

/* proves: M06 */
static void a_key_of_another_type_is_unknown(void **state UNUSED)
{
    const struct span field = SPAN("f");

    tell(&server, "RPUSH barid:{c}:aliases hostile");
    assert_int_equal(get(TABLE_ALIASES, field), TABLE_UNKNOWN);
    assert_int_equal(put(field, SPAN("v"), NULL), TABLE_UNKNOWN);
    assert_int_equal(take_out(field, NULL), TABLE_UNKNOWN);
    got.is_done = false;
    table_find(store, TABLE_ALIASES, &field, 1, TIME_MS, on_find, &got);
    assert_int_equal(wait_for_answer(), TABLE_UNKNOWN);
    assert_int_equal(get(TABLE_USERS, field), TABLE_NONE);
}

static void a_store_that_is_away_is_unknown(void **state UNUSED)
{
    got.is_done = false;
    table_get(store, TABLE_ALIASES, SPAN("f"), UINT64_MAX, on_value, &got);
    store = store_close(store);
    assert_true(got.is_done);
    assert_int_equal(got.answer, TABLE_UNKNOWN);
}

/* ---- all of them */

static struct map listed;
static bool is_listed;
static enum table_answer list_answer;

static void on_row(void *context, struct span field, struct span value)
{
    assert_ptr_equal(context, &listed);
    assert_true(span_equal(field, value));
    (void) map_set(&listed, field, &listed);
}

static void on_end(void *context, enum table_answer answer)
{
    assert_ptr_equal(context, &listed);
    assert_false(is_listed);
    is_listed = true;
    list_answer = answer;
    loop_stop(loop);
}

static size_t list_all(void)
{
    map_done(&listed);
    is_listed = false;
    table_list(store, TABLE_ALIASES, TIME_MS, on_row, on_end, &listed);
    loop_go();
    assert_true(is_listed);
    return listed.count;
}

static void a_list_has_every_row(void **state UNUSED)
{
    assert_int_equal(list_all(), 0);
    assert_int_equal(list_answer, TABLE_OK);
    tell(&server, "HSET barid:{c}:aliases a a");
    assert_int_equal(list_all(), 1);
    tell(&server, "EVAL %s 0",
         "for i=1,3000 do redis.call('HSET', 'barid:{c}:aliases', 'field'..i, 'field'..i) end");
    assert_int_equal(list_all(), 3001);
    assert_int_equal(list_answer, TABLE_OK);
    tell(&server, "DEL barid:{c}:aliases");
    tell(&server, "SET barid:{c}:aliases hostile");
    assert_int_equal(list_all(), 0);
    assert_int_equal(list_answer, TABLE_UNKNOWN);
    map_done(&listed);
}

/* ---- versions */

static struct table_version seen[TABLE_COUNT];
static bool are_seen, is_failed;

static void on_versions(void *context, const struct table_version *versions)
{
    assert_ptr_equal(context, seen);
    are_seen = true;
    is_failed = !versions;
    if (versions)
        memcpy(seen, versions, sizeof seen);
    loop_stop(loop);
}

static void look(void)
{
    are_seen = false;
    table_versions(store, TIME_MS, on_versions, seen);
    loop_go();
    assert_true(are_seen);
}

static void versions_tell_of_every_write(void **state UNUSED)
{
    uint64_t first;

    look();
    assert_false(is_failed);
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        assert_true(seen[i].version == 0 && seen[i].count == 0);
    assert_int_equal(put(SPAN("f"), SPAN("v"), NULL), TABLE_OK);
    look();
    assert_true(seen[TABLE_ALIASES].version > 0 && seen[TABLE_ALIASES].count == 1);
    assert_true(seen[TABLE_USERS].version == 0 && seen[TABLE_USERS].count == 0);
    first = seen[TABLE_ALIASES].version;
    assert_int_equal(take_out(SPAN("f"), NULL), TABLE_OK);
    look();
    assert_true(seen[TABLE_ALIASES].version > first && seen[TABLE_ALIASES].count == 0);
}

/* proves: M06 */
static void versions_that_are_garbage_harm_no_other(void **state UNUSED)
{
    tell(&server, "HSET barid:{c}:changed users 7 aliases -1 recipients 1e9");
    tell(&server, "RPUSH barid:{c}:recipients hostile");
    look();
    assert_int_equal(seen[TABLE_USERS].version, 7);
    assert_int_equal(seen[TABLE_ALIASES].version, 0);
    assert_int_equal(seen[TABLE_RECIPIENTS].version, 0);
    assert_true(seen[TABLE_RECIPIENTS].count > 0);
    tell(&server, "DEL barid:{c}:changed");
    tell(&server, "SET barid:{c}:changed hostile");
    look();
    assert_true(is_failed);
}

int main(void)
{
#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_field_is_any_bytes_and_found_under_them_only),
        WITH_STORE(the_largest_field_and_value_fit),
        WITH_STORE(what_is_expected_decides),
        WITH_STORE(a_lost_reply_to_a_write_is_no_failure),
        WITH_STORE(the_first_of_several_fields_is_found),
        WITH_STORE(a_key_of_another_type_is_unknown),
        WITH_STORE(a_store_that_is_away_is_unknown),
        WITH_STORE(a_list_has_every_row),
        WITH_STORE(versions_tell_of_every_write),
        WITH_STORE(versions_that_are_garbage_harm_no_other),
    };
    int failed = cmocka_run_group_tests(tests, server_setup, server_teardown);
    buf_done(&got.value);
    return failed;
}
