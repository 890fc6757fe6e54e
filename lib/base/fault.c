/* The plan is read once; what a directory arms is looked for at each pass: a test build need not be fast. */
#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { PLANS_MAX = 16, PASS_MAX = 3, PATH_LEN_MAX = 512, LATE_LEAST_MS = 10, LATE_MOST_MS = 2000 };

enum action { CRASH, PAUSE, LOSE, DELAY, ACTION_COUNT };
static const char *const actions[] = {
    [CRASH] = "crash", [PAUSE] = "pause", [LOSE] = "lose", [DELAY] = "delay"};

static const char *const steps[] = {
#define FAULT(name, program, what) [FAULT_##name] = #name,
#include "base/fault.def"
#undef FAULT
};

/* One armed step. */
struct plan {
    enum fault step;
    enum action action;
    _Atomic unsigned passes_left;
};

static struct plan plans[PLANS_MAX];
static unsigned plan_count;
static unsigned lost_percent, late_percent;
static const char *folder; /* NULL: none */

static _Thread_local bool is_sent[FAULT_COUNT]; /* steps of this round */
static _Thread_local bool is_any_sent;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t dice_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t dice;

/* The index of a word in a table. */
static int word_find(struct span word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (span_equal(word, span_of(words[i])))
            return i;
    return -ENOENT;
}

static void plan_add(struct span entry)
{
    struct span where = span_cut(&entry, ':');
    int action = word_find(span_cut(&entry, ':'), actions, ACTION_COUNT);
    uint64_t number;
    must(action >= 0 && span_number(entry, 100, &number) == 0 && number > 0);
    if (span_equal(where, SPAN("bus_send"))) {
        must(action == LOSE || action == DELAY);
        *(action == LOSE ? &lost_percent : &late_percent) = (unsigned) number;
        return;
    }
    int step = word_find(where, steps, FAULT_COUNT);
    must(step >= 0 && (action == CRASH || action == PAUSE) && plan_count < PLANS_MAX);
    plans[plan_count].step = (enum fault) step;
    plans[plan_count].action = (enum action) action;
    plans[plan_count++].passes_left = (unsigned) number;
}

static void plan_read(void)
{
    struct span rest = span_of(getenv("BARID_FAULT"));
    while (rest.len)
        plan_add(span_cut(&rest, ','));
    folder = getenv("BARID_FAULT_DIR");
    must(span_number(span_of(getenv("BARID_FAULT_SEED")), UINT64_MAX, &dice) == 0 ||
         !getenv("BARID_FAULT_SEED"));
}

static void fire(enum fault step, enum action action)
{
    char line[128];
    struct timespec now;
    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    int len = snprintf(line, sizeof(line), "fault: %s at %s, pid %d, time %lld.%06ld\n", actions[action],
                       steps[step], (int) getpid(), (long long) now.tv_sec, now.tv_nsec / 1000);
    must(len > 0 && (size_t) len < sizeof(line));
    (void) write(STDERR_FILENO, line, (size_t) len); /* a test that waits for it sees that it is not there */
    must(raise(action == CRASH ? SIGKILL : SIGSTOP) == 0);
}

static void folder_path(char ret_path[static PATH_LEN_MAX], enum fault step, enum action action,
                        unsigned pass)
{
    int len = snprintf(ret_path, PATH_LEN_MAX, "%s/%s:%s:%u", folder, steps[step], actions[action], pass);
    must(len > 0 && len < PATH_LEN_MAX);
}

/* Takes one pass off what the directory arms. Whether it was the last. */
static bool folder_take(enum fault step, enum action action)
{
    char here[PATH_LEN_MAX], next[PATH_LEN_MAX];
    folder_path(here, step, action, 1);
    if (unlink(here) == 0)
        return true;
    for (unsigned pass = 2; pass <= PASS_MAX; pass++) {
        folder_path(here, step, action, pass);
        folder_path(next, step, action, pass - 1);
        if (rename(here, next) == 0)
            break;
    }
    return false;
}

void fault_pass(enum fault step)
{
    must(pthread_once(&once, plan_read) == 0);
    for (unsigned i = 0; i < plan_count; i++)
        if (plans[i].step == step && atomic_load(&plans[i].passes_left) &&
            atomic_fetch_sub(&plans[i].passes_left, 1) == 1)
            fire(step, plans[i].action);
    for (enum action action = CRASH; folder && action <= PAUSE; action++)
        if (folder_take(step, action))
            fire(step, action);
}

void fault_sent(enum fault step)
{
    is_sent[step] = is_any_sent = true;
}

void fault_round_over(void)
{
    if (!is_any_sent)
        return;
    is_any_sent = false;
    for (enum fault step = 0; step < FAULT_COUNT; step++) {
        if (is_sent[step])
            fault_pass(step);
        is_sent[step] = false;
    }
}

/* 0 to below, by splitmix64: the same frames with the same seed. */
static unsigned dice_roll(unsigned below)
{
    uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (unsigned) ((z ^ (z >> 31)) % below);
}

int fault_frame(void)
{
    int fate = 0;
    must(pthread_once(&once, plan_read) == 0);
    if (!lost_percent && !late_percent)
        return 0;
    must(pthread_mutex_lock(&dice_lock) == 0);
    if (dice_roll(100) < lost_percent)
        fate = FAULT_FRAME_LOST;
    else if (dice_roll(100) < late_percent)
        fate = (int) (LATE_LEAST_MS + dice_roll(LATE_MOST_MS - LATE_LEAST_MS + 1));
    must(pthread_mutex_unlock(&dice_lock) == 0);
    return fate;
}
