/* Which children of a many-queue message exist: what each mark leaves known, and what an older version would go on from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mail/children.h"

enum { COUNT = 12 };

static struct job_state s;

static int setup(void **state UNUSED)
{
    s = (struct job_state){.cursor = 0};
    return 0;
}

static int teardown(void **state UNUSED)
{
    job_state_done(&s);
    return 0;
}

static void mark(const char *marks)
{
    for (size_t queue = 0; marks[queue]; queue++)
        children_mark(&s, queue,
                      marks[queue] == 'm'   ? CHILD_MADE
                      : marks[queue] == 'l' ? CHILD_LEFT
                                            : CHILD_UNKNOWN);
}

static void assert_marks(const char *marks)
{
    static const char letters[] = {[CHILD_MADE] = 'm', [CHILD_LEFT] = 'l', [CHILD_UNKNOWN] = 'u'};
    char found[COUNT + 1] = "";
    uint32_t first = 0;

    for (size_t queue = 0; queue < s.reached; queue++)
        found[queue] = letters[children_find(&s, queue)];
    assert_string_equal(found, marks);
    while (marks[first] == 'm')
        first++;
    assert_int_equal(s.cursor, first);
}

/* proves: A05 */
static void each_child_is_what_was_marked_last(void **state UNUSED)
{
    mark("mlumlu");
    assert_marks("mlumlu");
    children_mark(&s, 1, CHILD_UNKNOWN);
    children_mark(&s, 2, CHILD_MADE);
    children_mark(&s, 4, CHILD_MADE);
    children_mark(&s, 4, CHILD_MADE);
    assert_marks("mummmu");
    children_mark(&s, 1, CHILD_MADE);
    assert_marks("mmmmmu");
    children_mark(&s, 5, CHILD_MADE);
    assert_marks("mmmmmm");
    assert_int_equal(s.left_count + s.unknown_count, 0);
}

static void a_walk_by_chance_is_remembered(void **state UNUSED)
{
    char known[COUNT + 1] = "";

    uint32_t chance = 1;

    for (unsigned step = 0; step < 3000; step++) {
        chance = chance * 1664525 + 1013904223;
        size_t queue = (chance >> 16) % (s.reached < COUNT ? s.reached + 1 : COUNT);
        char letter = "mlu"[(chance >> 8) % 3];

        known[queue] = letter;
        children_mark(&s, queue, letter == 'm' ? CHILD_MADE : letter == 'l' ? CHILD_LEFT : CHILD_UNKNOWN);
        assert_marks(known);
    }
}

/* Who died may have made those that were left, and the window behind them. */
static void the_dead_leave_doubt_about_what_they_may_have_made(void **state UNUSED)
{
    const struct envelope e = {.queue_count = COUNT};

    mark("mlml");
    children_doubt(&s, &e, 3);
    assert_marks("mumuuuu");
    children_doubt(&s, &e, 100);
    assert_int_equal(s.reached, COUNT);
    assert_int_equal(s.left_count, 0);
}

/* A report has room for so many: the others of its child are told of by the next, and it is not made in between. */
static void what_was_told_in_part_is_in_no_doubt(void **state UNUSED)
{
    struct recipient recipients[] = {{.queue = 1}, {.queue = 1}, {.queue = 2}};
    const struct envelope e = {.recipients = recipients, .recipient_count = 3, .queue_count = COUNT};
    struct recipient_state told[] = {{.is_done = true}, {.is_done = false}, {.is_done = false}};

    mark("mlll");
    s.recipients = told;
    s.recipient_count = 3;
    assert_true(children_are_told(&s, &e, 1));
    assert_false(children_are_told(&s, &e, 2));
    children_doubt(&s, &e, 1);
    assert_marks("mluuu");
    s.recipients = NULL;
    s.recipient_count = 0;
}

static void who_gives_up_makes_them(void **state UNUSED)
{
    mark("umul");
    children_give_up(&s);
    assert_marks("lmll");
    children_mark_all(&s, 4);
    assert_marks("mmmm");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(each_child_is_what_was_marked_last),
        CASE(a_walk_by_chance_is_remembered),
        CASE(the_dead_leave_doubt_about_what_they_may_have_made),
        CASE(what_was_told_in_part_is_in_no_doubt),
        CASE(who_gives_up_makes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
