/* What doctor finds. */
#include "ctl/diagnosis.h"

#include "base/mem.h"

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {"good", "advice", "wrong"};

    return names[severity];
}

void diagnose(struct diagnosis *d, enum severity severity, const char *about, const char *remedy,
              const char *format, ...)
{
    struct buf text = {.data = NULL};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    d->rows = mem_resize(d->rows, (d->count + 1) * sizeof(*d->rows));
    d->rows[d->count++] = (struct diagnosis_row){severity, about, buf_steal_text(&text), mem_string(remedy)};
    if (severity > d->worst)
        d->worst = severity;
}

void diagnosis_done(struct diagnosis *d)
{
    for (size_t i = 0; i < d->count; i++) {
        mem_free(d->rows[i].text);
        mem_free(d->rows[i].remedy);
    }
    mem_free(d->rows);
    *d = (struct diagnosis){.rows = NULL};
}
