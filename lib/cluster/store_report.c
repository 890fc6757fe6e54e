/* Log lines and gauges of the process' stores together. */
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/store_private.h"

enum { FAILED_EVERY_MS = 10000 };

static struct {
    pthread_mutex_t lock;
    unsigned open, ready;
    bool told_ready, told_full;
    char *told_refused, *told_unsafe;
    uint64_t failed_ms;
} report = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void)
{
    must(pthread_mutex_lock(&report.lock) == 0);
}

static void unlock(void)
{
    metric_set(METRIC_STORE_READY, report.open && report.ready == report.open);
    must(pthread_mutex_unlock(&report.lock) == 0);
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

void report_opened(void)
{
    lock();
    report.open++;
    unlock();
}

void report_closed(bool was_ready)
{
    lock();
    report.open--;
    report.ready -= was_ready;
    if (!report.open) {
        report.told_ready = report.told_full = false;
        report.told_refused = mem_free(report.told_refused);
        report.told_unsafe = mem_free(report.told_unsafe);
    }
    unlock();
}

void report_ready(const char *address)
{
    lock();
    report.ready++;
    if (report.ready == report.open && !report.told_ready) {
        report.told_ready = true;
        report.told_refused = mem_free(report.told_refused);
        log_event(LOG_STORE_READY, F("store", address));
    }
    unlock();
}

void report_lost(const char *address, const char *reason)
{
    lock();
    report.ready--;
    if (report.told_ready) {
        report.told_ready = false;
        if (reason)
            log_event(LOG_STORE_LOST, F("store", address), F("msg", reason));
    }
    unlock();
}

void report_refused(const char *sentence)
{
    lock();
    if (is_news(&report.told_refused, sentence))
        log_event(LOG_STORE_REFUSED, F("msg", sentence));
    unlock();
}

void report_unsafe(const char *sentence)
{
    lock();
    if (is_news(&report.told_unsafe, sentence))
        log_event(LOG_STORE_UNSAFE, F("msg", sentence));
    unlock();
}

void report_memory(bool is_full, unsigned percent)
{
    lock();
    metric_set(METRIC_STORE_MEMORY_PERCENT, percent);
    if (is_full != report.told_full) {
        report.told_full = is_full;
        log_event(is_full ? LOG_STORE_FULL : LOG_STORE_ROOM, FN("percent", percent));
    }
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
