/* Moves under way, by CLIENT LIST: a line for each connection. */
#include "ctl/mover.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"

static const char prefix[] = "barid-move-";

void mover_name(char ret_name[static MOVER_NAME_MAX + 1])
{
    char text[ID_TEXT_LEN + 1];
    struct id id = id_new(clock_wall_ms(), 0);

    id_format(&id, text);
    (void) snprintf(ret_name, MOVER_NAME_MAX + 1, "%s%s", prefix, text); /* it fits */
}

struct search {
    struct span name; /* or how it begins */
    unsigned found;
};

static void on_connections(void *context, const struct redis_value *values)
{
    struct search *search = context;
    struct span rest = redis_text(&values[1]);
    AUTO_FREE char *mark = mem_format(" name=%.*s", SPAN_ARG(search->name));

    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        search->found += memmem(line.at, line.len, mark, strlen(mark)) != NULL;
    }
}

/* set: a name for this connection, or NULL. */
static int look(struct ask *k, const char *set, struct search *search)
{
    struct buf *b = ask_command(k, set ? 3 : 2);

    resp_arg_text(b, "CLIENT");
    resp_arg_text(b, set ? "SETNAME" : "ID");
    if (set)
        resp_arg_text(b, set);
    b = ask_command(k, 2);
    resp_arg_text(b, "CLIENT");
    resp_arg_text(b, "LIST");
    ask_send(k, on_connections, search);
    return ask_wait(k);
}

int mover_begin(struct ask *k, const char *name)
{
    struct search movers = {.name = SPAN(prefix)};
    int status = look(k, name, &movers);

    if (status == EXIT_OK && movers.found > 1)
        return say_failed(
            "another store export --move takes jobs out of this store: wait until it has ended");
    return status;
}

int mover_is_here(struct ask *k, struct span name, bool *ret_is_here)
{
    struct search this = {.name = name};
    int status = name.len > 0 ? look(k, NULL, &this) : EXIT_OK;

    *ret_is_here = this.found > 0;
    return status;
}
