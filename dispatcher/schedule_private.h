/*
 * Does: what the parts of the schedule share: schedule.c (the table), work.c (one queue's shares), report.c, trouble.c, turn.c, obey.c.
 * Does not: serve anybody else.
 * Owns, Fails: see schedule.h.
 */
#pragma once

#include "dispatcher/schedule.h"

/* ---- schedule.c ---- */
struct work *work_find(const struct schedule *s, unsigned partition, struct span queue);
/* NULL: there are `most` already. */
struct work *work_new(struct schedule *s, unsigned partition, struct span queue, size_t most,
                      uint64_t now_ms);
struct partition *work_partition(const struct schedule *s, const struct work *w);
void work_set_wants(struct schedule *s, struct work *w, bool wants);
/* Puts it where it belongs after a change; may free it, and holders of which nothing is in force any more. */
void work_place(struct schedule *s, struct work *w, uint64_t now_ms);
/* Looked at again a little later, before it is granted. */
void work_wait(struct schedule *s, struct work *w, uint64_t now_ms);

/* There may be work in it. */
void work_want(struct schedule *s, struct work *w, uint64_t now_ms);

/* ---- obey.c ---- */
/* What the rules say of it, before anything follows. */
void work_judge(struct schedule *s, struct work *w);
/* A report of a queue that rests by a rule: who has something of it, gives it back. */
void work_rest(struct schedule *s, struct holder *h, uint64_t now_ms);

/* ---- work.c ---- */
struct holder *holder_find(const struct work *w, const struct courier *c);
struct holder *holder_new(struct work *w, struct courier *c, uint64_t now_ms);
void holder_free(struct schedule *s, struct holder *h);
/* Has something been granted to it, and is in force? */
bool holder_is_active(const struct holder *h, uint64_t now_ms);
/* The first active holder; NULL: none. */
struct holder *work_active(const struct work *w, uint64_t now_ms, uint32_t *ret_count);
/* 0 connections take it back; false: not now (the lease is in doubt, the courier silent, a rule forbids it), nothing has changed. */
bool holder_grant(struct schedule *s, struct holder *h, uint32_t connections, uint64_t rate_micro,
                  uint64_t now_ms);
/* The same or what has become its part; wakes the courier. */
bool holder_renew(struct schedule *s, struct holder *h, uint64_t now_ms);
/* Nothing of its last grant counts any more. */
void holder_count(struct schedule *s, struct holder *h, uint32_t connections);
/* Is its limit known to be free but for what its shares tell? */
bool work_is_settled(struct schedule *s, const struct work *w, uint64_t now_ms);
/* One more courier; false: not now. */
bool work_add_holder(struct schedule *s, struct work *w, uint64_t now_ms);
/* Gives every courier its part, those that have too much first; one more when that has made room. */
void work_share_out(struct schedule *s, struct work *w, uint64_t now_ms);
void work_take_back(struct schedule *s, struct work *w, uint64_t now_ms);
/* Its destination works, or is not known to. */
void work_set_proven(struct work *w, uint64_t proven_ms);
/* Most connections now, whoever holds them. */
uint32_t work_target(const struct schedule *s, const struct work *w);

/* Its site has become known: what it has goes on only as far as it was lent. */
void work_move_to_site(struct schedule *s, struct holder *h, uint64_t now_ms);

/* ---- trouble.c ---- */
/* Its destination was dead: it begins with one connection. */
void work_suspect(struct work *w);
/* This courier says that no host of its destination can be used. */
void work_trouble(struct schedule *s, struct holder *h, struct span why, uint64_t now_ms);
/* What a report tells of the destination: pace, and whether it is back. */
void work_hear(struct schedule *s, struct work *w, const struct report *r, uint64_t now_ms);

/* ---- report.c ---- */
/* How far limits were exceeded is told now and then. */
void overshoot_tell(struct overshoot *o, uint64_t now_ms);

/* ---- turn.c ---- */
void turn_begin(struct work *w, uint64_t now_ms);
/* Somebody could not be granted its queue for lack of room. */
void turn_short(struct schedule *s, uint64_t now_ms);
/* Who has had its turn gives way while others wait. */
void turn_check(struct schedule *s, uint64_t now_ms);
