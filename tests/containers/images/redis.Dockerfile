# redis:7.0-bookworm as people get it: its user, its volume, its programs; from Debian's package.
FROM debian:bookworm-slim
RUN groupadd --system --gid 999 redis && useradd --system --gid redis --uid 999 redis \
    && apt-get update && apt-get install -y --no-install-recommends redis-tools \
    && ln -s redis-check-rdb /usr/bin/redis-server \
    && install -d -o redis -g redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
