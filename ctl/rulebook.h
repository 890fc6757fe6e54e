/*
 * Does: the operator's rules as baridctl keeps them: all read, one written under the next number, one marked as done or undone; those that ended
 *       long ago are removed by the way. Rules in words.
 * Does not: carry out what a rule says (campaign.h; nodes).
 * Owns: nothing; rules that were read are the caller's (rules_done()).
 * Fails: EXIT_ASKED_FAILED and said.
 */
#pragma once

#include "cluster/rule.h"
#include "cluster/store.h"
#include "ctl/ask.h"
#include "io/json.h"

int rulebook_read(struct ask *k, struct rules *ret_rules, uint64_t *ret_now_ms); /* Redis' clock */
/* By its id; NULL: there is none, said. */
const struct rule *rulebook_find(const struct rules *rules, const char *id);
/* Its number, since_ms and `by` are filled in; for_ms above 0: until then. It is confirmed when this returns. */
int rulebook_add(struct ask *k, struct store *s, struct rule *r, uint64_t for_ms);
/* What came of it: how many jobs it concerned (UINT64_MAX: as it was), and whether it is undone now. */
int rulebook_mark(struct ask *k, struct store *s, uint64_t number, uint64_t done, bool is_undone);

/* --for, --standing and --because. *ret_for_ms 0: not said. EXIT_OK, or EXIT_BAD_USAGE and said. */
int rule_options(const struct arguments *a, struct rule *r, uint64_t *ret_for_ms);
char *rule_id_text(const struct rule *r);                   /* the caller's */
void add_rule_words(struct buf *out, const struct rule *r); /* "hold example.com, sender @shop.example" */
void add_rule_state(struct buf *out, const struct rule *r,
                    uint64_t now_ms); /* "in force until 2026-...", "undone", "done" */
struct json *rule_json(const struct rule *r, uint64_t now_ms);
