/*
 * Does: allocation that never fails, and must() for bugs.
 * Does not: recover. Out of memory or a broken invariant ends the process; its claims return to the queue.
 * Owns: nothing.
 * Fails: never; sizes chosen by a peer are checked against a setting before they come here.
 * See: docs/flow.md, DESIGN.md invariant 9.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory. */
void *mem_alloc(size_t size_bytes) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* Array of count members, zeroed; must() on overflow. */
void *mem_array(size_t count, size_t member_bytes)
    __attribute__((malloc, returns_nonnull, warn_unused_result));
/* Grows or shrinks; what is new is not zeroed. */
void *mem_resize(void *p, size_t size_bytes) __attribute__((returns_nonnull, warn_unused_result));
void *mem_copy(const void *p, size_t size_bytes) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* A NUL-terminated copy of the bytes given. */
char *mem_text(const char *p, size_t len) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* A NUL-terminated copy of text; NULL gives "". */
char *mem_string(const char *text) __attribute__((malloc, returns_nonnull, warn_unused_result));
char *mem_format(const char *format, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull, warn_unused_result));
/* Always NULL: `p = mem_free(p)`. */
void *mem_free(void *p);

/* What must() prints beside file and line: set by the program to its name and incarnation. Keeps a copy. */
void must_tell(const char *who);
void must_fail(const char *what, const char *file, int line) __attribute__((noreturn, cold));
#define must(cond) ((cond) ? (void) 0 : must_fail(#cond, __FILE__, __LINE__))

#define NEW(type) ((type *) mem_alloc(sizeof(type)))
/* Hands the pointer over and leaves NULL behind. */
#define STEAL(p)              \
    __extension__({           \
        __typeof__(p) _p = p; \
        (p) = NULL;           \
        _p;                   \
    })
/* Of the whole process, as the kernel counts it (RSS); 0: it does not say. */
uint64_t mem_resident_bytes(void);
void mem_auto_free(void *pointer_to_pointer);
/* A local that is freed at the end of its scope: `AUTO_FREE char *name = mem_string(...)`. */
#define AUTO_FREE __attribute__((cleanup(mem_auto_free)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *) (void *) ((char *) (p) -offsetof(type, member)))
#define UNUSED __attribute__((unused))
