/*
 * Does: sorts outcomes that are not deliveries into a small set of classes (bounce.def), by a reply's code, enhanced code, host and words. Pure.
 * Does not: decide what follows (courier/settle.c), or look at what was delivered.
 * Owns: nothing. No reply costs more than one pass over its first VERDICT_TEXT_MAX bytes for each rule: rules have words, no expressions.
 * Fails: bounce_rules_check() with -EINVAL and a sentence naming the rule; never otherwise: what no rule knows is BOUNCE_OTHER.
 * See: docs/bounces.md, printed from the rows.
 */
#pragma once

#include "base/buf.h"
#include "base/conf.h"

struct verdict;

enum bounce {
    BOUNCE_NONE, /* delivered, or not judged yet */
#define BOUNCE(name, word, help) BOUNCE_##name,
#include "mail/bounce.def"
    BOUNCE_COUNT
};

const char *bounce_name(enum bounce bounce);         /* "bad-mailbox"; "none" */
enum bounce bounce_named(struct span word);          /* BOUNCE_NONE: there is no such class */
extern const char *const bounce_names[BOUNCE_COUNT]; /* the words of all, in order: for labels */

/* The class of a remote's reply: the operator's rules first (courier.bounce_rules, checked; NULL: none), then those of bounce.def. */
enum bounce bounce_of(const struct verdict *v, const struct conf_map *rules);
/* courier.bounce_rules. ret_error: the caller's. */
int bounce_rules_check(const struct conf *conf, char **ret_error);
void bounce_print_markdown(struct buf *out); /* docs/bounces.md */
