/*
 * Does: the rules of one listener at run time, made from its settings: what the engine offers, who is trusted, which domains, TLS and limits.
 * Does not: accept connections (listener.h) or decide about a mail (admission.h, policy.h).
 * Owns: everything it points to. Its address stays while the reactor lives; its contents are renewed when settings or certificates change.
 * Fails: services_check(), services_open() with -EINVAL and a sentence for the operator; a renewal that fails keeps what was.
 */
#pragma once

#include "base/conf.h"
#include "ingress/fixup.h"
#include "ingress/networks.h"
#include "ingress/policy.h"
#include "ingress/rate.h"
#include "ingress/smtp_server.h"
#include "io/tls.h"

/* In the order of the settings' words. */
enum listener_role { LISTENER_RELAY, LISTENER_SUBMISSION, LISTENER_SUBMISSIONS, LISTENER_INTERNAL };
enum listener_tls { LISTENER_TLS_OFF, LISTENER_TLS_OFFERED, LISTENER_TLS_REQUIRED, LISTENER_TLS_IMPLICIT };

struct reactor;
struct service {
    struct reactor *reactor;
    size_t index; /* of the listener in the settings */
    char *name;
    /* What follows is renewed. */
    struct conf *settings;            /* held */
    const struct conf_listener *conf; /* of these */
    struct smtp_profile profile;
    char *mechanisms, *tls_mechanisms; /* behind the profile's */
    struct policy *policy;
    struct rate *rate;         /* NULL: no limits */
    struct tls_server *tls;    /* NULL: none */
    bool is_tls_implicit;      /* the handshake is the first thing, before the greeting */
    bool is_proxied;           /* a PROXY header of one of the balancers comes before all else */
    struct networks balancers; /* who may speak PROXY */
    struct networks xclient;   /* who may speak XCLIENT */
    struct fixup_rules fixup;
    bool permits_verified;    /* any client certificate that client_ca vouches for may relay */
    char (*fingerprints)[65]; /* those that may besides */
    size_t fingerprint_count;
};

/* Everything that can be told of these settings but what is in files, and whether ports are free. */
int services_check(const struct conf *conf, char **ret_error);
/* One for each listener, as r->services. */
int services_open(struct reactor *r, char **ret_error);
void services_refresh(struct reactor *r);
void services_close(struct reactor *r);

/* May relay by its certificate (BEHAVIOURS C10: only one that client_ca vouches for). info: NULL: no TLS. */
bool service_permits_certificate(const struct service *s, const struct tls_info *info);
/* "0.0.0.0:25", "[::]:25"; port 0 (tests): any free one. */
int service_parse_address(struct span text, struct ip *ret_ip, uint16_t *ret_port);
