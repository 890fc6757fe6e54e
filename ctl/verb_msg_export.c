/* msg export: one message as files for people and other software, or as an entry for another store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl/message.h"
#include "ctl/print.h"
#include "ctl/shipment.h"
#include "ctl/verb.h"
#include "io/json.h"

struct msg_export {
    const struct arguments *arguments;
    struct ask *ask;
    struct story story;
    int64_t only_job;
    char *files[2]; /* written */
    size_t jobs;
};

/* ---- as .eml and .json ---- */

/* A new one; nothing is written over. */
static FILE *new_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    if (!file)
        (void) say_failed("%s: %s", name, strerror(errno)); /* the caller returns its status */
    if (!file && fd >= 0)
        close(fd);
    return file;
}

static int end_file(FILE *file, const char *name, int status)
{
    bool is_whole = !ferror(file) && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int error = errno;

    is_whole &= fclose(file) == 0;
    if (!is_whole && status == EXIT_OK)
        status = say_failed("%s could not be written: %s", name, strerror(error));
    return status;
}

static int write_content(struct msg_export *x, const struct envelope *e)
{
    FILE *file = new_file(x->files[0]);

    return file ? end_file(file, x->files[0], content_write(x->ask, e, file)) : EXIT_ASKED_FAILED;
}

static int write_envelope(struct msg_export *x, const struct envelope *e)
{
    struct content content;
    AUTO_BUF struct buf out = {.data = NULL};
    int status = content_look(x->ask, e, &content);
    FILE *file = status == EXIT_OK ? new_file(x->files[1]) : NULL;

    if (!file)
        return EXIT_ASKED_FAILED;
    struct json *json = message_json(&x->story, x->only_job, &content);
    json_print(json, &out);
    json_free(json);
    (void) fwrite(out.data, 1, out.len, file); /* end_file() asks ferror() */
    return end_file(file, x->files[1], EXIT_OK);
}

static int write_pair(struct msg_export *x, const char *directory)
{
    const struct story_job *job = message_readable_job(&x->story, x->only_job);

    if (!job)
        return say_failed("%s: no record of it can be read, so nobody knows where its content is",
                          x->arguments->operands[0]);
    x->files[0] = mem_format("%s/%s.eml", directory, x->story.text);
    x->files[1] = mem_format("%s/%s.json", directory, x->story.text);
    int status = write_content(x, &job->record.envelope);
    return status == EXIT_OK ? write_envelope(x, &job->record.envelope) : status;
}

/* ---- for another store ---- */

/* A message's jobs as a walk would have found them; the story keeps what they point to. */
static size_t selected_of(const struct msg_export *x, struct selected *ret_jobs)
{
    size_t count = 0;

    for (size_t i = 0; i < x->story.job_count; i++) {
        struct story_job *job = &x->story.jobs[i];
        if (!message_is_shown(job, x->only_job))
            continue;
        char name[JOB_TEXT_MAX + 1];
        job_format(&x->story.id, job->index, name);
        ret_jobs[count++] = (struct selected){.job = mem_string(name),
                                              .partition = job->partition,
                                              .place = job->place,
                                              .score = job->score,
                                              .record = job->record};
    }
    return count;
}

static int put_jobs(struct msg_export *x, struct outlet *outlet)
{
    const struct selection what = {.queue = QUEUE_FANOUT, .with_texts = true};
    struct parcel_entry e = {.kind = PARCEL_START};
    struct selected *jobs = mem_array(x->story.job_count + 1, sizeof(*jobs));
    size_t count = selected_of(x, jobs);
    struct shipment *s;

    e.start.partitions = PARTITION_COUNT;
    e.start.now_ms = x->story.now_ms;
    e.start.version = SPAN(BARID_VERSION);
    e.start.what = span_of(x->arguments->operands[0]);
    int status = shipment_open(x->ask, outlet, &what, false, 0, &s);
    if (status == EXIT_OK) {
        status = outlet_put(outlet, &e);
        if (status == EXIT_OK)
            status = shipment_run_jobs(s, jobs, count, x->story.now_ms);
        if (status == EXIT_OK)
            status = outlet_end(outlet);
        x->jobs = (size_t) shipment_counts(s)->jobs;
        shipment_close(s);
    }
    for (size_t i = 0; i < count; i++)
        mem_free(jobs[i].job);
    mem_free(jobs);
    return status;
}

static int write_parcel(struct msg_export *x, const char *file)
{
    struct outlet *outlet;
    int status = outlet_open_file(file, &outlet);

    if (status != EXIT_OK)
        return status;
    x->files[0] = mem_string(file);
    status = put_jobs(x, outlet);
    outlet_close(outlet);
    if (status == EXIT_OK && x->jobs == 0)
        status = say_failed("%s: nothing of it could be copied", x->arguments->operands[0]);
    return status;
}

/* ---- the verb ---- */

static void print_outcome(const struct msg_export *x)
{
    if (!x->arguments->is_json) {
        for (size_t i = 0; i < ARRAY_LEN(x->files) && x->files[i]; i++)
            printf("%s\n", x->files[i]);
        return;
    }
    struct json *json = json_new_object(), *files = json_new_array();
    json_put_text(json, "message", span_of(x->story.text));
    for (size_t i = 0; i < ARRAY_LEN(x->files) && x->files[i]; i++)
        json_put_text(files, NULL, span_of(x->files[i]));
    json_put(json, "files", files);
    if (x->jobs > 0)
        json_put_number(json, "jobs", (int64_t) x->jobs);
    print_json(json);
}

int verb_msg_export(const struct arguments *a)
{
    struct msg_export x = {.arguments = a};
    const char *file = argument_text(a, "file", NULL), *directory = argument_text(a, "directory", ".");

    if (file && argument_is_given(a, "directory"))
        return say_usage("either one file for `store import`, or a directory for the pair");
    if (file && strcmp(file, "-") == 0)
        return say_usage("--file needs a name: `msg cat` and `msg show --json` print");
    int status = ask_open(a, &x.ask);
    if (status != EXIT_OK)
        return status;
    status = message_read(x.ask, a->operands[0], &x.story, &x.only_job);
    if (status == EXIT_OK)
        status = file ? write_parcel(&x, file) : write_pair(&x, directory);
    if (status == EXIT_OK)
        print_outcome(&x);
    ask_close(x.ask);
    story_done(&x.story);
    for (size_t i = 0; i < ARRAY_LEN(x.files); i++)
        mem_free(x.files[i]);
    return status;
}
