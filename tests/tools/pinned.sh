# Sourced by what installs other people's programs for a test: jars by Maven, packages by npm and pip. Each of one version, checked
# against a hash that is committed, from wherever the user's own settings of these three say. Wants $source, where the folders with
# the pins are, and $target, where the same folders get what was installed.
# shellcheck shell=bash disable=SC2154

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

# maven NAME: the jars that its pom.xml names, those of jars.sha256 and no other
maven() {
    mvn --batch-mode --quiet --strict-checksums --file "$source/$1/pom.xml" \
        dependency:copy-dependencies -DoutputDirectory="$target/$1"
    (cd "$target/$1" && sha256sum --check --strict --quiet "$source/$1/jars.sha256")
    diff <(cd "$target/$1" && LC_ALL=C ls) <(sed 's/.*  //' "$source/$1/jars.sha256" | LC_ALL=C sort) >&2
}

# npm_ci NAME: what its package-lock.json names
npm_ci() {
    cp "$source/$1/package.json" "$source/$1/package-lock.json" "$target/$1"
    npm ci --prefix "$target/$1" --ignore-scripts --no-audit --no-fund --loglevel=error
}

# wheels NAME: what its requirements.txt names, in an environment of its own
wheels() {
    python3 -m venv "$target/$1"
    "$target/$1/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes --requirement "$source/$1/requirements.txt"
}
