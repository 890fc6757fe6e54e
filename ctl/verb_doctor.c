/* doctor: everything that can be judged from here, and what to do about it. */
#include "ctl/doctor.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "io/json.h"

static void print_rows(const struct diagnosis *d)
{
    AUTO_BUF struct buf out = {.data = NULL};
    size_t counts[SEVERITY_WRONG + 1] = {0};

    for (size_t i = 0; i < d->count; i++) {
        const struct diagnosis_row *row = &d->rows[i];
        counts[row->severity]++;
        buf_printf(&out, "%-7s %-13s ",
                   row->severity == SEVERITY_WRONG ? "WRONG" : severity_name(row->severity), row->about);
        buf_add_printable(&out, span_of(row->text), SIZE_MAX / 2);
        buf_add_char(&out, '\n');
        if (*row->remedy) {
            buf_printf(&out, "%22s-> ", "");
            buf_add_printable(&out, span_of(row->remedy), SIZE_MAX / 2);
            buf_add_char(&out, '\n');
        }
    }
    buf_printf(&out, "%zu wrong, %zu could be better, %zu good\n", counts[SEVERITY_WRONG],
               counts[SEVERITY_ADVICE], counts[SEVERITY_GOOD]);
    print_buf(&out);
}

static void print_rows_json(const struct diagnosis *d)
{
    struct json *json = json_new_object(), *list = json_new_array();

    for (size_t i = 0; i < d->count; i++) {
        struct json *row = json_new_object();
        json_put_text(row, "level", span_of(severity_name(d->rows[i].severity)));
        json_put_text(row, "about", span_of(d->rows[i].about));
        json_put_text(row, "text", span_of(d->rows[i].text));
        json_put_text(row, "remedy", span_of(d->rows[i].remedy));
        json_put(list, NULL, row);
    }
    json_put_flag(json, "ok", d->worst < SEVERITY_WRONG);
    json_put(json, "findings", list);
    print_json(json);
}

static int examine(struct diagnosis *d, struct ask *k)
{
    struct health h = {.now_ms = 0};

    health_ask(k, &h);
    int status = ask_wait(k);
    if (status == EXIT_OK) {
        doctor_roles(d, &h);
        doctor_clocks(d, &h);
        doctor_settings(d, &h);
        status = doctor_store(d, k);
    }
    if (status == EXIT_OK) {
        doctor_certificates(d);
        doctor_dns(d, k);
        doctor_ports(d, k, &h);
    }
    health_done(&h);
    return status;
}

int verb_doctor(const struct arguments *a)
{
    struct diagnosis d = {.rows = NULL};
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = examine(&d, k);
    if (status == EXIT_OK && a->is_json)
        print_rows_json(&d);
    else if (status == EXIT_OK)
        print_rows(&d);
    if (status == EXIT_OK && d.worst == SEVERITY_WRONG)
        status = EXIT_ASKED_FAILED;
    diagnosis_done(&d);
    ask_close(k);
    return status;
}
