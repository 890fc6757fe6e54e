/* A connection's dialogue for operators who watch (cluster/transcript.h): judged when it is opened, and with each message. */
#include <string.h>

#include "base/clock.h"
#include "courier/connection_private.h"
#include "courier/work.h"

static void begin(struct connection *k)
{
    static uint64_t number;
    AUTO_FREE char *session = mem_format("%llx-%llu", (unsigned long long) clock_wall_ms(),
                                         (unsigned long long) ++number);

    k->transcript = transcript_open(k->courier->transcripts, session);
    smtp_client_tell(k->client, transcript_dialog(k->transcript));
    connection_note(k, "%s to %s, for %s",
                    k->is_connected ? "connected, watched from here on," : "connecting", k->remote,
                    k->work->queue);
}

void connection_trace(struct connection *k, const struct job *j)
{
    if (!k->transcript)
        begin(k);
    transcript_judge(
        k->transcript,
        &(struct rule_subject){
            .queue = k->work->queue, .job = j->name, .envelope = &j->envelope, .state = &j->state},
        k->target.host);
    if (k->is_connected)
        connection_note(k, "message %s, for %s", j->name, k->work->queue);
}

void connection_trace_closed(struct connection *k, const char *how)
{
    enum client_fault fault = smtp_client_fault(k->client);

    if (!k->transcript)
        return;
    if (fault == FAULT_NONE)
        connection_note(k, "%s", how);
    else
        connection_note(k, "given up: %s", smtp_client_fault_verdict(k->client)->text);
    smtp_client_tell(k->client, NULL);
    k->transcript = transcript_close(k->transcript);
}
