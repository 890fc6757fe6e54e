/*
 * Preloaded into a program: it dies by SIGKILL just before its n-th write that changes something, n being the number in KILL_AT: to a file or a pipe,
 * a sync, or to a socket with EVALSHA or SET in what is sent. KILL_OF: only if this word is among its arguments. A walk over n meets every
 * state that it can leave behind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long left = -1; /* -1: it lives on */

static int is_meant(const char *word)
{
    char arguments[4096];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, arguments, sizeof(arguments));

    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < len; i += (ssize_t) strlen(arguments + i) + 1)
        if (strcmp(arguments + i, word) == 0)
            return 1;
    return 0;
}

__attribute__((constructor)) static void read_number(void)
{
    const char *number = getenv("KILL_AT"), *word = getenv("KILL_OF");

    if (number && word && is_meant(word))
        left = atol(number);
}

static int is_change(int fd, const void *bytes, size_t len)
{
    int type;
    socklen_t size = sizeof(type);

    if (fd == STDERR_FILENO)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return fd == STDOUT_FILENO || fcntl(fd, F_GETFL) >= 0;
    return memmem(bytes, len, "EVALSHA", 7) || memmem(bytes, len, "\nSET\r", 5);
}

static void step(int fd, const void *bytes, size_t len)
{
    if (left > 0 && is_change(fd, bytes, len) && --left == 0)
        raise(SIGKILL);
}

static void step_parts(int fd, const struct iovec *parts, size_t count)
{
    for (size_t i = 0; i < count && left > 0; i++)
        if (is_change(fd, parts[i].iov_base, parts[i].iov_len)) {
            step(fd, parts[i].iov_base, parts[i].iov_len);
            return;
        }
}

#define REAL(type, name, parameters) \
    static type(*real) parameters;   \
    if (!real)                       \
    real = (type(*) parameters) dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t len)
{
    REAL(ssize_t, write, (int, const void *, size_t));
    step(fd, bytes, len);
    return real(fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, writev, (int, const struct iovec *, int) );
    step_parts(fd, parts, (size_t) count);
    return real(fd, parts, count);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    REAL(ssize_t, send, (int, const void *, size_t, int) );
    step(fd, bytes, len);
    return real(fd, bytes, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(ssize_t, sendmsg, (int, const struct msghdr *, int) );
    step_parts(fd, message->msg_iov, message->msg_iovlen);
    return real(fd, message, flags);
}

int fsync(int fd)
{
    REAL(int, fsync, (int) );
    step(STDOUT_FILENO, "", 0);
    return real(fd);
}
