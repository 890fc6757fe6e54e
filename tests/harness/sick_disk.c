/*
 * Preloaded into redis-server: its append-only files are on a disk that is as sick as the table in SICK_DISK says: full after so many bytes more,
 * broken at write or fsync, or slow (disk.py writes the table).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct table {
    int32_t is_limited; /* room counts */
    int32_t write_error, sync_error;
    int32_t delay_ms; /* of each sync */
    int64_t room;     /* bytes that can still be written; then ENOSPC */
};

static volatile struct table *table;

__attribute__((constructor)) static void table_open(void)
{
    const char *path = getenv("SICK_DISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    table = map == MAP_FAILED ? NULL : map;
}

static int is_append_only(int fd)
{
    char link[64], path[512];
    ssize_t len;

    if (!table)
        return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return strstr(path, ".aof") != NULL;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    static ssize_t (*real)(int, const void *, size_t);

    if (!real)
        real = (ssize_t(*)(int, const void *, size_t)) dlsym(RTLD_NEXT, "write");
    if (table && (table->is_limited || table->write_error) && is_append_only(fd)) {
        if (table->write_error) {
            errno = table->write_error;
            return -1;
        }
        if (table->room <= 0) {
            errno = ENOSPC;
            return -1;
        }
        if ((int64_t) len > table->room)
            len = (size_t) table->room;
        table->room -= (int64_t) len;
    }
    return real(fd, bytes, len);
}

static int sync_result(int fd)
{
    if (!table || !(table->sync_error || table->delay_ms) || !is_append_only(fd))
        return 0;
    if (table->delay_ms) {
        struct timespec delay = {.tv_sec = table->delay_ms / 1000,
                                 .tv_nsec = table->delay_ms % 1000 * 1000000L};
        nanosleep(&delay, NULL); /* rule: a slow disk */
    }
    if (!table->sync_error)
        return 0;
    errno = table->sync_error;
    return -1;
}

int fdatasync(int fd)
{
    static int (*real)(int);

    if (!real)
        real = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    return sync_result(fd) < 0 ? -1 : real(fd);
}

int fsync(int fd)
{
    static int (*real)(int);

    if (!real)
        real = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
    return sync_result(fd) < 0 ? -1 : real(fd);
}
