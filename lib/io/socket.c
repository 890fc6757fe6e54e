/* Socket calls and the kernel's addresses. */
#include "io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 };

static socklen_t socket_address(struct sockaddr_storage *ret_address, const struct ip *ip, uint16_t port)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (ip->is_v4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *) ret_address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, ip->bytes + 12, 4);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) ret_address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_scope_id = ip->scope;
    memcpy(&v6->sin6_addr, ip->bytes, 16);
    return sizeof(*v6);
}

static int socket_ip(const struct sockaddr_storage *address, struct ip *ret_ip, uint16_t *ret_port)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct ip ip = {.is_v4 = true};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *) address;
        memcpy(ip.bytes, mapped, sizeof(mapped));
        memcpy(ip.bytes + 12, &v4->sin_addr, 4);
        *ret_port = ntohs(v4->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) address;
        memcpy(ip.bytes, &v6->sin6_addr, 16);
        ip.is_v4 = memcmp(ip.bytes, mapped, sizeof(mapped)) == 0;
        ip.scope = v6->sin6_scope_id;
        *ret_port = ntohs(v6->sin6_port);
    } else {
        return -EAFNOSUPPORT;
    }
    *ret_ip = ip;
    return 0;
}

/* Closes fd and gives back the failure that errno holds. */
static int socket_failed(int fd)
{
    int error = errno;
    (void) close(fd); /* the first failure is the one to tell */
    return -error;
}

static int socket_set(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on));
}

int socket_connect(const struct ip *ip, uint16_t port, const struct ip *source)
{
    struct sockaddr_storage address;
    if (source && source->is_v4 != ip->is_v4)
        return -EAFNOSUPPORT;
    int fd = socket(ip->is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (source) {
        /* The port is chosen at connect: ports of different destinations may then be equal. */
        (void) socket_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT); /* older kernels do without */
        socklen_t source_len = socket_address(&address, source, 0);
        if (bind(fd, (struct sockaddr *) &address, source_len) < 0)
            return socket_failed(fd);
    }
    socklen_t len = socket_address(&address, ip, port);
    if (connect(fd, (struct sockaddr *) &address, len) < 0 && errno != EINPROGRESS)
        return socket_failed(fd);
    return fd;
}

int socket_connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return socket_failed(fd);
    return fd;
}

int socket_listen(const struct ip *ip, uint16_t port, bool is_shared)
{
    struct sockaddr_storage address;
    socklen_t len = socket_address(&address, ip, port);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (socket_set(fd, SOL_SOCKET, SO_REUSEADDR) < 0)
        return socket_failed(fd);
    if (is_shared && socket_set(fd, SOL_SOCKET, SO_REUSEPORT) < 0)
        return socket_failed(fd);
    if (!ip->is_v4 && socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
        return socket_failed(fd);
    if (bind(fd, (struct sockaddr *) &address, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return socket_failed(fd);
    return fd;
}

int socket_try_bind(const struct ip *ip)
{
    struct sockaddr_storage address;
    int fd = socket(ip->is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t len = socket_address(&address, ip, 0);
    if (bind(fd, (struct sockaddr *) &address, len) < 0)
        return socket_failed(fd);
    (void) close(fd); /* nothing was written */
    return 0;
}

int socket_peer(int fd, struct ip *ret_ip, uint16_t *ret_port)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getpeername(fd, (struct sockaddr *) &address, &len) < 0)
        return -errno;
    return socket_ip(&address, ret_ip, ret_port);
}

int socket_local(int fd, struct ip *ret_ip, uint16_t *ret_port)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *) &address, &len) < 0)
        return -errno;
    return socket_ip(&address, ret_ip, ret_port);
}
