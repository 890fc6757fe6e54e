/*
 * Does: the misbehaviour a sink was told: rules "STAGE[=PROBABILITY][@DOMAIN]" for each action, and which one strikes now.
 * Does not: speak SMTP (sink_session.c).
 * Owns: the rules' texts.
 * Fails: sink_rule_add() with -EINVAL: not of that form.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "mail/addr.h"

enum sink_stage { STAGE_CONNECT, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_DOT, STAGE_COUNT };
enum sink_action { ACTION_NONE, ACTION_DEFER, ACTION_REJECT, ACTION_STALL, ACTION_DROP };

struct sink_rule {
    enum sink_action action;
    enum sink_stage stage;
    double probability;
    char domain[DOMAIN_MAX + 1]; /* "": all */
};

struct sink_rules {
    struct sink_rule *rules;
    size_t count;
    uint64_t random; /* never 0 */
};

int sink_rule_add(struct sink_rules *r, enum sink_action action, const char *text);
void sink_rules_done(struct sink_rules *r);
/* domain: of the address at that stage, empty if there is none. The first rule that strikes wins. */
enum sink_action sink_rules_ask(struct sink_rules *r, enum sink_stage stage, struct span domain);
