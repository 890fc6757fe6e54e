/* Address tables at RCPT and MAIL: files that are real, a Redis that answers when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/mem.h"
#include "ingress/change.h"
#include "ingress/table_ask.h"
#include "ingress/table_watch.h"
#include "ingress/tables.h"

/* ---- Redis */

enum { ROWS_MAX = 64 };

static struct {
    struct row {
        enum table table;
        const char *key;
        struct span value;
    } rows[ROWS_MAX];
    size_t count;
    uint64_t version;
    bool is_unknown, is_never_read; /* the store is away; no version was read yet */
    unsigned asks;
    table_on_find *on_find; /* of the question under way */
    void *context;
    enum table table;
    char keys[TABLE_FIELDS_MAX][TABLE_FIELD_MAX + 1];
    size_t key_count;
} redis;

uint64_t change_version(enum table table UNUSED)
{
    return redis.is_never_read ? 0 : redis.version;
}

bool change_is_empty(enum table table)
{
    for (size_t i = 0; i < redis.count; i++)
        if (redis.rows[i].table == table)
            return false;
    return !redis.is_never_read;
}

const char *table_name(enum table table)
{
    return table == TABLE_ALIASES ? "aliases" : "recipients";
}

void table_find(struct store *s UNUSED, enum table table, const struct span *fields, size_t count,
                uint64_t time_ms, table_on_find *on_find, void *context)
{
    assert_null(redis.on_find); /* the tests ask one at a time */
    assert_int_equal(time_ms, TABLE_ASK_TIME_MS);
    redis.asks++;
    redis.on_find = on_find;
    redis.context = context;
    redis.table = table;
    redis.key_count = count;
    for (size_t i = 0; i < count; i++)
        (void) snprintf(redis.keys[i], sizeof redis.keys[i], "%.*s", SPAN_ARG(fields[i]));
}

static void redis_answer(void)
{
    table_on_find *on_find = STEAL(redis.on_find);

    assert_non_null(on_find);
    if (redis.is_unknown) {
        on_find(redis.context, TABLE_UNKNOWN, 0, (struct span){.at = NULL});
        return;
    }
    for (size_t k = 0; k < redis.key_count; k++)
        for (size_t i = 0; i < redis.count; i++)
            if (redis.rows[i].table == redis.table && strcmp(redis.rows[i].key, redis.keys[k]) == 0) {
                on_find(redis.context, TABLE_OK, k, redis.rows[i].value);
                return;
            }
    on_find(redis.context, TABLE_NONE, 0, (struct span){.at = NULL});
}

static void row(enum table table, const char *key, const char *value)
{
    redis.rows[redis.count++] = (struct row){table, key, span_of(value)};
    redis.version++;
}

/* ---- files and settings */

static const char *const settings[TABLE_FILE_COUNT] = {
    [FILE_ALIASES] = "BARID_TABLES_ALIASES",
    [FILE_RECIPIENTS] = "BARID_TABLES_RECIPIENTS",
    [FILE_SENDER_REWRITES] = "BARID_TABLES_SENDER_REWRITES",
    [FILE_RECIPIENT_REWRITES] = "BARID_TABLES_RECIPIENT_REWRITES",
};
static char paths[TABLE_FILE_COUNT][32];
static unsigned number;
static struct tables *tables;

struct table_files *table_watch_hold(unsigned *ret_number)
{
    struct table_files *f = NULL;
    AUTO_FREE char *error = NULL;

    *ret_number = number;
    assert_int_equal(table_files_load(conf_get(), &f, &error),
                     0); /* one for each: what is counted is tested elsewhere */
    return f;
}

unsigned table_watch_number(void)
{
    return number;
}

static void load_settings(void)
{
    struct conf *conf = NULL;
    AUTO_FREE char *error = NULL;

    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
    number++;
}

