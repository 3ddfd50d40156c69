# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# guest.sh - a Linux kernel for the guests of the tests. Sourced after lib.sh.
# The package is unpacked, not installed: this machine's boot loader never hears of it.
# shellcheck disable=SC2154 # from lib.sh

guest_dir=$top_srcdir/build/guest
guest_package=linux-image-cloud-amd64

# has_guest: a kernel, and the module that tells where VMCOREINFO is.
has_guest() {
    [ -n "$(find "$guest_dir" -name 'vmlinuz-*-cloud-amd64' 2>/dev/null)" ] &&
        [ -n "$(find "$guest_dir" -name 'qemu_fw_cfg.ko' 2>/dev/null)" ]
}

# guest_image: the package that the one without a version stands for today.
guest_image() {
    apt-cache depends "$guest_package" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
}

# fetch_guest: kernel and module go to guest_dir, whole or not at all.
fetch_guest() {
    local image scratch=$guest_dir.new
    image=$(guest_image)
    [ -n "$image" ] || return 1
    rm -rf "$scratch" "$guest_dir" && mkdir -p "$scratch" || return 1
    note "apt-get download $image"
    (cd "$scratch" && apt-get -q -o Acquire::Retries=3 download "$image" &&
        dpkg-deb --fsys-tarfile "$image"_*.deb | tar -x --wildcards \
            './boot/vmlinuz-*' './lib/modules/*/qemu_fw_cfg.ko*' && rm -f "$image"_*.deb) \
        >"$top_srcdir/build/guest.log" 2>&1 </dev/null && mv "$scratch" "$guest_dir"
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
