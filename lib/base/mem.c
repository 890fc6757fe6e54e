/* Allocation that never fails, and the end of the process for bugs. The only file that calls malloc and its kin. */
#include "base/mem.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static char who[128] = "barid";

void must_tell(const char *name)
{
    (void) snprintf(who, sizeof(who), "%s", name ? name : "barid"); /* a name cut short is still one */
}

void must_fail(const char *what, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%s: bug: must(%s) failed at %s:%d\n", who, what, file, line);
    size_t size = len < 0 ? 0 : (size_t) len < sizeof(text) ? (size_t) len : sizeof(text) - 1;

    log_flush();
    (void) write(STDERR_FILENO, text, size); /* the process ends either way */
    void *frames[32];
    backtrace_symbols_fd(frames, backtrace(frames, (int) ARRAY_LEN(frames)), STDERR_FILENO);
    abort();
}

static void *check(void *p, size_t size_bytes)
{
    if (!p) {
        char what[64];
        (void) snprintf(what, sizeof(what), "memory for %zu bytes", size_bytes); /* fits */
        must_fail(what, __FILE__, __LINE__);
    }
    return p;
}

/* malloc(0) may return NULL; we never do. */
static size_t at_least_one(size_t size_bytes)
{
    return size_bytes ? size_bytes : 1;
}

void *mem_alloc(size_t size_bytes)
{
    return check(calloc(1, at_least_one(size_bytes)), size_bytes);
}

void *mem_array(size_t count, size_t member_bytes)
{
    size_t total;
    must(!__builtin_mul_overflow(count, member_bytes, &total));
    return mem_alloc(total);
}

void *mem_resize(void *p, size_t size_bytes)
{
    return check(realloc(p, at_least_one(size_bytes)), size_bytes);
}

void *mem_copy(const void *p, size_t size_bytes)
{
    void *copy = check(malloc(at_least_one(size_bytes)), size_bytes);
    if (size_bytes)
        memcpy(copy, p, size_bytes);
    return copy;
}

char *mem_text(const char *p, size_t len)
{
    must(len < SIZE_MAX);
    char *copy = check(malloc(len + 1), len + 1);
    if (len)
        memcpy(copy, p, len);
    copy[len] = '\0';
    return copy;
}

char *mem_string(const char *text)
{
    return mem_text(text, text ? strlen(text) : 0);
}

char *mem_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    must(len >= 0);
    char *text = check(malloc((size_t) len + 1), (size_t) len + 1);
    (void) vsnprintf(text, (size_t) len + 1, format, args); /* the length is known */
    va_end(args);
    return text;
}

void *mem_free(void *p)
{
    free(p);
    return NULL;
}

void mem_auto_free(void *pointer_to_pointer)
{
    free(*(void **) pointer_to_pointer);
}

uint64_t mem_resident_bytes(void)
{
    unsigned long long whole, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &whole, &resident) != 2)
        resident = 0;
    (void) fclose(file); /* it was only read */
    return resident * (uint64_t) sysconf(_SC_PAGESIZE);
}
