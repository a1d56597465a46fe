#!/usr/bin/env bash
# provision.sh FOLDER PYTHON: what makes the stand-in device run native code for Android, as FOLDER/{ndk,linker64,
# liblog.so,libandroid.so,onnxruntime.aar}.  There is no NDK in it: its clang is ziglang's for musl, in PYTHON's
# environment, and musl's loader stands where Android's would.
#
# Packages come from wherever this machine's apt and npm get theirs.
set -euo pipefail

readonly SUITE=trixie NPM_PACKAGE=com.github.asus4.onnxruntime@0.4.9
readonly TARGET=aarch64-linux-musl KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

here=$(dirname "$(readlink -f "$0")")
folder=$(readlink -m "${1:?usage: provision.sh FOLDER PYTHON}")
python=$(readlink -m "$(dirname "${2:?usage: provision.sh FOLDER PYTHON}")")/$(basename "$2")
bin=ndk/toolchains/llvm/prebuilt/linux-x86_64/bin

fetch_loader() {
    local site
    site=${MOBILEDEPLOY_LAB_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)}
    mkdir -p "$work"/apt/{lists/partial,cache/archives/partial}
    echo "deb [arch=arm64 signed-by=$KEYRING] $site $SUITE main" >"$work/apt/sources.list"
    local options=(-qq -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::State::lists="$work/apt/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$work/apt/cache"
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    (cd "$work" && apt-get "${options[@]}" download musl)
    dpkg-deb --fsys-tarfile "$work"/musl_*.deb | tar -xOf - ./usr/lib/aarch64-linux-musl/libc.so >"$work/linker64"
}

fetch_library() {
    (cd "$work" && npm pack --silent "$NPM_PACKAGE" >/dev/null)
    tar -xOzf "$work"/com.github.asus4.onnxruntime-*.tgz package/Plugins/Android/onnxruntime.aar >"$work/onnxruntime.aar"
    rm "$work"/*.tgz
}

write_compiler() {
    mkdir -p "$work/$bin"
    cat >"$work/$bin/aarch64-linux-android24-clang" <<SCRIPT
#!/bin/sh
exec "$python" -m ziglang cc -target $TARGET -dynamic "\$@" -Wl,--dynamic-linker=/system/bin/linker64
SCRIPT
    chmod +x "$work/$bin/aarch64-linux-android24-clang"
}

build_shim() {
    "$python" -m ziglang cc -target $TARGET -O1 -Wall -Wextra -Werror -shared -fPIC -Wl,-soname,liblog.so \
        -o "$work/liblog.so" "$here/bionic.c"
    echo | "$python" -m ziglang cc -target $TARGET -shared -fPIC -Wl,-soname,libandroid.so -x c -o "$work/libandroid.so" -
}

work=$folder.new
mkdir -p "$(dirname "$folder")"
# One at a time.
exec {lock}>"$folder.lock"
flock "$lock"
[[ -d $folder ]] && exit
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT
fetch_loader
fetch_library
write_compiler
build_shim
rm -rf "$work/apt" "$work"/*.deb
# Last, so that a folder that is there is whole.
mv "$work" "$folder"
