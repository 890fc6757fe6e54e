/* The two clocks, and dates in UTC computed without the C library's hidden state. */
#include "base/clock.h"

#include <time.h>

#include "base/mem.h"

static uint64_t read_us(clockid_t clock)
{
    struct timespec now;
    must(clock_gettime(clock, &now) == 0);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

uint64_t clock_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

uint64_t clock_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

uint64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

static struct tm utc(uint64_t wall_ms)
{
    time_t seconds = (time_t) (wall_ms / 1000);
    struct tm parts;
    must(gmtime_r(&seconds, &parts));
    return parts;
}

void clock_add_date(struct buf *b, uint64_t wall_ms)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm t = utc(wall_ms);
    buf_printf(b, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
               t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

void clock_add_stamp(struct buf *b, uint64_t wall_ms)
{
    struct tm t = utc(wall_ms);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
               t.tm_min, t.tm_sec, (unsigned) (wall_ms % 1000));
}
