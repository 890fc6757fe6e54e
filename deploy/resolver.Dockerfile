# The resolver of docker-compose.yml: Debian's unbound with unbound.conf. It does not run as root: whoever starts it allows port 53 to all
# (sysctl net.ipv4.ip_unprivileged_port_start).
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends unbound dns-root-data \
    && rm -rf /var/lib/apt/lists/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY deploy/unbound.conf /etc/unbound/unbound.conf
RUN unbound-checkconf
USER unbound
EXPOSE 53/udp 53/tcp
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/53"]
CMD ["unbound", "-d", "-p"]
