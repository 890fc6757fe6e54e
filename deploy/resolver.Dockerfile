# The resolver of docker-compose.yml: Debian's unbound with unbound.conf.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends unbound dns-root-data \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/unbound.conf /etc/unbound/unbound.conf
CMD ["unbound", "-d", "-p"]
