# The daemon in a small image: built in the first stage, run as a user without rights in the second.
# Config and state live in the volume /data; put vitalsync.yaml there and let it name paths below it.
# tests/docker reads this file and runs its commands where no container engine is at hand.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 vitalsync \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin vitalsync \
    && install -d -o 10001 -g 10001 -m 0750 /data
COPY --from=build /src/target/release/vitalsync /usr/local/bin/vitalsync
USER 10001:10001
WORKDIR /data
VOLUME /data
# The status is asked of the running daemon through its socket in the state directory; exit code 0 means healthy.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["vitalsync", "status", "--daemon", "--config", "/data/vitalsync.yaml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vitalsync"]
CMD ["run", "--config", "/data/vitalsync.yaml"]
