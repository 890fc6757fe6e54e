/* Unit tests of base/mem. */
#include "base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"

static void memory_is_zeroed_and_never_null(void **state)
{
    (void) state;
    char *p = mem_alloc(100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    p = mem_free(p);
    assert_null(p);
    AUTO_FREE void *none = mem_alloc(0), *array = mem_array(0, 8), *copy = mem_copy(NULL, 0);
    assert_non_null(none);
    assert_non_null(array);
    assert_non_null(copy);
    p = mem_resize(NULL, 0);
    p = mem_resize(p, 10);
    p[9] = 1;
    assert_null(mem_free(p));
}

static void texts_are_copies(void **state)
{
    (void) state;
    AUTO_FREE char *a = mem_text("abcdef", 3), *b = mem_string(NULL), *c = mem_string("x"),
                   *d = mem_format("%d-%s", 5, "y");
    assert_string_equal(a, "abc");
    assert_string_equal(b, "");
    assert_string_equal(c, "x");
    assert_string_equal(d, "5-y");
}

static void steal_leaves_null_behind(void **state)
{
    (void) state;
    char *a = mem_string("a");
    char *b = STEAL(a);
    assert_null(a);
    mem_free(b);
}

/* Runs `what` in a child; its end must be an abort. */
static void assert_aborts(void (*what)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void) freopen("/dev/null", "w", stderr);
        (void) signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        what();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void overflow(void)
{
    void *p = mem_array(SIZE_MAX / 2, 3);
    mem_free(p);
}

static void bug(void)
{
    must(1 == 2);
}

static void bugs_abort(void **state)
{
    (void) state;
    assert_aborts(overflow);
    assert_aborts(bug);
    must(1 == 1);
}

struct thing {
    int number;
    struct list entry;
};

static void lists_keep_order_and_survive_removal(void **state)
{
    (void) state;
    struct list head;
    struct thing things[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    int sum = 0;
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(LIST_FIRST(&head, struct thing, entry));
    list_remove(&things[0].entry); /* in no list */
    for (int i = 1; i < 5; i++)
        list_append(&head, &things[i].entry);
    list_prepend(&head, &things[0].entry);
    assert_int_equal(LIST_FIRST(&head, struct thing, entry)->number, 0);
    LIST_EACH(&head, it, next) {
        struct thing *thing = LIST_ENTRY(it, struct thing, entry);
        sum = sum * 10 + thing->number;
        if (thing->number % 2)
            list_remove(it);
    }
    assert_int_equal(sum, 1234);
    assert_false(list_is_linked(&things[1].entry));
    assert_true(list_is_linked(&things[2].entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_never_null),
        cmocka_unit_test(texts_are_copies),
        cmocka_unit_test(steal_leaves_null_behind),
        cmocka_unit_test(bugs_abort),
        cmocka_unit_test(lists_keep_order_and_survive_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
