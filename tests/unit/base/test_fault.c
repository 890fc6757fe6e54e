/* Unit tests of base/fault: each runs in a child process, since a plan is read once and ends its process. */
#include "base/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

enum { ENOUGH = 1000 };

/* What a child does, with what it was told in the environment; it returns its exit code. */
typedef int child_body(void);

static struct {
    int status;
    char told[256]; /* on stderr */
} end;

static void child_run(const char *variable, const char *value, child_body *body)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        unsetenv("BARID_FAULT");
        unsetenv("BARID_FAULT_DIR");
        unsetenv("BARID_FAULT_SEED");
        setenv(variable, value, 1);
        dup2(out[1], STDERR_FILENO);
        _exit(body());
    }
    close(out[1]);
    assert_int_equal(waitpid(child, &end.status, WUNTRACED), child);
    if (WIFSTOPPED(end.status)) {
        int after = 0;
        kill(child, SIGCONT);
        assert_int_equal(waitpid(child, &after, 0), child);
        assert_true(WIFEXITED(after) && WEXITSTATUS(after) == 0);
    }
    ssize_t len = read(out[0], end.told, sizeof(end.told) - 1);
    end.told[len > 0 ? len : 0] = '\0';
    close(out[0]);
}

static int pass_twice(void)
{
    fault_pass(FAULT_before_dot);
    fault_pass(FAULT_before_dot);
    return 0;
}

static int pass_another(void)
{
    fault_pass(FAULT_after_dot);
    return 0;
}

static int send_and_end_the_round(void)
{
    fault_sent(FAULT_before_dot);
    fault_sent(FAULT_before_dot);
    (void) !write(STDERR_FILENO, "marked ", 7);
    fault_round_over();
    (void) !write(STDERR_FILENO, "first ", 6);
    fault_round_over();
    fault_sent(FAULT_before_dot);
    fault_round_over();
    return 1;
}

static void what_is_sent_is_passed_at_the_end_of_the_round(void **state)
{
    (void) state;
    child_run("BARID_FAULT", "before_dot:crash:2", send_and_end_the_round);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
    assert_true(strncmp(end.told, "marked first fault: ", 20) == 0);
}

static void crashes_at_the_pass_that_is_named(void **state)
{
    (void) state;
    child_run("BARID_FAULT", "after_dot:crash:1,before_dot:crash:2", pass_twice);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
    assert_non_null(strstr(end.told, "fault: crash at before_dot, pid "));
    child_run("BARID_FAULT", "before_dot:crash:3", pass_twice);
    assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
}

static void pauses_and_goes_on(void **state)
{
    (void) state;
    child_run("BARID_FAULT", "before_dot:pause:1", pass_twice);
    assert_true(WIFSTOPPED(end.status) && WSTOPSIG(end.status) == SIGSTOP);
    assert_non_null(strstr(end.told, "fault: pause at before_dot, pid "));
}

static void a_plan_that_cannot_be_understood_ends_the_process(void **state)
{
    (void) state;
    static const char *const wrong[] = {"before_dot",        "before_dot:crash", "nowhere:crash:1",
                                        "before_dot:lose:1", "bus_send:crash:1", "bus_send:lose:101",
                                        "before_dot:crash:0"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        child_run("BARID_FAULT", wrong[i], pass_another);
        assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
    }
}

static char folder[64];

static int pass_armed_meanwhile(void)
{
    char path[128];
    fault_pass(FAULT_before_dot); /* nothing is armed */
    snprintf(path, sizeof(path), "%s/before_dot:crash:2", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    fault_pass(FAULT_after_dot);
    fault_pass(FAULT_before_dot);
    fault_pass(FAULT_before_dot);
    return 1;
}

static void a_folder_arms_a_running_process_once(void **state)
{
    (void) state;
    snprintf(folder, sizeof(folder), "/tmp/barid-fault-XXXXXX");
    assert_non_null(mkdtemp(folder));
    child_run("BARID_FAULT_DIR", folder, pass_armed_meanwhile);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
    child_run("BARID_FAULT_DIR", folder, pass_twice);
    assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
    assert_int_equal(rmdir(folder), 0);
}

/* Exit code: how many of a hundred frames were lost, or late. */
static int count_lost(void)
{
    int lost = 0;
    for (int i = 0; i < ENOUGH; i++)
        lost += fault_frame() == FAULT_FRAME_LOST;
    return lost * 100 / ENOUGH;
}

static int count_late(void)
{
    int late = 0;
    for (int i = 0; i < ENOUGH; i++) {
        int fate = fault_frame();
        if (fate > 0 && (fate < 10 || fate > 2000))
            return 255;
        late += fate > 0;
    }
    return late * 100 / ENOUGH;
}

static void frames_are_lost_and_late_as_often_as_told(void **state)
{
    (void) state;
    child_run("BARID_FAULT", "bus_send:lose:20", count_lost);
    assert_in_range(WEXITSTATUS(end.status), 15, 25);
    child_run("BARID_FAULT", "bus_send:lose:100", count_lost);
    assert_int_equal(WEXITSTATUS(end.status), 100);
    child_run("BARID_FAULT", "bus_send:delay:50", count_late);
    assert_in_range(WEXITSTATUS(end.status), 43, 57);
    child_run("BARID_FAULT", "bus_send:lose:20,bus_send:delay:50", count_late);
    assert_in_range(WEXITSTATUS(end.status), 33, 47);
    child_run("BARID_FAULT_SEED", "7", count_lost);
    assert_int_equal(WEXITSTATUS(end.status), 0);
}

static int no_points(void)
{
    FAULT_POINT(before_dot);
    return 0;
}

static void a_normal_build_has_no_points(void **state)
{
    (void) state;
    child_run("BARID_FAULT", "before_dot:crash:1", no_points);
#ifdef FAULTS
    assert_true(WIFSIGNALED(end.status));
#else
    assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_at_the_pass_that_is_named),
        cmocka_unit_test(pauses_and_goes_on),
        cmocka_unit_test(what_is_sent_is_passed_at_the_end_of_the_round),
        cmocka_unit_test(a_plan_that_cannot_be_understood_ends_the_process),
        cmocka_unit_test(a_folder_arms_a_running_process_once),
        cmocka_unit_test(frames_are_lost_and_late_as_often_as_told),
        cmocka_unit_test(a_normal_build_has_no_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
