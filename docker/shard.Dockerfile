# The image of an instance of a cluster: Tarantool 3, vshard and the storage role. docker-compose.cluster.yml and the
# Helm chart (deploy/helm) start it with the configuration that all instances share.
ARG TARANTOOL_IMAGE=tarantool/tarantool:3.8.0

FROM ${TARANTOOL_IMAGE}
# The role uses internals of vshard, and does not start with another version.
ARG VSHARD_VERSION=0.1.42
USER root
WORKDIR /opt/rocks
RUN tt rocks install vshard "${VSHARD_VERSION}" && test -f .rocks/share/tarantool/vshard/storage/init.lua
COPY tarantool-cluster/tarantkv /opt/tarantool-cluster/tarantkv
COPY docker/shard_health.lua /opt/docker/shard_health.lua
RUN groupadd --gid 10001 tarantkv \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tarantkv \
    && install -d -o 10001 -g 10001 /var/lib/tarantool /run/tarantkv
LABEL org.opencontainers.image.title="tarant-kv-shard" \
      org.opencontainers.image.version="0.1.0"
ENV LUA_PATH="/opt/tarantool-cluster/?.lua;/opt/tarantool-cluster/?/init.lua;/opt/rocks/.rocks/share/tarantool/?.lua;/opt/rocks/.rocks/share/tarantool/?/init.lua;;"
USER 10001:10001
WORKDIR /var/lib/tarantool
VOLUME /var/lib/tarantool
EXPOSE 3301
STOPSIGNAL SIGTERM
# Replaces the image's entry point, which starts instances by `tt`, and the variables that it sets.
ENTRYPOINT ["env", "-u", "TT_APP_NAME", "-u", "TT_INSTANCE_NAME", "-u", "TT_CONFIG", "tarantool"]
