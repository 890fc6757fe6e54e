/* Unit tests of io/bus_late: every frame is late here (BARID_FAULT in main). */
#include "io/bus_late.h"

#include <stdlib.h>

#include <cmocka.h>

static struct {
    struct loop *loop;
    struct list late;
    unsigned sent;
    struct buf to, frame;
} bench;

static void on_sent(void *owner, struct span to, struct span frame)
{
    assert_ptr_equal(owner, &bench);
    bench.sent++;
    buf_add_span(&bench.to, to);
    buf_add_span(&bench.frame, frame);
    loop_stop(bench.loop);
}

static int set_up(void **state)
{
    (void) state;
    bench.loop = loop_new();
    list_init(&bench.late);
    bench.sent = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    bench.loop = loop_free(bench.loop);
    buf_done(&bench.to);
    buf_done(&bench.frame);
    return 0;
}

static void a_late_frame_comes_whole(void **state)
{
    (void) state;
    assert_true(late_take(&bench.late, bench.loop, SPAN("17.0"), SPAN("frame"), on_sent, &bench));
    assert_int_equal(bench.sent, 0);
    loop_run(bench.loop);
    assert_int_equal(bench.sent, 1);
    assert_true(span_equal(buf_span(&bench.to), SPAN("17.0")));
    assert_true(span_equal(buf_span(&bench.frame), SPAN("frame")));
    assert_true(list_is_empty(&bench.late));
}

static void what_is_dropped_never_comes(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 10; i++)
        assert_true(late_take(&bench.late, bench.loop, SPAN(""), SPAN("frame"), on_sent, &bench));
    late_drop(&bench.late);
    assert_true(list_is_empty(&bench.late));
    assert_int_equal(bench.sent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_late_frame_comes_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_dropped_never_comes, set_up, tear_down),
    };
    if (setenv("BARID_FAULT", "bus_send:delay:100", 1) < 0 || setenv("BARID_FAULT_SEED", "11", 1) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
