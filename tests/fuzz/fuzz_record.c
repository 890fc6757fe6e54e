/* Stored records: any bytes are refused or read; what was read can be written and read again. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "io/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_envelope(struct span in)
{
    AUTO_BUF struct buf again = {0};
    struct envelope e, same;
    if (wire_get_envelope(in, &e))
        return;
    wire_put_envelope(&e, &again);
    must(!wire_get_envelope(buf_span(&again), &same));
    must(same.recipient_count == e.recipient_count && same.queue_count == e.queue_count);
    envelope_done(&same);
    envelope_done(&e);
}

static void try_state(struct span in)
{
    static struct recipient recipients[3];
    static char *queues[3];
    static const struct envelope e = {
        .recipients = recipients, .recipient_count = 3, .queues = queues, .queue_count = 3};
    AUTO_BUF struct buf again = {0};
    struct job_state s, same;
    if (wire_get_state(in, &e, &s))
        return;
    wire_put_state(&s, &again);
    must(!wire_get_state(buf_span(&again), &e, &same));
    job_state_done(&same);
    job_state_done(&s);
}

static void try_stats(struct span in)
{
    AUTO_BUF struct buf again = {0};
    struct node_stats s, same;
    if (wire_get_stats(in, &s))
        return;
    wire_put_stats(&s, &again);
    must(!wire_get_stats(buf_span(&again), &same));
    node_stats_done(&same);
    node_stats_done(&s);
}

/* First byte: which record, and whether the rest is a body to be given a right head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t len = size - 1, head = data[0] & 128 ? 0 : 5;
    char *record = malloc(head + len + 1); /* of the exact size at its end: a byte too many is seen */
    must(record);
    memcpy(record + head, data + 1, len);
    if (head) {
        uint32_t sum = hash32((struct span){.at = record + head, .len = len});
        record[0] = 1;
        for (unsigned i = 0; i < 4; i++)
            record[1 + i] = (char) (uint8_t) (sum >> 8 * i);
    }
    record = realloc(record, head + len ? head + len : 1);
    must(record);
    struct span in = {.at = record, .len = head + len};
    switch (data[0] % 3) {
    case 0: try_envelope(in); break;
    case 1: try_state(in); break;
    default: try_stats(in); break;
    }
    free(record);
    return 0;
}
