/* What a session tells: one function per line. Never what a client said to AUTH (BEHAVIOURS D12). */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ingress/client.h"
#include "ingress/session_private.h"

/* Unique in the life of this process; the line names the node. */
void session_set_id(struct session *s)
{
    (void) snprintf(s->id, sizeof s->id, "%llx-%x-%llx", (unsigned long long) clock_wall_ms(),
                    s->reactor->index, (unsigned long long) ++s->reactor->session_number); /* it fits */
}

const char *session_tls_text(const struct session *s, char room[static TLS_TEXT_MAX])
{
    const struct tls_info *tls = stream_tls(s->stream);
    if (!tls)
        return NULL;
    (void) snprintf(room, TLS_TEXT_MAX, "%s %s", tls->version, tls->cipher); /* cut, if need be */
    return room;
}

static const char *user_name(const struct session *s)
{
    return s->who.user ? s->who.user->name : NULL;
}

void session_tell_connected(const struct session *s)
{
    if (log_is_on(LOG_CONNECTED))
        log_event(LOG_CONNECTED, F("session", s->id), F("listener", s->who.service->name),
                  F("client", s->client_text), FN("sessions", metric_get(METRIC_SESSIONS)));
}

void session_tell_limit(const struct session *s, const char *why)
{
    if (client_may_tell(loop_now_ms(s->reactor->loop)))
        log_event(LOG_SESSION_LIMIT, F("session", s->id), F("listener", s->who.service->name),
                  F("client", s->client_text), F("why", why), FN("sessions", metric_get(METRIC_SESSIONS)));
}

static const char *end_word(const struct session *s, int reason)
{
    if (s->is_finished)
        return s->engine.last_code == 221 ? "quit" : "closed by us";
    return reason == 0 ? "closed by client" : log_errno_text(-reason);
}

void session_tell_closed(struct session *s, int reason)
{
    char room[TLS_TEXT_MAX];
    AUTO_FREE char *failure = reason == -EPROTO ? mem_format("TLS failed: %s", stream_tls_error(s->stream))
                                                : NULL;
    session_trace_closed(s, failure ? failure : end_word(s, reason));
    if (reason == -EPROTO && !s->is_health_check)
        log_event(LOG_TLS_FAILED, F("session", s->id), F("listener", s->who.service->name),
                  F("client", s->client_text), F("why", stream_tls_error(s->stream)));
    if (log_is_on(LOG_DISCONNECTED))
        log_event(LOG_DISCONNECTED, F("session", s->id), F("listener", s->who.service->name),
                  F("client", s->client_text), F("how", end_word(s, reason)), F("helo", s->engine.helo),
                  F("tls", session_tls_text(s, room)), F("user", user_name(s)),
                  F("auth", session_mechanism(s)), FN("accepted", s->engine.accepted),
                  FN("errors", s->engine.errors));
}

/*
 * Commands whose arguments are addresses are told whole, of others the verb only, and nothing of what is no command: it could be a password
 * typed at the wrong prompt.
 */
static struct span tellable(struct span command)
{
    struct span line = span_cut(&command, '\r'), rest = line;
    struct span word = span_cut(&rest, ' ');
    if (!smtp_server_knows(word))
        return (struct span){.at = NULL};
    return span_equal_nocase(word, SPAN("MAIL")) || span_equal_nocase(word, SPAN("RCPT")) ? line : word;
}

void session_tell_refusal(struct session *s, struct span command, struct span reply)
{
    char room[TLS_TEXT_MAX];
    metric_add(METRIC_COMMANDS_REFUSED_TOTAL, (int64_t) (s->engine.errors - s->errors_told));
    s->errors_told = s->engine.errors;
    if (!log_is_on(LOG_REFUSED))
        return;
    struct span said = tellable(command), answer = span_cut(&reply, '\r');
    log_event(LOG_REFUSED, F("session", s->id), F("listener", s->who.service->name),
              F("client", s->client_text), F("helo", s->engine.helo), F("tls", session_tls_text(s, room)),
              F("user", user_name(s)), F("auth", session_mechanism(s)), FS("command", said),
              FS("reply", answer));
}