static void file(enum table_file which, const char *text)
{
    if (!paths[which][0]) {
        (void) snprintf(paths[which], sizeof paths[which], "/tmp/barid-tables-XXXXXX");
        int fd = mkstemp(paths[which]);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    FILE *f = fopen(paths[which], "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(setenv(settings[which], paths[which], 1), 0);
    load_settings();
}

static int set_up(void **state UNUSED)
{
    memset(&redis, 0, sizeof redis);
    redis.version = 1;
    load_settings();
    tables = tables_new(NULL);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    tables = tables_free(tables);
    for (unsigned i = 0; i < TABLE_FILE_COUNT; i++) {
        (void) unsetenv(settings[i]); /* it may not be set */
        if (paths[i][0])
            (void) unlink(paths[i]);
        paths[i][0] = '\0';
    }
    (void) unsetenv("BARID_TABLES_RECIPIENT_DELIMITER");
    return 0;
}

/* ---- asking */

static struct {
    char text[4096];
    bool is_said;
} answer;

static void note(const struct tables_result *r)
{
    AUTO_BUF struct buf out = {.data = NULL};

    assert_false(answer.is_said);
    answer.is_said = true;
    if (r->code != 250)
        buf_printf(&out, "%u %s", r->code, r->status);
    for (size_t i = 0; i < r->address_count; i++)
        buf_printf(&out, "%s%s", i ? ", " : "", r->addresses[i]);
    assert_true(r->code == 250 || r->address_count == 0);
    (void) snprintf(answer.text, sizeof answer.text, "%.*s", SPAN_ARG(buf_span(&out)));
}

static void on_result(void *owner, const struct tables_result *r)
{
    assert_ptr_equal(owner, &answer);
    note(r);
}

static struct tables_question question;

static struct tables_call *ask(const char *address)
{
    struct tables_result r;
    struct addr addr;

    assert_int_equal(addr_parse_utf8(span_of(address), &addr), 0);
    question.address = &addr;
    answer.is_said = false;
    struct tables_call *c = tables_recipient(tables, &question, on_result, &answer, &r);
    if (!c)
        note(&r);
    return c;
}

/* What becomes of an address of a relay domain: "": as given; else the addresses, or the refusal. */
static const char *rcpt(const char *address)
{
    question = (struct tables_question){.is_ours = true, .refuses_unknown = true};
    if (ask(address))
        while (!answer.is_said)
            redis_answer();
    return answer.text;
}
#define IS(address, expected) assert_string_equal(rcpt(address), expected)

static const char *mail(const char *address)
{
    struct addr addr;

    assert_int_equal(addr_parse(span_of(address), &addr), 0);
    const char *other = tables_sender(tables, &addr);
    return other ? other : "";
}

/* ---- aliases */

static void without_tables_nothing_is_asked(void **state UNUSED)
{
    IS("bob@x.example", "");
    assert_string_equal(mail("bob@x.example"), "");
    assert_int_equal(redis.asks, 0);
}

static void an_alias_stands_for_addresses_anywhere(void **state UNUSED)
{
    file(FILE_ALIASES, "team@x.example ann@x.example, Bob@Other.Example\n");
    IS("team@x.example", "ann@x.example, Bob@other.example");
    IS("team@X.EXAMPLE", "ann@x.example, Bob@other.example");
    IS("team@other.example", "");
    IS("other@x.example", "");
    assert_int_equal(redis.asks, 0);
}

static void aliases_of_aliases_are_followed(void **state UNUSED)
{
    file(FILE_ALIASES, "all@x.example team@x.example, boss@x.example\n"
                       "team@x.example ann@x.example, bob@x.example\n"
                       "boss@x.example ann@x.example\n");
    IS("all@x.example", "ann@x.example, bob@x.example");
}

static void an_alias_of_itself_keeps_the_address(void **state UNUSED)
{
    file(FILE_ALIASES, "bob@x.example bob@x.example, archive@y.example\n");
    IS("bob@x.example", "bob@x.example, archive@y.example");
}

static void loops_end_where_they_began(void **state UNUSED)
{
    file(FILE_ALIASES, "a@x.example b@x.example\nb@x.example c@x.example\nc@x.example a@x.example\n"
                       "self@x.example self@x.example\n@l.example @m.example\n@m.example @l.example\n");
    IS("a@x.example", "");
    IS("b@x.example", "");
    IS("self@x.example", "");
    IS("u@l.example", "");
}

static void chains_have_a_largest_depth(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL};

    for (unsigned i = 0; i <= TABLES_DEPTH_MAX; i++)
        buf_printf(&text, "a%u@x.example a%u@x.example\n", i, i + 1);
    buf_add_char(&text, '\0');
    file(FILE_ALIASES, text.data);
    IS("a1@x.example", "a11@x.example");
    IS("a0@x.example", "554 5.4.6");
}

/* proves: M01 */
static void aliases_have_a_largest_count(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL};

    for (unsigned k = 0; k < 2; k++) {
        buf_printf(&text, "half%u@x.example ", k);
        for (unsigned i = 0; i < TABLES_RESULTS_MAX / 2; i++)
            buf_printf(&text, "%su%u@y.example", i ? "," : "", k * TABLES_RESULTS_MAX / 2 + i);
        buf_add_char(&text, '\n');
    }
    buf_add_text(&text, "all@x.example half0@x.example, half1@x.example\n"
                        "more@x.example half0@x.example, half1@x.example, one@x.example\n");
    buf_add_char(&text, '\0');
    file(FILE_ALIASES, text.data);
    (void) rcpt("all@x.example"); /* too long to compare */
    assert_non_null(strstr(answer.text, "u0@y.example, u1@y.example"));
    IS("more@x.example", "554 5.5.3");
}

