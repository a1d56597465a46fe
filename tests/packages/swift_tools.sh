#!/usr/bin/env bash
# swift_tools.sh FOLDER: unpacks Debian's Swift compiler as FOLDER, a root file system to change root to. Run it as root
# on a Debian-like system.
set -euo pipefail

readonly SUITE=trixie PACKAGES=swiftlang,libc6-dev,libstdc++-14-dev
folder=$(readlink -m "${1:?usage: swift_tools.sh FOLDER}")
[[ ! -e $folder ]] || exit 0
for tool in mmdebstrap debian-archive-keyring; do
    dpkg-query --show "$tool" >/dev/null 2>&1 \
        || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$tool"; }
done
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXX")
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=extract --format=directory --include="$PACKAGES" --dpkgopt='path-exclude=/usr/share/*' \
    "$SUITE" "$work/root" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $SUITE main"
mkdir -p "$work"/root/{dev,proc,tmp}
for name in bin lib lib64 sbin; do
    ln -sfn "usr/$name" "$work/root/$name"
done
mv "$work/root" "$folder"
