# syntax=docker/dockerfile:1

# The image holds one static binary and the root certificates: no shell, no package manager, nothing to patch
# but the binary itself. Built natively on amd64 and arm64: `docker buildx build --platform …` picks the builder
# image of each, and no cross toolchain is involved.

# Same version as rust-toolchain.toml, which is kept out of the context: it would fetch rustfmt and clippy.
FROM rust:1.95.0-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
# Static glibc rather than musl, whose allocator is slow where many threads allocate. Since 2.34 glibc
# has the `files` and `dns` name services built in, so that host names resolve in an empty image too. The target
# is named, though it is the host's, because otherwise crt-static would also reach proc macros.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=target-${TARGETARCH} \
    target="$(rustc -vV | sed -n 's/^host: //p')" && \
    RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --locked --release --bin mllp-bridge --target "$target" && \
    cp "target/$target/release/mllp-bridge" /mllp-bridge && \
    if ldd /mllp-bridge 2>/dev/null | grep -q '=>'; then echo 'the binary is not static' >&2; exit 1; fi

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mllp-bridge" \
      org.opencontainers.image.description="A Kubernetes sidecar that bridges HL7 v2 over MLLP to HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# For apps behind https://. The builder's Debian keeps them up to date.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /mllp-bridge /mllp-bridge
COPY LICENSE /LICENSE
# A number, so that `runAsNonRoot` can check it without an /etc/passwd.
USER 65532:65532
# MLLP; metrics, health and drain.
EXPOSE 2575 9090
ENTRYPOINT ["/mllp-bridge"]
CMD ["run"]
