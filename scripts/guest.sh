# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# guest.sh - a Linux kernel and a busybox for the guests of the tests. Sourced after
# lib.sh. The packages are unpacked, not installed: this machine's boot loader never
# hears of the kernel, and its own busybox may be a shared one.
# shellcheck disable=SC2154 # from lib.sh

guest_dir=$top_srcdir/build/guest
guest_package=linux-image-cloud-amd64

# has_guest: a kernel, the module that tells where VMCOREINFO is, and a busybox.
has_guest() {
    [ -x "$guest_dir/bin/busybox" ] &&
        [ -n "$(find "$guest_dir" -name 'vmlinuz-*-cloud-amd64' 2>/dev/null)" ] &&
        [ -n "$(find "$guest_dir" -name 'qemu_fw_cfg.ko' 2>/dev/null)" ]
}

# guest_image: the package that the one without a version stands for today.
guest_image() {
    apt-cache depends "$guest_package" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
}

# unpack PACKAGE PATTERN...: those files of it go to the working directory. In some releases
# /lib and /bin are below /usr in packages, too.
unpack() {
    local package=$1
    shift
    note "apt-get download $package"
    apt-get -q -o Acquire::Retries=3 download "$package" >>"$top_srcdir/build/guest.log" 2>&1 </dev/null &&
        dpkg-deb --fsys-tarfile "$package"_*.deb |
        tar -x --wildcards --transform='s,^\./usr/,./,' "$@" && rm -f "$package"_*.deb
}

# fetch_guest: all of it goes to guest_dir, whole or not at all.
fetch_guest() {
    local image scratch=$guest_dir.new
    image=$(guest_image)
    [ -n "$image" ] || return 1
    rm -rf "$scratch" "$guest_dir" && mkdir -p "$scratch" || return 1
    (cd "$scratch" && unpack "$image" '*/vmlinuz-*' '*/qemu_fw_cfg.ko*' &&
        unpack busybox-static '*bin/busybox' &&
        find . -name '*.ko.xz' -exec xz -d {} +) && mv "$scratch" "$guest_dir"
}

# need_guest: true when there is one in the end.
need_guest() {
    if has_guest; then
        note 'a kernel for guests is there'
        return
    fi
    can_install || return 1
    mkdir -p "$top_srcdir/build"
    fetch_guest || { update_apt && fetch_guest; } || return 1
    has_guest
}
