/*
 * Does: what `top` knows of the cluster at one moment, and the tables it makes of it.
 * Does not: draw (verb_top.c), nor ask for more than status does.
 * Owns: what it read, until top_figures_done(); beats of some seconds before.
 * Fails: EXIT_ASKED_FAILED and said.
 * See: top.def.
 */
#pragma once

#include "cluster/pulse.h"
#include "ctl/health.h"
#include "ctl/ruling.h"
#include "ctl/sheet.h"
#include "ctl/survey.h"

enum view {
#define VIEW(NAME, name, key, headings, sorted, turned) VIEW_##NAME,
#include "ctl/top.def"
#undef VIEW
    VIEW_COUNT
};

struct figures {
    struct survey survey;
    struct health health;
    struct ruling ruling;
    struct pulses pulses;
    uint64_t took_ms; /* how long reading took */
};
int figures_read(struct ask *k, struct figures *f);
void figures_done(struct figures *f);
/* Unsorted; the caller's. */
void figures_view(const struct figures *f, enum view view, struct sheet *ret_sheet);
void figures_add_state(const struct figures *f, struct buf *out); /* three lines: state, queue, rates */
struct json *figures_rates_json(const struct figures *f);
