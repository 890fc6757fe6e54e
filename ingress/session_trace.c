/*
 * A session's dialogue for operators who watch (cluster/transcript.h). Whom a rule means is known bit by bit: the client at once, its user after
 * AUTH, sender and recipients with their commands. What is not known yet fits no filter.
 */
#include "base/mem.h"
#include "cluster/transcript.h"
#include "ingress/session_private.h"

static void judge(struct session *s, const char *queue, const char *sender, const char *recipient)
{
    struct recipient one = {.addr = (char *) (uintptr_t) recipient};
    AUTO_FREE char *client = mem_format("%s [%s]", s->engine.helo ? s->engine.helo : "", s->client_text);
    const struct user *user = s->who.user;
    const struct envelope e = {.sender = (char *) (uintptr_t) sender,
                               .recipients = &one,
                               .recipient_count = recipient ? 1 : 0,
                               .client = client,
                               .user = user ? user->name : NULL,
                               .tenant = user ? user->tenant : NULL};

    transcript_judge(s->transcript, &(struct rule_subject){.queue = queue, .job = "", .envelope = &e}, NULL);
}

void session_trace(struct session *s)
{
    if (!s->transcript) {
        s->transcript = transcript_open(s->reactor->transcripts, s->id);
        s->engine.dialog = transcript_dialog(s->transcript);
        dialog_note(s->engine.dialog, "client %s, listener %s%s", s->client_text, s->who.service->name,
                    s->engine.phase == SMTP_NEW ? "" : ", watched from here on");
    } else if (transcript_is_judged(s->transcript)) {
        return;
    }
    judge(s, "", "?", NULL); /* no address: none was said */
}

void session_trace_address(struct session *s)
{
    char domain[DOMAIN_MAX + 1] = "";

    if (!s->transcript)
        return;
    const struct addr *address = &s->engine.address;
    AUTO_FREE char *text = mem_text(address->whole.len ? address->whole.at : "", address->whole.len);
    if (s->engine.ask == SMTP_ASK_SENDER) {
        judge(s, "", text, NULL);
        return;
    }
    if (domain_normalise(address->domain, domain) < 0)
        domain[0] = '\0'; /* not in our alphabet: no filter by queue means it */
    judge(s, domain, smtp_sender(s->engine.transaction), text);
}

void session_trace_secured(struct session *s)
{
    char room[TLS_TEXT_MAX];

    if (s->transcript)
        dialog_note(s->engine.dialog, "TLS: %s, client certificate %s", session_tls_text(s, room),
                    s->who.has_certificate ? "accepted" : "none that counts");
}

void session_trace_closed(struct session *s, const char *how)
{
    if (!s->transcript)
        return;
    dialog_note(s->engine.dialog, "%s", how);
    s->engine.dialog = NULL;
    s->transcript = transcript_close(s->transcript);
}