static void the_domain_catches_who_has_no_alias(void **state UNUSED)
{
    file(FILE_ALIASES, "@x.example any@y.example\nbob@x.example bob@y.example\n@old.example @x.example\n"
                       "@wide.example @y.example, log@z.example\n");
    IS("nobody@x.example", "any@y.example");
    IS("bob@x.example", "bob@y.example");
    IS("Some.One@old.example", "any@y.example");
    IS("bob@old.example", "bob@y.example");
    IS("\"a b\"@wide.example", "\"a b\"@y.example, log@z.example");
    IS("u@sub.x.example", "");
}

static void what_gets_too_long_leads_nowhere(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL}, address = {.data = NULL};

    buf_printf(&text, "@x.example @%060u.%060u.%060u.example\n", 1, 1, 1);
    buf_add_char(&text, '\0');
    buf_printf(&address, "%064u@x.example", 1);
    buf_add_char(&address, '\0');
    file(FILE_ALIASES, text.data);
    IS(address.data, "554 5.3.5");
    assert_non_null(strstr(rcpt("u@x.example"), "u@0"));
}

/* proves: N05 */
static void keys_in_lower_case_stand_for_every_case(void **state UNUSED)
{
    file(FILE_ALIASES, "bob@x.example any@y.example\nAnn@x.example exact@y.example\n"
                       "ANN@x.example shouted@y.example\n");
    IS("BoB@x.example", "any@y.example");
    IS("Ann@x.example", "exact@y.example");
    IS("ANN@X.example", "shouted@y.example");
    IS("ann@x.example", "");
    IS("\"BOB\"@x.example", "any@y.example");
    IS("B\xc3\x96"
       "B@x.example",
       "");
}

/* proves: N02 N12 */
static void u_labels_and_a_labels_are_one_domain(void **state UNUSED)
{
    file(FILE_ALIASES, "bob@b\xc3\xbc"
                       "cher.example u@y.example\n");
    IS("bob@xn--bcher-kva.example", "u@y.example");
    IS("bob@B\xc3\x9c"
       "CHER.example",
       "u@y.example");
}

