#!/usr/bin/env bash
# Puts the peers of tests/interop under target/interop. Nothing is done where they are there.
set -euo pipefail
cd "$(dirname "$0")/../.."

source=$PWD/tests/interop
target=$PWD/target/interop
. tests/tools/pinned.sh

install hapi hapi/pom.xml hapi/jars.sha256 -- maven hapi
install v3 v3/pom.xml v3/jars.sha256 -- maven v3
install python python/requirements.txt -- wheels python
install schemathesis schemathesis/requirements.txt -- wheels schemathesis
install node node/package.json node/package-lock.json -- npm_ci node
