#!/usr/bin/env bash
# Puts the validators and the server of tests/fhir under target/fhir. Nothing is done where they are there.
set -euo pipefail
cd "$(dirname "$0")/../.."

source=$PWD/tests/fhir
target=$PWD/target/fhir
. tests/tools/pinned.sh

install node node/package.json node/package-lock.json -- npm_ci node
install hapi hapi/pom.xml hapi/jars.sha256 -- maven hapi
install server server/pom.xml server/jars.sha256 -- maven server