static void detail_is_looked_for_first_with_then_without(void **state UNUSED)
{
    file(FILE_ALIASES, "bob@x.example u@y.example\nbob+news@x.example news@y.example\n");
    IS("bob+news@x.example", "news@y.example");
    IS("bob+other@x.example", "u@y.example");
    IS("Bob+News@x.example", "news@y.example");
    IS("+bob@x.example", "");
    IS("\"bob+\"@x.example", "u@y.example");
    IS("\"bob+ \"@x.example", "");
    IS("bob-news@x.example", "");
    assert_int_equal(setenv("BARID_TABLES_RECIPIENT_DELIMITER", "-", 1), 0);
    load_settings();
    IS("bob-news@x.example", "u@y.example");
    IS("bob+other@x.example", "");
    assert_int_equal(setenv("BARID_TABLES_RECIPIENT_DELIMITER", "", 1), 0);
    load_settings();
    IS("bob-news@x.example", "");
}

/* ---- aliases in Redis */

static void files_go_before_redis_and_names_before_domains(void **state UNUSED)
{
    file(FILE_ALIASES, "bob@x.example file@y.example\n@x.example caught@y.example\n");
    row(TABLE_ALIASES, "bob@x.example", "redis@y.example");
    row(TABLE_ALIASES, "ann@x.example", "redis@y.example");
    row(TABLE_ALIASES, "@x.example", "never@y.example");
    row(TABLE_ALIASES, "@z.example", "@x.example");
    IS("bob@x.example", "file@y.example");
    assert_int_equal(redis.asks, 1); /* for what it led to */
    IS("ann@x.example", "redis@y.example");
    IS("else@x.example", "caught@y.example");
    IS("ann@z.example", "redis@y.example");
    IS("bob@z.example", "file@y.example");
}

static void redis_is_asked_once_while_nothing_changes(void **state UNUSED)
{
    row(TABLE_ALIASES, "bob@x.example", "u@y.example");
    IS("bob@x.example", "u@y.example");
    assert_int_equal(redis.asks, 2);
    IS("bob@x.example", "u@y.example");
    assert_int_equal(redis.asks, 2);
    redis.rows[0].value = SPAN("other@y.example");
    redis.version++;
    IS("bob@x.example", "other@y.example");
    assert_int_equal(redis.asks, 4);
}

static void what_changed_while_it_was_asked_for_is_not_kept(void **state UNUSED)
{
    row(TABLE_ALIASES, "bob@x.example", "");
    redis.rows[0].key = "another@x.example";
    question = (struct tables_question){.is_ours = true};
    assert_non_null(ask("bob@x.example"));
    redis.version++; /* known before the old answer comes */
    redis_answer();
    assert_true(answer.is_said);
    redis.rows[0] = (struct row){TABLE_ALIASES, "bob@x.example", SPAN("u@y.example")};
    IS("bob@x.example", "u@y.example");
}

static void nothing_is_kept_before_a_version_was_read(void **state UNUSED)
{
    redis.is_never_read = true;
    IS("bob@x.example", "");
    assert_int_equal(redis.asks, 2);
    IS("bob@x.example", "");
    assert_int_equal(redis.asks, 4);
}

/* proves: A03 */
static void a_store_that_is_away_is_a_temporary_failure(void **state UNUSED)
{
    row(TABLE_ALIASES, "other@x.example", "u@y.example");
    redis.is_unknown = true;
    IS("bob@x.example", "451 4.3.0");
    redis.is_unknown = false;
    IS("bob@x.example", "");
    row(TABLE_RECIPIENTS, "@x.example", "listed");
    redis.is_unknown = true;
    IS("ann@x.example", "451 4.3.0");
    redis.is_unknown = false;
    IS("ann@x.example", "550 5.1.1");
}

/* proves: M06 M07 */
static void garbage_in_redis_fails_its_address_only(void **state UNUSED)
{
    static const struct span garbage[] = {{"", 0},
                                          {"no address", 10},
                                          {"\0\xff\r\n", 4},
                                          {"a@y,", 4},
                                          {":/bin/sh@y", 10},
                                          {"a@y.example\0b", 13},
                                          {"a@[1.2.3.4]", 11},
                                          {"a@y.example\r\nRSET", 17}};

    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        redis.count = 0;
        row(TABLE_ALIASES, "bob@x.example", "");
        row(TABLE_ALIASES, "ann@x.example", "u@y.example");
        row(TABLE_RECIPIENTS, "eve@x.example", "?");
        redis.rows[0].value = garbage[i];
        IS("bob@x.example", "451 4.3.0");
        IS("ann@x.example", "u@y.example");
        IS("eve@x.example", "451 4.3.0");
        IS("joe@x.example", "");
    }
}

