/* The two clocks, and dates in UTC computed without the C library's hidden state. */
#include "base/clock.h"

#include <errno.h>
#include <string.h>
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

/* The number of just so many digits at the start of *rest, then `behind`, which is taken too. */
static bool take_digits(struct span *rest, size_t digits, const char *behind, unsigned *ret_value)
{
    uint64_t value;
    if (rest->len <= digits || !strchr(behind, rest->at[digits]) ||
        span_number((struct span){.at = rest->at, .len = digits}, UINT32_MAX, &value) < 0)
        return false;
    *ret_value = (unsigned) value;
    *rest = (struct span){.at = rest->at + digits + 1, .len = rest->len - digits - 1};
    return true;
}

/* "Z", "+01:30": minutes east of Greenwich. */
static bool take_offset(struct span rest, char sign, int *ret_minutes)
{
    unsigned hours, minutes;
    char text[8] = "";
    struct span padded = {.at = text, .len = rest.len + 1};
    *ret_minutes = 0;
    if (sign == 'Z' || sign == 'z')
        return rest.len == 0;
    if (rest.len != 5)
        return false;
    memcpy(text, rest.at, rest.len);
    text[rest.len] = '.';
    if (!take_digits(&padded, 2, ":", &hours) || !take_digits(&padded, 2, ".", &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_minutes = (int) (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
    return true;
}

static bool is_day(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

/* ".123456": milliseconds. */
static bool take_fraction(struct span *rest, unsigned *ret_ms, char *ret_sign)
{
    unsigned scale = 100;
    size_t i = 0;
    for (; i < rest->len && rest->at[i] >= '0' && rest->at[i] <= '9'; i++, scale /= 10)
        *ret_ms += scale * (unsigned) (rest->at[i] - '0');
    if (i == 0 || i == rest->len || !strchr("Zz+-", rest->at[i]))
        return false;
    *ret_sign = rest->at[i];
    *rest = (struct span){.at = rest->at + i + 1, .len = rest->len - i - 1};
    return true;
}

int clock_parse_stamp(struct span s, uint64_t *ret_wall_ms)
{
    unsigned year, month, day, hour, minute, second, ms = 0;
    int offset;
    if (memchr(s.at ? s.at : "", '\0', s.len))
        return -EINVAL;
    if (!take_digits(&s, 4, "-", &year) || !take_digits(&s, 2, "-", &month) ||
        !take_digits(&s, 2, "Tt", &day) || !take_digits(&s, 2, ":", &hour) ||
        !take_digits(&s, 2, ":", &minute) || !take_digits(&s, 2, "Zz+-.", &second))
        return -EINVAL;
    char sign = s.at[-1];
    if ((sign == '.' && !take_fraction(&s, &ms, &sign)) || !take_offset(s, sign, &offset))
        return -EINVAL;
    if (year < 1970 || !is_day(year, month, day) || hour > 23 || minute > 59 || second > 60)
        return -EINVAL;
    struct tm parts = {.tm_year = (int) year - 1900,
                       .tm_mon = (int) month - 1,
                       .tm_mday = (int) day,
                       .tm_hour = (int) hour,
                       .tm_min = (int) minute,
                       .tm_sec = (int) second};
    int64_t seconds = timegm(&parts) - (int64_t) offset * 60;
    if (seconds < 0)
        return -EINVAL;
    *ret_wall_ms = (uint64_t) seconds * 1000 + ms;
    return 0;
}
