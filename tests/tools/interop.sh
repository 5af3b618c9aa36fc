#!/usr/bin/env bash
# Puts the peers of tests/interop under target/interop: jars by Maven, wheels by pip, a package by npm. Each of one version,
# checked against a hash that is committed, from wherever the user's own settings of these three say. Nothing is done where
# they are there.
set -euo pipefail
cd "$(dirname "$0")/../.."

source=$PWD/tests/interop
target=$PWD/target/interop

# install NAME FILE… -- COMMAND…: unless it was done with the same files
install() {
    local name=$1 files=()
    shift
    while [ "$1" != -- ]; do files+=("$source/$1") && shift; done
    shift
    local stamp
    stamp=$(cat "${files[@]}" | sha256sum)
    if [ -f "$target/$name.stamp" ] && [ "$(cat "$target/$name.stamp")" = "$stamp" ]; then return; fi
    rm -rf "${target:?}/$name" "$target/$name.stamp"
    mkdir -p "$target/$name"
    "$@"
    printf '%s' "$stamp" >"$target/$name.stamp"
}

# maven NAME: the jars that its pom.xml names
maven() {
    mvn --batch-mode --quiet --strict-checksums --file "$source/$1/pom.xml" \
        dependency:copy-dependencies -DoutputDirectory="$target/$1"
    (cd "$target/$1" && sha256sum --check --strict --quiet "$source/$1/jars.sha256")
}

python() {
    python3 -m venv "$target/python"
    "$target/python/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes \
        --requirement "$source/python/requirements.txt"
}

node() {
    cp "$source/node/package.json" "$source/node/package-lock.json" "$target/node"
    npm ci --prefix "$target/node" --ignore-scripts --no-audit --no-fund --loglevel=error
}

install hapi hapi/pom.xml hapi/jars.sha256 -- maven hapi
install v3 v3/pom.xml v3/jars.sha256 -- maven v3
install python python/requirements.txt -- python
install node node/package.json node/package-lock.json -- node
