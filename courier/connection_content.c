/* The content of the message under way: what is at hand, then chunk by chunk from the store, as the stream takes it. */
#include "base/fault.h"
#include "courier/connection_private.h"
#include "courier/content.h"

/* A chunk on its way; outlives the connection that asked for it. */
struct content_read {
    struct connection *connection; /* NULL: nobody waits any more */
};

static void on_chunk(void *context, enum spool_result result, struct span bytes)
{
    struct content_read *read = context;
    struct connection *k = read->connection;
    const char *trouble;
    struct job *j;

    mem_free(read);
    if (!k)
        return;
    k->read = NULL;
    if (k->is_closing) /* it ended while the chunk was on its way: there is no message any more */
        return;
    j = smtp_client_current(k->client)->owner;
    trouble = content_trouble(j, result, k->next_chunk, k->content_bytes, bytes.len);
    if (trouble) { /* never a dot behind a part */
        j->content_trouble = result != SPOOL_UNKNOWN ? trouble : NULL;
        smtp_client_end(k->client, FAULT_ABORTED, trouble);
        connection_drive(k);
        return;
    }
    smtp_client_content(k->client, bytes, stream_output(k->stream));
    stream_written(k->stream);
    k->content_bytes += bytes.len;
    k->next_chunk++;
    k->has_progress = true;
    connection_drive(k);
}

bool connection_feed(struct connection *k)
{
    struct job *j = smtp_client_current(k->client)->owner;
    const struct envelope *e = &j->envelope;

    if (k->next_chunk == 0) {
        FAULT_POINT(data_answered);
        smtp_client_content(k->client, buf_span(&j->chunk), stream_output(k->stream));
        k->content_bytes = j->chunk.len;
        k->next_chunk = 1;
    }
    if (k->next_chunk >= e->chunk_count) {
        smtp_client_content_end(k->client, stream_output(k->stream));
        stream_written(k->stream);
        return true;
    }
    stream_written(k->stream);
    FAULT_SENT(mid_content);
    if (smtp_client_ask(k->client) != ASK_CONTENT) /* the piece is to be answered before the next */
        return true;
    if (k->read)
        return false;
    if (stream_unsent(k->stream) > UNSENT_MAX) { /* a chunk at a time: many slow hosts hold little memory */
        stream_await_sent(k->stream);
    } else {
        k->read = NEW(struct content_read);
        k->read->connection = k;
        spool_read(k->courier->store, e, k->next_chunk, UINT64_MAX, on_chunk, k->read);
    }
    return false;
}

void connection_forget_read(struct connection *k)
{
    if (k->read)
        k->read->connection = NULL;
    k->read = NULL;
}
