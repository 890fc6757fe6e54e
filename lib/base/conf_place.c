/* Where settings were given: what a fault that shows only when all of them are read begins with. */
#include <string.h>

#include "base/conf_row.h"
#include "base/mem.h"

struct conf_place {
    char *path, *key; /* key: of a map's row, else NULL */
    char *text;       /* "barid.yaml:12", or the variable */
};

void conf_place_note(struct conf *c, const char *path, const char *key, const char *file, unsigned line)
{
    c->places = mem_resize(c->places, (c->place_count + 1) * sizeof(*c->places));
    c->places[c->place_count++] = (struct conf_place){.path = mem_string(path),
                                                      .key = key ? mem_string(key) : NULL,
                                                      .text = line ? mem_format("%s:%u", file, line)
                                                                   : mem_string(file)};
}

void conf_places_free(struct conf *c)
{
    for (size_t i = 0; i < c->place_count; i++) {
        mem_free(c->places[i].path);
        mem_free(c->places[i].key);
        mem_free(c->places[i].text);
    }
    c->places = mem_free(c->places);
    c->place_count = 0;
}

/* The last one is in force: the environment comes after the file. */
void conf_place(const struct conf *c, const char *path, const char *key, struct buf *out)
{
    for (size_t i = c->place_count; i > 0; i--) {
        const struct conf_place *p = &c->places[i - 1];
        if (strcmp(p->path, path) != 0 || (key && p->key && strcmp(p->key, key) != 0))
            continue;
        buf_printf(out, "%s: ", p->text);
        break;
    }
    buf_add_text(out, path);
}
