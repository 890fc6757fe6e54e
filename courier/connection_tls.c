/*
 * TLS and login of a connection.
 *
 * Normal path: ASK_TLS, the handshake, on_secured, EHLO again. A session that was to be resumed and fails is forgotten, and the same is tried
 * without it. Where TLS is no must (level may), a handshake that fails marks the target as plain: the next connection goes there without.
 * Everywhere else the target has failed.
 */
#include <errno.h>
#include <stdio.h>

#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "courier/connection_private.h"
#include "courier/login_key.h"
#include "courier/tlsrpt.h"
#include "courier/work.h"

/* ---- telling ---- */

static void count(struct connection *k, enum tls_failure failure, const char *detail)
{
    if (k->is_counted || k->is_relaxed || k->terms.tls == CLIENT_TLS_NEVER)
        return;
    k->is_counted = true;
    tlsrpt_count(k->courier, &(struct tlsrpt_connection){.work = k->work,
                                                         .policy = k->policy,
                                                         .target = &k->target,
                                                         .source = k->has_local ? &k->local : NULL,
                                                         .failure = failure,
                                                         .detail = detail});
}

void connection_count_tls(struct connection *k)
{
    if (!smtp_client_is_secured(k->client))
        count(k, TLS_FAILURE_NOT_OFFERED, "");
}

static void log_failure(const struct connection *k, const char *why, const char *next)
{
    log_event(LOG_HOST_TLS_FAILED, F("queue", k->work->queue), F("remote", k->remote),
              F("policy", k->policy->key), F("why", why), F("next", next));
}

/* ---- the handshake ---- */

void connection_shake(struct connection *k)
{
    AUTO_BUF struct buf key = {0};
    struct tls_demand demand;

    if (k->is_shaking)
        return;
    k->is_shaking = true;
    FAULT_POINT(tls_started);
    tls_policy_demand(k->policy, &demand);
    buf_printf(&key, "%s:%u %s", k->target.host, k->target.port, k->policy->key);
    buf_add_char(&key, '\0');
    demand.session_key = key.data;
    stream_start_tls_client(k->stream, k->courier->tls, &demand);
    stream_deadline(k->stream, conf_get()->tls_out.handshake_timeout_ms);
}

static void describe(struct connection *k, const struct tls_info *info)
{
    int n = snprintf(k->tls.session, sizeof(k->tls.session), "%s %s", info->version, info->cipher);

    must(n > 0 && (size_t) n < sizeof(k->tls.session));
    k->tls.proof = info->is_server_verified ? tls_policy_proof_name(k->policy) : "no";
}

void connection_on_secured(void *owner)
{
    struct connection *k = owner;
    const struct tls_info *info = stream_tls(k->stream);
    enum tls_failure failure = stream_tls_failure(k->stream);

    k->is_shaking = false;
    describe(k, info);
    connection_note(k, "TLS: %s, proven by: %s%s%s", k->tls.session, k->tls.proof,
                    failure ? "; tolerated: " : "", failure ? stream_tls_error(k->stream) : "");
    FAULT_POINT(tls_secured);
    count(k, failure, stream_tls_error(k->stream));
    if (failure != TLS_FAILURE_NONE) /* tolerated */
        log_failure(k, stream_tls_error(k->stream), "none");
    smtp_client_secured(k->client, info->is_server_verified && k->policy->is_authentic,
                        stream_output(k->stream));
    stream_written(k->stream);
    k->has_progress = true;
    connection_drive(k);
}

void connection_tls_lost(struct connection *k, int reason)
{
    const char *why = stream_tls_error(k->stream);

    if (reason == -ETIMEDOUT)
        why = "the handshake took too long";
    else if (!*why)
        why = reason == 0 ? "closed by the host" : log_errno_text(-reason);
    smtp_client_end(k->client, FAULT_TLS, why);
}

bool connection_tries_again(struct connection *k, size_t target)
{
    const char *why = smtp_client_fault_verdict(k->client)->text;

    if (stream_tls_has_offered(k->stream)) {
        log_failure(k, why, "again, without the session it knew");
        return true;
    }
    if (!k->is_shaking) {
        if (smtp_client_fault(k->client) == FAULT_TLS)
            count(k, TLS_FAILURE_NOT_OFFERED, why);
        return false;
    }
    count(k, stream_tls_failure(k->stream), why);
    if (k->terms.tls != CLIENT_TLS_MAY) {
        log_failure(k, why, "another host");
        return false;
    }
    log_failure(k, why, "plain");
    if (target != SIZE_MAX)
        k->work->route->targets[target].is_plain = true;
    return true;
}

/* ---- login ---- */

static void on_key(void *context, const uint8_t key[static CLIENT_KEY_BYTES])
{
    struct connection *k = context;

    k->key = NULL;
    if (k->is_closing)
        return;
    smtp_client_key(k->client, key, stream_output(k->stream));
    stream_written(k->stream);
    k->has_progress = true;
    connection_drive(k);
}

void connection_ask_key(struct connection *k)
{
    struct span password, salt;
    uint32_t iterations;

    if (k->key)
        return;
    FAULT_POINT(key_asked);
    smtp_client_key_request(k->client, &password, &salt, &iterations);
    k->key = login_key_ask(k->courier->login_keys, password, salt, iterations, on_key, k);
}

void connection_drop_key(struct connection *k)
{
    if (k->key)
        login_key_cancel(k->key);
    k->key = NULL;
}
