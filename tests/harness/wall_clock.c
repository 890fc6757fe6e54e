/*
 * Preloaded into a node: its wall clock is off by as many seconds as the file BARID_WALL_CLOCK says (eight bytes, read at each look). Clocks
 * that only count on stay as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *seconds;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BARID_WALL_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*seconds), PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0)
        (void) close(fd); /* only read */
    real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    if (at != MAP_FAILED)
        seconds = at;
    (void) unsetenv("BARID_WALL_CLOCK"); /* no setting */
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = real ? real(clock, ret) : -1;

    if (r == 0 && seconds && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += (time_t) *seconds;
    return r;
}

time_t time(time_t *ret)
{
    struct timespec now = {.tv_sec = 0};

    (void) clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now = {.tv_sec = 0};

    (void) zone;
    (void) clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}
