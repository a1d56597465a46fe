#!/usr/bin/env bash
# provision.sh FOLDER: builds the stand-in device, an arm64 Linux image with the real Android adbd and an ssh
# server, as FOLDER/{vmlinuz,rootfs.zst,id_ed25519,known_host}, and a Python to unpack over its root, as
# FOLDER/python.tar. Run it as root on a Debian-like system.
#
# Packages come from wherever this machine's apt gets its own; MOBILEDEPLOY_LAB_MIRROR names another place.
set -euo pipefail

readonly KERNEL_SUITE=bookworm GUEST_SUITE=trixie
readonly HOST_PACKAGES=(qemu-system-arm adb mmdebstrap cpio zstd openssh-client dropbear-bin debian-archive-keyring)
readonly GUEST_PACKAGES=(base-files base-passwd busybox-static mksh toybox adbd libstdc++6 libgcc-s1 dropbear-bin openssh-sftp-server)
readonly PYTHON_PACKAGES=(python3-minimal libpython3-stdlib)
readonly MODULES=(virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net)
readonly APPLETS=(sh mount mkdir rmdir insmod ifconfig route hostname sleep cat ls cp mv rm ln chmod df free ps md5sum
    sha256sum stat taskset top uptime nproc uname id env head tail grep sed awk cut sort wc tr find kill sync touch
    printf echo test expr true false date dd du seq setsid nohup readlink mktemp basename dirname)

guest=$(dirname "$(readlink -f "$0")")/guest
folder=$(readlink -m "${1:?usage: provision.sh FOLDER}")
work=$folder/work

install_host_packages() {
    local missing=()
    for package in "${HOST_PACKAGES[@]}"; do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# The place this machine's apt fetches its packages from.
mirror() {
    if [[ -n ${MOBILEDEPLOY_LAB_MIRROR:-} ]]; then
        echo "$MOBILEDEPLOY_LAB_MIRROR"
        return
    fi
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1
}

# guest_apt SUITE COMMAND...: apt for arm64 packages of a suite, with lists of its own.
guest_apt() {
    local suite=$1 state=$work/apt-$1
    shift
    mkdir -p "$state"/{lists/partial,cache/archives/partial}
    echo "deb [arch=arm64 signed-by=$keyring] $site $suite main" >"$state/sources.list"
    "$1" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$state/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$state/cache" \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root "${@:2}"
}

fetch_kernel() {
    guest_apt "$KERNEL_SUITE" apt-get -qq update
    local package wanted=(--wildcards './boot/vmlinuz*')
    package=$(guest_apt "$KERNEL_SUITE" apt-cache depends linux-image-arm64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
    (cd "$work" && guest_apt "$KERNEL_SUITE" apt-get -qq download "$package")
    for module in "${MODULES[@]}"; do
        wanted+=("*/$module.ko")
    done
    mkdir -p "$work/kernel"
    dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb | tar -C "$work/kernel" -xf - "${wanted[@]}"
    mv "$work"/kernel/boot/vmlinuz* "$work/base/vmlinuz"
    mkdir "$work/base/modules"
    find "$work/kernel" -name '*.ko' -exec mv {} "$work/base/modules/" \;
}

# extract FOLDER PACKAGE...: what packages of the guest hold.
extract() {
    local root=$1
    shift
    mmdebstrap --quiet --arch=arm64 --variant=extract --format=directory --include="$(IFS=, && echo "$*")" \
        --dpkgopt='path-exclude=/usr/share/*' --dpkgopt='path-include=/usr/share/base-passwd/*' \
        "$GUEST_SUITE" "$root" "deb [signed-by=$keyring] $site $GUEST_SUITE main"
}

# Apart from the image: only the tests of packages need it, and every boot would unpack it.
fetch_python() {
    local base=$work/base/root python=$work/python
    extract "$python" "${PYTHON_PACKAGES[@]}"
    ln -s python3.13 "$python/usr/bin/python3" 2>/dev/null || true
    find "$base" "$python" ! -type d -printf '%H %P\n' | awk -v base="$base" '
        $1 == base { there[$2] = 1; next }
        !there[$2] && $2 ~ /^usr\/(bin\/python|lib\/(python|aarch64))/ { print $2 }' |
        tar -C "$python" --files-from=- -cf "$work/base/python.tar"
}

# What comes from package servers is kept, so that a change of the rest takes seconds.
fetch_base() {
    local kept
    kept=$folder/base-$(printf '%s\n' "$KERNEL_SUITE" "$GUEST_SUITE" "${GUEST_PACKAGES[@]}" "${PYTHON_PACKAGES[@]}" "${MODULES[@]}" | sha256sum | head -c 12).tar.zst
    if [[ ! -e $kept ]]; then
        mkdir "$work/base"
        fetch_kernel
        extract "$work/base/root" "${GUEST_PACKAGES[@]}"
        fetch_python
        tar -C "$work" -cf - base | zstd -q -f -T0 -3 -o "$kept.new"
        mv "$kept.new" "$kept"
        rm -rf "$work/base"
    fi
    tar -C "$work" --zstd -xf "$kept"
}

fill_root() {
    local root=$1 bin=$1/usr/bin
    mkdir -p "$root"/{data/local/tmp,system/bin,sdcard,proc,sys,dev,run,tmp,root/.ssh,etc/dropbear,modules}
    mv "$work"/base/modules/*.ko "$root/modules/"
    rm -rf "$root"/usr/share/{doc,locale,man,perl*} "$root"/usr/lib/python3*

    sed 's#^root:.*#root:x:0:0:root:/root:/bin/sh#' "$root/usr/share/base-passwd/passwd.master" >"$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    echo /bin/sh >"$root/etc/shells"
    for applet in "${APPLETS[@]}"; do
        [[ -e $bin/$applet || -e $root/usr/sbin/$applet ]] || ln -s busybox "$bin/$applet"
    done
    ln -sf mksh "$bin/sh"
    ln -sf /usr/bin/mksh "$root/system/bin/sh"

    install -m 755 "$guest/getprop" "$guest/dumpsys" "$root/system/bin/"
    install -m 644 "$guest/build.prop" "$root/system/"
    install -m 755 "$guest/init" "$root/init"
}

# A key of the lab's own to log in with, and a host key that stays the same from boot to boot.
add_keys() {
    local root=$1
    rm -f "$folder"/id_ed25519{,.pub}
    ssh-keygen -q -t ed25519 -N '' -C lab -f "$folder/id_ed25519"
    install -m 700 -d "$root/root" "$root/root/.ssh"
    install -m 600 "$folder/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
    dropbearkey -t ed25519 -f "$root/etc/dropbear/dropbear_ed25519_host_key" >"$work/host_key.txt" 2>/dev/null
    sed -n 's/^\(ssh-ed25519 [^ ]*\).*/\1/p' "$work/host_key.txt" >"$folder/known_host"
}

install_host_packages
readonly site=$(mirror) keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$folder"
# One at a time in a folder.
exec {lock}>"$folder/.lock"
flock "$lock"
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT
fetch_base
fill_root "$work/base/root"
add_keys "$work/base/root"
(cd "$work/base/root" && find . -print0 | cpio --null --create --format=newc --quiet | zstd -q -f -T0 -3 -o "$folder/rootfs.new")
mv "$work/base/vmlinuz" "$work/base/python.tar" "$folder/"
# Last, so that an image that is there is whole.
mv "$folder/rootfs.new" "$folder/rootfs.zst"
