/*
 * Does: how a queue's mail is handed on, by the settings courier.routes and transports: by MX, to hosts, put aside, or dropped.
 * Does not: look for addresses (courier/route.h), nor know what a TLS policy means.
 * Owns: a transport is the caller's, with copies of all texts.
 * Fails: transports_check() with -EINVAL and a sentence; transport_find() never.
 */
#pragma once

#include "base/conf.h"

enum transport_kind { TRANSPORT_MX, TRANSPORT_HOSTS, TRANSPORT_HOLD, TRANSPORT_DISCARD };

/* In the order of the words of transports.NAME.protocol. */
enum transport_protocol { PROTOCOL_SMTP, PROTOCOL_LMTP, PROTOCOL_SMTPS };

struct transport {
    enum transport_kind kind;
    bool is_lmtp;
    bool is_wrapped;       /* TLS comes first, without STARTTLS */
    char *name;            /* "mx", "static", "hold", "discard", or as the group has it: for the story */
    char *hosts;           /* of TRANSPORT_HOSTS: separated by commas, later ones are backups; else NULL */
    char *tls;             /* text of a TLS policy; NULL: as tls_out says for the destination */
    char *user, *password; /* NULL: no login */
    struct conf_list mechanisms; /* none: all we know */
};

/*
 * queue: domain or domain/lane; or an address literal in brackets. The more exact domain wins (itself, the longest .suffix, "*"), then the
 * row that names the lane. The rules of a domain that none fits are those of its MX; of a literal, the address itself.
 */
void transport_find(const struct conf *conf, const char *queue, struct transport *ret_transport);
/* The same for what a row says: "mx", "hold", "discard", the name of a transport, or hosts; NULL: no row, so "mx". */
void transport_read(const struct conf *conf, const char *row, struct transport *ret_transport);
enum transport_kind transport_kind_read(const struct conf *conf, const char *row); /* of it, alone */
void transport_done(struct transport *t);
enum transport_kind transport_kind_of(const struct conf *conf, const char *queue); /* of it, alone */
bool transport_equal(const struct transport *a, const struct transport *b);

/* Would it do as what a row of courier.routes says? -EINVAL: *ret_error (the caller's) says why not. */
int route_value_check(const struct conf *conf, const char *value, char **ret_error);
/* Are transports and routes in order? -EINVAL: *ret_error (the caller's) says where, what is wrong and what to do. */
int transports_check(const struct conf *conf, char **ret_error);
