/*
 * Does: what admission.c (questions and their steps) and admission_limit.c (rates and quotas) share.
 * Does not: concern anybody else; admission.h is the contract.
 * Owns: see admission.h.
 * Fails: see admission.h.
 */
#pragma once

#include "ingress/admission.h"
#include "ingress/domain_check.h"
#include "ingress/rate.h"
#include "ingress/reactor.h"
#include "ingress/tables.h"

enum { WORDS_BYTES = 160 };
enum step_result { STEP_NEXT, STEP_SAID, STEP_WAITS };

struct admission {
    const struct admission_client *client;
    enum step_result (*const *next)(struct admission *a);
    admission_on_answer *on_answer;
    void *owner;
    struct smtp_answer answer;
    struct limit_hold **ret_hold; /* of a session */
    uint64_t bytes;
    bool is_ours; /* the recipient's domain is a relay domain */
    /* Under way, at most one of them. */
    struct limit_call *limit;
    struct tables_call *tables;
    struct domain_question *question;
    bool is_quota_asked;
    /* The address; its spans lie in text once it has waited. */
    struct addr address;
    char domain[DOMAIN_MAX + 1]; /* as A-labels; "" for a literal, or none */
    char text[PATH_MAX_LEN + 1];
    char rewritten[PATH_MAX_LEN + DOMAIN_MAX + 1];
    const char *addresses[1];
    char words[WORDS_BYTES];
};

static inline struct reactor *admission_reactor(const struct admission *a)
{
    return a->client->service->reactor;
}

static inline enum step_result admission_say(struct admission *a, unsigned code, const char *status,
                                             const char *text)
{
    a->answer = (struct smtp_answer){.code = code, .status = status, .text = text};
    return STEP_SAID;
}

/* What a step waited for has come; it made `r` of it. */
void admission_go_on(struct admission *a, enum step_result r);

/* Steps in admission_limit.c. */
enum step_result admission_take_session(struct admission *a);
enum step_result admission_take_connection(struct admission *a);
enum step_result admission_take_message(struct admission *a);
enum step_result admission_take_recipient(struct admission *a);
enum step_result admission_take_bytes(struct admission *a);
enum step_result admission_ask_quota(struct admission *a);
