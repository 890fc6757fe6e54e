/*
 * Does: DNS questions to servers and raw packets back: time-outs, tries, TCP for long answers, EDNS with a way back for servers without it.
 * Does not: parse answers, cache, follow aliases (dns.c).
 * Owns: sockets.
 * Fails: on_packet with an empty packet: no server has answered.
 * Calls: c-ares, named in dns_channel.c only.
 */
#pragma once

#include "io/dns.h"

enum { DNS_OUTSTANDING_MAX = 200 }; /* c-ares skips servers above about 256 */

struct dns_channel;
/* May be called within dns_channel_send(). */
typedef void dns_on_packet(void *context, struct span packet);

int dns_channel_open(struct loop *l, const struct dns_settings *settings, struct dns_channel **ret_channel);
/* on_packet is not called any more; not to be called from within it. Always NULL. */
struct dns_channel *dns_channel_close(struct dns_channel *c);
/* False: too many are under way, or all must end first; try again after the next on_packet. */
bool dns_channel_has_room(const struct dns_channel *c);
/* name: normalised. -EINVAL: no name that a packet could carry. */
int dns_channel_send(struct dns_channel *c, const char *name, enum dns_type type, dns_on_packet *on_packet,
                     void *context);