static void a_question_can_be_cancelled(void **state UNUSED)
{
    row(TABLE_ALIASES, "bob@x.example", "u@y.example");
    question = (struct tables_question){.is_ours = true};
    struct tables_call *c = ask("bob@x.example");
    assert_non_null(c);
    assert_null(tables_cancel(c));
    redis_answer();
    assert_false(answer.is_said);
    IS("bob@x.example", "u@y.example");
    assert_null(tables_cancel(NULL));
}

static void what_is_under_way_at_the_end_is_not_answered(void **state UNUSED)
{
    row(TABLE_ALIASES, "bob@x.example", "u@y.example");
    struct tables_call *c = ask("bob@x.example");
    assert_non_null(c);
    assert_null(tables_cancel(c)); /* its session goes first */
    tables = tables_free(tables);
    redis_answer(); /* the store goes last */
    assert_false(answer.is_said);
}

/* ---- recipients */

/* proves: E14 E13 */
static void who_is_not_listed_is_refused(void **state UNUSED)
{
    file(FILE_RECIPIENTS, "bob@x.example\nAnn@x.example\n@all.example\nsome@all.example\n");
    IS("bob@x.example", "");
    IS("BOB@x.example", "");
    IS("Ann@x.example", "");
    IS("ann@x.example", "550 5.1.1");
    IS("bob+detail@x.example", "");
    IS("nobody@x.example", "550 5.1.1");
    IS("anybody@all.example", "");
    IS("anybody@unlisted.example", "");
    question.refuses_unknown = false;
    assert_null(ask("nobody@x.example"));
    assert_string_equal(answer.text, "");
}

/* proves: E14 */
static void recipients_in_redis_are_known_too(void **state UNUSED)
{
    file(FILE_RECIPIENTS, "bob@x.example\n");
    row(TABLE_RECIPIENTS, "ann@x.example", "ok");
    row(TABLE_RECIPIENTS, "joe@y.example", "ok");
    row(TABLE_RECIPIENTS, "@y.example", "listed");
    row(TABLE_RECIPIENTS, "@z.example", "all");
    row(TABLE_RECIPIENTS, "free@w.example", "ok");
    IS("bob@x.example", "");
    IS("Ann+x@x.example", "");
    IS("nobody@x.example", "550 5.1.1");
    IS("joe@y.example", "");
    IS("nobody@y.example", "550 5.1.1");
    IS("nobody@z.example", "");
    IS("nobody@w.example", ""); /* its domain is not said to be listed */
}

static void an_alias_makes_an_address_known(void **state UNUSED)
{
    file(FILE_RECIPIENTS, "bob@x.example\n");
    file(FILE_ALIASES, "team@x.example nobody@x.example, bob@x.example\n");
    IS("team@x.example", "nobody@x.example, bob@x.example");
    IS("nobody@x.example", "550 5.1.1");
}

static void who_is_listed_is_not_caught_by_the_domain(void **state UNUSED)
{
    file(FILE_RECIPIENTS, "bob@x.example\n@all.example\n");
    file(FILE_ALIASES, "@x.example any@y.example\n@all.example any@y.example\n");
    row(TABLE_RECIPIENTS, "ann@x.example", "ok");
    IS("bob@x.example", "");
    IS("ann@x.example", "");
    IS("nobody@x.example", "any@y.example");
    IS("nobody@all.example", "any@y.example");
}

