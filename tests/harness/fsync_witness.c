/*
 * Preloaded into redis-server: notes how much of each append-only file a successful fsync or fdatasync
 * covered, so that a test can cut the rest off after a kill, as a power failure would. BARID_FSYNC_WITNESS
 * names the table, a file of SLOTS slots that the harness reads.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 512
#define NAME_MAX_BYTES 104
#define SUFFIX ".incr.aof"
#define TEMPORARY "temp-appendonly.aof.incr" /* of a replica, until its first rewrite has ended */

struct slot {
    char name[NAME_MAX_BYTES];
    uint64_t inode;
    uint64_t synced;
    uint64_t count;
};

_Static_assert(sizeof(struct slot) == 128, "redis.py reads slots of 128 bytes");

static struct slot *table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void witness_open(void)
{
    const char *path = getenv("BARID_FSYNC_WITNESS");
    if (!path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, SLOTS * sizeof(struct slot)) < 0) {
        perror("fsync_witness");
        abort();
    }
    void *map = mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        perror("fsync_witness");
        abort();
    }
    table = map;
}

static int is_append_only(const char *base)
{
    size_t length = strlen(base);
    if (strcmp(base, TEMPORARY) == 0)
        return 1;
    return length >= strlen(SUFFIX) && length < NAME_MAX_BYTES &&
           strcmp(base + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* The length before the call is what the call surely covered: another thread may be appending meanwhile. */
static int64_t append_only_length(int fd, char name[NAME_MAX_BYTES], uint64_t *inode)
{
    char link[64];
    char path[4096];
    struct stat st;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return -1;
    path[n] = '\0';
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    if (!is_append_only(base) || fstat(fd, &st) < 0)
        return -1;
    memcpy(name, base, strlen(base) + 1);
    *inode = st.st_ino;
    return st.st_size;
}

static void note(int fd, const char *name, uint64_t inode, uint64_t length)
{
    struct stat st;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < SLOTS && table[i].name[0] && (strcmp(table[i].name, name) != 0 || table[i].inode != inode))
        i++;
    if (i == SLOTS) {
        fprintf(stderr, "fsync_witness: more than %d append-only files\n", SLOTS);
        abort();
    }
    /* Shorter than what was noted: a new file that has the name and the inode of one that is gone. */
    int is_new = fstat(fd, &st) == 0 && (uint64_t) st.st_size < table[i].synced;
    if (length > table[i].synced || is_new)
        __atomic_store_n(&table[i].synced, length, __ATOMIC_SEQ_CST);
    table[i].count++;
    table[i].inode = inode;
    if (!table[i].name[0])
        memcpy(table[i].name, name, strlen(name) + 1);
    pthread_mutex_unlock(&lock);
}

static int witnessed(int fd, const char *call)
{
    char name[NAME_MAX_BYTES];
    uint64_t inode = 0;
    int64_t length = table ? append_only_length(fd, name, &inode) : -1;
    int (*next)(int) = (int (*)(int))(uintptr_t) dlsym(RTLD_NEXT, call);
    int result = next(fd);
    int saved = errno;
    if (result == 0 && length >= 0)
        note(fd, name, inode, (uint64_t) length);
    errno = saved;
    return result;
}

int fsync(int fd)
{
    return witnessed(fd, "fsync");
}

int fdatasync(int fd)
{
    return witnessed(fd, "fdatasync");
}
