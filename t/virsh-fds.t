#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libvirt saves through sets made of descriptors: a manager opens its own files,
# hands them over by add-fd, and virsh uses MOUNT/N. With one file that file is
# libvirt's image, which a libvirt without the mount restores; with two the store's
# block map puts them together.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"
# shellcheck source=t/libvirt.sh
. "$top_srcdir/t/libvirt.sh"

require_mount
require_qemu
require_libvirt
require_direct_io
start_mount "${mount_options[@]}"
start_libvirt
ok 'a guest of libvirt works' start_guest

# own_file NAME: the manager's; the set has its owner and mode.
own_file() {
    : >"$1" && chmod 666 "$1"
}

save_options=(--image-format sparse --bypass-cache --parallel-channels 4)
restore_options=(--bypass-cache --parallel-channels 4)

# try_fds TITLE SET FILE...
try_fds() {
    local title=$1 set=$2 file
    shift 2
    for file; do
        own_file "$file"
    done
    ok "$title: the manager hands its files over" ctl add-fd --direct "$set" "$@"
    ok "$title: virsh save ${save_options[*]}" save_to "$set" "${save_options[@]}"
    becomes "$title: the set is durable" "$set" durable
    ok "$title: the manager takes them back" ctl remove-fd "$set"
    ok "$title: and hands them over read-only" ctl add-fd --destination --direct "$set" "$@"
    becomes "$title: what is in them is checked" "$set" durable
    is "$title: libvirt has marked its header as finished" "$(saved_magic "$mnt/$set")" \
        LibvirtQemudSave
    ok "$title: virsh restore ${restore_options[*]}" restore_from "$set" "${restore_options[@]}"
    ok "$title: guest memory is the same after it" same_memory before after
    v resume guest
    ok "$title: the restored guest lives" guest_lives
}

try_fds 'one file' 1 "$dir/own.1"
is 'one file: libvirt has marked the header in the file itself' "$(saved_magic own.1)" \
    LibvirtQemudSave
v destroy guest
ok 'one file: it is restored without the mount, too' restore_file "$dir/own.1"
ok 'one file: to the same memory' same_memory before after

try_fds 'two files' 2 "$dir/own.2a" "$dir/own.2b"
v destroy guest
ok 'two files: each block is right' ctl verify 2

end_process "$libvirtd_pid"
ends_cleanly
done_testing
