/* HTTP requests: nothing of them holds up the loop. The names of hosts come from a getaddrinfo() of our own, which libcurl's threads call. */
#include "io/http_client.h"

#include <netdb.h>
#include <pthread.h>

#include "io_test.h"

enum { STUCK_MS = 5000 }; /* longer than any request of ours may last */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned asked, answered;
static bool is_released;

/* A name server that does not answer, until it is released. */
int getaddrinfo(const char *restrict name UNUSED, const char *restrict service UNUSED,
                const struct addrinfo *restrict hints UNUSED, struct addrinfo **restrict ret)
{
    struct timespec until;
    int r = 0;

    must(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += STUCK_MS / 1000;
    pthread_mutex_lock(&lock);
    asked++;
    pthread_cond_broadcast(&changed);
    while (!is_released && r == 0)
        r = pthread_cond_timedwait(&changed, &lock, &until);
    answered++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    *ret = NULL;
    return EAI_AGAIN;
}

static void wait_until_asked(void)
{
    pthread_mutex_lock(&lock);
    while (asked == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static unsigned answered_so_far(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = answered;
    pthread_mutex_unlock(&lock);
    return n;
}

static int setup(void **state)
{
    asked = answered = 0;
    is_released = false;
    return loop_setup(state);
}

/* No thread is left behind in a test that is over. */
static int teardown(void **state)
{
    pthread_mutex_lock(&lock);
    is_released = true;
    pthread_cond_broadcast(&changed);
    while (answered < asked)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return loop_teardown(state);
}

static const struct http_request request = {
    .url = "http://stuck.test/", .timeout_ms = 200, .max_bytes = 1000};

static void on_answer(void *context, const struct http_answer *answer)
{
    unsigned *told = context;

    assert_int_equal(answer->status, 0);
    assert_true(answer->error[0] != '\0');
    ++*told;
    loop_stop(loop);
}

static void a_name_that_is_not_found_in_time_ends_its_request_in_time(void **state UNUSED)
{
    struct http_client *c = http_client_new(loop);
    unsigned told = 0;

    (void) http_send(c, &request, on_answer, &told);
    loop_go();
    assert_int_equal(told, 1);
    assert_int_equal(answered_so_far(), 0);
    c = http_client_free(c);
    assert_int_equal(answered_so_far(), 0);
}

static void on_time(struct timer *t UNUSED)
{
    loop_stop(loop);
}

static void a_request_is_cancelled_while_its_name_is_looked_up(void **state UNUSED)
{
    struct http_client *c = http_client_new(loop);
    struct timer soon = {0};
    unsigned told = 0;
    struct http_call *call = http_send(c, &request, on_answer, &told);

    timer_start(loop, &soon, 50, on_time);
    loop_go();
    wait_until_asked();
    call = http_cancel(call);
    assert_int_equal(answered_so_far(), 0);
    c = http_client_free(c);
    assert_int_equal(answered_so_far(), 0);
    assert_int_equal(told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_that_is_not_found_in_time_ends_its_request_in_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_request_is_cancelled_while_its_name_is_looked_up, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
