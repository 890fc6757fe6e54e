/* Log lines and gauges of the process' stores together. */
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/audit.h"
#include "cluster/store_private.h"

enum { FAILED_EVERY_MS = 10000, MOVED_EVERY_MS = 1000, RENEWED_TOGETHER_MS = 900 };

/* What was told of one shard: all reactors' stores have it, or not yet. */
struct row {
    struct list link;
    char *address;
    unsigned open, ready, percent;
    struct audit_memory memory;
    bool told_ready, told_full;
    char *told_refused, *told_unsafe;
};

static struct {
    pthread_mutex_t lock;
    struct list rows;
    uint64_t failed_ms, moved_ms, renewed_ms;
    char *told_primary;
} report = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void)
{
    must(pthread_mutex_lock(&report.lock) == 0);
    if (!report.rows.next)
        list_init(&report.rows);
}

static void unlock(void)
{
    unsigned shards = 0, ready = 0, percent = 0;
    struct audit_memory memory = {.used_bytes = 0};
    bool is_limited = true;

    for (struct list *it = report.rows.next; it != &report.rows; it = it->next) {
        const struct row *row = LIST_ENTRY(it, struct row, link);
        shards++;
        ready += row->ready == row->open;
        if (row->percent > percent)
            percent = row->percent;
        memory.used_bytes += row->memory.used_bytes;
        memory.most_bytes += row->memory.most_bytes;
        is_limited &= row->memory.most_bytes > 0;
    }
    metric_set(METRIC_STORE_READY, shards && ready == shards);
    metric_set(METRIC_STORE_SHARDS, shards);
    metric_set(METRIC_STORE_SHARDS_READY, ready);
    metric_set(METRIC_STORE_MEMORY_PERCENT, percent);
    metric_set(METRIC_STORE_MEMORY_BYTES, (int64_t) memory.used_bytes);
    metric_set(METRIC_STORE_MEMORY_MAX_BYTES, is_limited ? (int64_t) memory.most_bytes : 0);
    must(pthread_mutex_unlock(&report.lock) == 0);
}

static struct row *row_find(const char *address)
{
    for (struct list *it = report.rows.next; it != &report.rows; it = it->next) {
        struct row *row = LIST_ENTRY(it, struct row, link);
        if (strcmp(row->address, address) == 0)
            return row;
    }
    return NULL;
}

static struct row *row_of(const char *address)
{
    struct row *row = row_find(address);

    must(row);
    return row;
}

/* Keeps sentence as what was told last; false if it is the same. */
static bool is_news(char **told, const char *sentence)
{
    if (*told && strcmp(*told, sentence) == 0)
        return false;
    mem_free(*told);
    *told = mem_string(sentence);
    return true;
}

void report_opened(const char *address)
{
    lock();
    struct row *row = row_find(address);
    if (!row) {
        row = NEW(struct row);
        row->address = mem_string(address);
        list_append(&report.rows, &row->link);
    }
    row->open++;
    unlock();
}

void report_closed(const char *address, bool was_ready)
{
    lock();
    struct row *row = row_of(address);
    row->open--;
    row->ready -= was_ready;
    if (!row->open) {
        list_remove(&row->link);
        mem_free(row->told_refused);
        mem_free(row->told_unsafe);
        mem_free(row->address);
        mem_free(row);
    }
    if (list_is_empty(&report.rows))
        report.told_primary = mem_free(report.told_primary);
    unlock();
}

void report_ready(const char *address)
{
    lock();
    struct row *row = row_of(address);
    row->ready++;
    if (row->ready == row->open && !row->told_ready) {
        row->told_ready = true;
        row->told_refused = mem_free(row->told_refused);
        log_event(LOG_STORE_READY, F("store", address));
    }
    unlock();
}

void report_lost(const char *address, const char *reason)
{
    lock();
    struct row *row = row_of(address);
    row->ready--;
    if (row->told_ready) {
        row->told_ready = false;
        if (reason)
            log_event(LOG_STORE_LOST, F("store", address), F("msg", reason));
    }
    unlock();
}

void report_refused(const char *address, const char *sentence)
{
    lock();
    if (is_news(&row_of(address)->told_refused, sentence))
        log_event(LOG_STORE_REFUSED, F("msg", sentence));
    unlock();
}

void report_unsafe(const char *address, const char *sentence)
{
    lock();
    if (is_news(&row_of(address)->told_unsafe, sentence))
        log_event(LOG_STORE_UNSAFE, F("msg", sentence));
    unlock();
}

void report_memory(const char *address, bool is_full, unsigned percent, const struct audit_memory *memory)
{
    lock();
    struct row *row = row_of(address);
    row->percent = percent;
    row->memory = *memory;
    if (is_full != row->told_full) {
        row->told_full = is_full;
        log_event(is_full ? LOG_STORE_FULL : LOG_STORE_ROOM, F("store", address), FN("percent", percent));
    }
    unlock();
}

/* Each reactor sees it for itself, one after the other. */
void report_moved(const char *address, unsigned slots)
{
    uint64_t now = clock_ms();

    lock();
    if (address) {
        bool is_first = !report.told_primary;
        if (is_news(&report.told_primary, address) && !is_first) {
            metric_add(METRIC_STORE_MOVED_TOTAL, 1);
            log_event(LOG_STORE_FAILOVER, F("store", address));
        }
    } else if (!report.moved_ms || now - report.moved_ms >= MOVED_EVERY_MS) {
        report.moved_ms = now;
        metric_add(METRIC_STORE_MOVED_TOTAL, 1);
        log_event(LOG_STORE_MOVED, FN("slots", slots));
    }
    unlock();
}

/* All reactors look each second, and find the same. */
void report_renewed(const char *error)
{
    uint64_t now = clock_ms();

    lock();
    bool is_first = !report.renewed_ms || now - report.renewed_ms > RENEWED_TOGETHER_MS;
    report.renewed_ms = now;
    if (is_first && error)
        log_event(LOG_CERTIFICATE_REFUSED, F("setting", "store.tls_certificate"), F("error", error));
    else if (is_first)
        log_event(LOG_CERTIFICATE_LOADED, F("setting", "store.tls_certificate"));
    unlock();
}

void report_failed(struct span error)
{
    uint64_t now = clock_ms();

    lock();
    if (!report.failed_ms || now - report.failed_ms >= FAILED_EVERY_MS) {
        report.failed_ms = now;
        log_event(LOG_SCRIPT_FAILED, FS("error", error));
    }
    unlock();
}
