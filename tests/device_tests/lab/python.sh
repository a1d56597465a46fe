#!/usr/bin/env bash
# python.sh FILE: packs a root file system of arm64 Debian with Python 3.13 and nothing else as FILE, a tar.gz: a board
# with Python for the stand-in device, which has none of its own. Run it as root on a Debian-like system.
set -euo pipefail

readonly SUITE=trixie PACKAGES=python3.13-minimal,libpython3.13-stdlib,libstdc++6,libgcc-s1
file=$(readlink -m "${1:?usage: python.sh FILE}")
site=${MOBILEDEPLOY_LAB_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)}
work=$(mktemp -d "$file.XXXX")
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --arch=arm64 --variant=extract --format=directory --include="$PACKAGES" \
    --dpkgopt='path-exclude=/usr/share/*' --dpkgopt='path-exclude=/usr/lib/*/gconv/*' \
    --dpkgopt='path-exclude=/usr/lib/python3*/test/*' --dpkgopt='path-exclude=/usr/lib/python3*/idlelib/*' \
    "$SUITE" "$work/root" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $SUITE main"
mkdir -p "$work/root"/{dev,proc,root,tmp}
ln -sfn usr/lib "$work/root/lib"
tar -C "$work/root" --owner=0 --group=0 --exclude=./var --exclude='./dev/*' -czf "$work/packed" .
mv "$work/packed" "$file"