/* proves: B19 */
static void a_postmaster_is_always_known(void **state UNUSED)
{
    file(FILE_RECIPIENTS, "bob@x.example\n");
    IS("postmaster@x.example", "");
    IS("PostMaster@X.example", "");
    IS("postmaster+x@x.example", "550 5.1.1");
    question.is_ours = false;
    assert_null(ask("postmaster@x.example"));
    assert_string_equal(answer.text, "550 5.1.1");
    question.is_ours = true;
    question.postmaster = "pm@admin.example";
    assert_null(ask("POSTMASTER@x.example"));
    assert_string_equal(answer.text, "pm@admin.example");
    file(FILE_RECIPIENTS, "postmaster@x.example\n");
    assert_null(ask("postmaster@x.example"));
    assert_string_equal(answer.text, "");
    file(FILE_ALIASES, "postmaster@x.example root@x.example\n");
    assert_null(ask("postmaster@x.example"));
    assert_string_equal(answer.text, "root@x.example");
}

/* ---- rewriting */

static void recipients_are_rewritten_once_before_all_else(void **state UNUSED)
{
    file(FILE_RECIPIENT_REWRITES, "@old.example @new.example\nbob@old.example rob@new.example\n"
                                  "@new.example @newest.example\n@gone.example office@new.example\n");
    IS("Ann+x@old.example", "Ann+x@new.example");
    IS("bob@old.example", "rob@new.example");
    IS("any@gone.example", "office@new.example");
    file(FILE_ALIASES, "rob@new.example u@y.example\nbob@old.example never@y.example\n");
    IS("bob@old.example", "u@y.example");
    file(FILE_RECIPIENTS, "known@new.example\n");
    IS("ann@old.example", "550 5.1.1");
    IS("known@old.example", "known@new.example");
}

static void senders_are_rewritten(void **state UNUSED)
{
    file(FILE_SENDER_REWRITES, "@old.example @new.example\nbob@old.example rob@new.example\n");
    assert_string_equal(mail("Ann@Old.Example"), "Ann@new.example");
    assert_string_equal(mail("Bob@old.example"), "rob@new.example");
    assert_string_equal(mail("bob@new.example"), "");
    IS("bob@old.example", "");
}

static void changed_files_count_from_the_next_question(void **state UNUSED)
{
    file(FILE_ALIASES, "bob@x.example one@y.example\n");
    IS("bob@x.example", "one@y.example");
    file(FILE_ALIASES, "bob@x.example two@y.example\n");
    IS("bob@x.example", "two@y.example");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_tables_nothing_is_asked),
        TEST(an_alias_stands_for_addresses_anywhere),
        TEST(aliases_of_aliases_are_followed),
        TEST(an_alias_of_itself_keeps_the_address),
        TEST(loops_end_where_they_began),
        TEST(chains_have_a_largest_depth),
        TEST(aliases_have_a_largest_count),
        TEST(the_domain_catches_who_has_no_alias),
        TEST(what_gets_too_long_leads_nowhere),
        TEST(keys_in_lower_case_stand_for_every_case),
        TEST(u_labels_and_a_labels_are_one_domain),
        TEST(detail_is_looked_for_first_with_then_without),
        TEST(files_go_before_redis_and_names_before_domains),
        TEST(redis_is_asked_once_while_nothing_changes),
        TEST(what_changed_while_it_was_asked_for_is_not_kept),
        TEST(nothing_is_kept_before_a_version_was_read),
        TEST(a_store_that_is_away_is_a_temporary_failure),
        TEST(garbage_in_redis_fails_its_address_only),
        TEST(a_question_can_be_cancelled),
        TEST(what_is_under_way_at_the_end_is_not_answered),
        TEST(who_is_not_listed_is_refused),
        TEST(recipients_in_redis_are_known_too),
        TEST(an_alias_makes_an_address_known),
        TEST(who_is_listed_is_not_caught_by_the_domain),
        TEST(a_postmaster_is_always_known),
        TEST(recipients_are_rewritten_once_before_all_else),
        TEST(senders_are_rewritten),
        TEST(changed_files_count_from_the_next_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
