/*
 * Does: names what a listener offers its clients, and the limits it holds them to.
 * Does not: enforce them; that is the SMTP server engine (smtp_server.h).
 * Owns: nothing.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mail/header.h"

/* May change between calls; content limits count from DATA or the first BDAT. */
struct smtp_limits {
    uint64_t message_bytes, line_bytes;
    struct header_limits header;
    uint64_t recipients, transactions, errors, junk;
    uint64_t command_ms, data_ms, data_total_ms;
    uint64_t data_rate; /* bytes a second that content must come at, after the first data_ms; 0: any */
    bool requires_fqdn;
};

/* REQUIRED: until there is TLS only NOOP, EHLO, STARTTLS and QUIT are served; until AUTH went well no MAIL. */
enum smtp_tls { SMTP_TLS_OFF, SMTP_TLS_OFFERED, SMTP_TLS_REQUIRED };
enum smtp_auth { SMTP_AUTH_OFF, SMTP_AUTH_OFFERED, SMTP_AUTH_REQUIRED };

/* One bit each: 1u << SMTP_CHUNKING. Those that need another (BINARYMIME: CHUNKING) are offered with it only, REQUIRETLS within TLS only. */
enum smtp_extension {
    SMTP_CHUNKING,
    SMTP_DSN,
    SMTP_UTF8,
    SMTP_REQUIRETLS,
    SMTP_LIMITS,
    SMTP_BINARYMIME,
    SMTP_FUTURERELEASE,
    SMTP_DELIVERBY
};

/* What a listener offers and asks for. Borrowed by the engine: the address stays, its contents may change between calls. */
struct smtp_profile {
    struct smtp_limits limits;
    enum smtp_tls tls;
    enum smtp_auth auth;
    bool auth_without_tls;
    const char *mechanisms;     /* of AUTH without TLS: "PLAIN LOGIN"; "" or NULL: none */
    const char *tls_mechanisms; /* within TLS */
    unsigned extensions;        /* bits of enum smtp_extension */
    uint64_t future_max_ms;     /* FUTURERELEASE: so far ahead */
    uint64_t by_min_s;          /* DELIVERBY: not sooner; 0: any */
    bool normalises_lf; /* for old devices: a bare LF in content is given out as CR LF, and ends a command */
    const char *banner; /* behind our name in the greeting; NULL: "ESMTP" */
};
