#!/usr/bin/env bash
# Puts promtool under target/tools/bin: out of Debian's package where there is apt (seconds), else built with Go (minutes).
set -euo pipefail
cd "$(dirname "$0")/../.."

bin="$PWD/target/tools/bin"
if [ -x "$bin/promtool" ] || command -v promtool >/dev/null; then exit 0; fi

mkdir -p "$bin"
work=$(mktemp -d "$PWD/target/tools/promtool.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
if command -v apt-get >/dev/null && apt-get download prometheus 2>/dev/null; then
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract ./usr/bin/promtool
    mv usr/bin/promtool "$bin/promtool"
else
    GOBIN="$bin" CGO_ENABLED=0 go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0
fi
"$bin/promtool" --version | sed -n 1p
