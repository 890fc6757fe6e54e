/*
 * Does: sockets for stream.c and listener.c: non-blocking, close-on-exec, from struct ip and port.
 * Does not: wait, resolve names, or know the loop.
 * Owns: nothing; a descriptor returned is the caller's.
 * Fails: -errno.
 * See: stream.h, which everybody else uses.
 */
#pragma once

#include <stdint.h>

#include "mail/addr.h"

/* A socket on its way to be connected (it becomes writable when it is, or has failed). source: address to bind, or NULL. */
int socket_connect(const struct ip *ip, uint16_t port, const struct ip *source);
int socket_connect_unix(const char *path);
/* Could a connection come from this address of ours? 0 or -errno. */
int socket_try_bind(const struct ip *ip);
/* A listening socket; IPv6 takes no IPv4. is_shared: other sockets of this user may listen there too (SO_REUSEPORT). */
int socket_listen(const struct ip *ip, uint16_t port, bool is_shared);
/* -EAFNOSUPPORT: neither IPv4 nor IPv6. */
int socket_peer(int fd, struct ip *ret_ip, uint16_t *ret_port);
int socket_local(int fd, struct ip *ret_ip, uint16_t *ret_port);
