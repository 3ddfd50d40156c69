#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A real libvirt saves onto the mount and restores from it. It writes its header,
# opens the file again for QEMU, passes both descriptors by add-fd, and marks the
# header as finished through a third open while QEMU still has them.
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

restart_mount() {
    stop_mount && start_mount "${mount_options[@]}"
}

# try_save TITLE SET STATE SAVE-OPTION... : RESTORE-OPTION...
try_save() {
    local title=$1 set=$2 state=$3 save=()
    shift 3
    while [ "$1" != : ]; do
        save+=("$1")
        shift
    done
    shift
    ok "$title: virsh save ${save[*]}" save_to "$set" "${save[@]}"
    is "$title: the guest is gone" "$(guest_state)" 'shut off'
    is "$title: libvirt has marked its header as finished" "$(saved_magic "$mnt/$set")" \
        LibvirtQemudSave
    becomes "$title: the set becomes $state" "$set" "$state"
    bounded cp "$mnt/$set" image
    ok "$title: virsh restore $*" restore_from "$set" "$@"
    ok "$title: guest memory is the same after it" same_memory before after
    ok "$title: the restored guest is resumed" v resume guest
    ok "$title: and lives" guest_lives
    ok "$title: the image is what it was" same image "$mnt/$set"
    rm -f image
}

# stream_start SET: the end of libvirt's header.
stream_start() {
    get_xattr "$mnt/$1" user.fdsetfs.stream_offset
}

direct_channels() {
    ctl --json show "$1" | grep -oE '"direct" *: *true' | wc -l
}

# After a restore with --bypass-cache libvirt 11.3 leaves direct-io on, and QEMU 10.0 then dies in a
# sparse save without it, on any filesystem: so what does without comes first.
try_save 'sparse' 2 durable --image-format sparse : --parallel-channels 2
try_save 'raw' 3 durable --image-format raw : --bypass-cache
try_save 'compressed' 4 partial --image-format gzip :
has 'compressed: the reason why it is partial' "$(last_error_of 4)" \
    "fdset 4: libvirt's image, compressed (gzip): whether it is whole cannot be seen; libvirt has marked it as finished"

# ---- managed save ----

# libvirt's own name for it leads to a set; it removes the name when it has restored it.
managed=virt/conf/libvirt/qemu/save/guest.save
ln -s "$mnt/5" "$managed"
ok 'managed save' v managedsave guest
becomes 'is a durable set' 5 durable
is 'with a finished header' "$(saved_magic "$mnt/5")" LibvirtQemudSave
ok 'starting the guest restores it' v start guest
adopt
ok 'it lives' guest_lives
ok 'libvirt has taken its name away' test ! -L "$managed"
is 'the set is still there' "$(state_of 5)" durable

# ---- refusals ----

v save --image-format sparse guest "$mnt/3" >refused 2>&1
has 'a save into a complete set is refused' "$(cat refused)" '*Permission denied*'
told 'and the reason is told' 3 'an open'
is 'the guest runs on' "$(guest_state)" running
ok 'it lives' guest_lives
is 'the set is whole' "$(state_of 3)" durable

# ---- past the page cache ----

try_save 'sparse, direct I/O' 1 durable \
    --image-format sparse --bypass-cache --parallel-channels 4 : --bypass-cache --parallel-channels 4
is 'sparse, direct I/O: QEMU wrote through the direct descriptor' "$(direct_channels 1)" 1

# MOUNT/1.d, where the set is looked into: memory there is what QEMU dumped.
has 'the views of the set know libvirt' "$(bounded cat "$mnt/1.d/info.json" | tr -d ' \n')" \
    '*"libvirt":{"format":"sparse","finished":true,*'
same_low_memory() {
    bounded cmp -n "$video_hole_start" "$mnt/1.d/mem.raw" before.memory &&
        bounded cmp -i "$video_hole_end" -n $(((guest_memory << 20) - video_hole_end)) \
            "$mnt/1.d/mem.raw" before.memory
}
ok 'and have its memory' same_low_memory

# ---- the header until it is sealed, and then ----

has 'virsh save-image-dumpxml reads the header' "$(v save-image-dumpxml "$mnt/1")" '*<name>guest</name>*'
is 'virsh save-image-define is refused, as all that is read-write' \
    "$(v save-image-define "$mnt/1" virt/guest.xml >refused 2>&1; echo $?)" 1
told 'and the reason is told' 1 'an open for reading and writing'
start=$(stream_start 1)
is 'the stream starts behind the header' "$(bytes_at "$mnt/1" "$start" 4)" "$stream_magic"
start_actor manager
is 'the header can be rewritten' "$(act manager open h wronly "$mnt/1"), $(act manager pwrite h 16 0 x)" '0, 0'
is 'nothing behind it' "$(act manager pwrite h "$start" 1), $(act manager pwrite h $((start - 1)) 2)" \
    'EACCES 13, EACCES 13'
is 'it closes' "$(act manager close h)" 0
becomes 'the set is durable again' 1 durable
ok 'fdsetctl seal' ctl seal 1
is 'then the header cannot be rewritten' "$(sys open f wronly "$mnt/1")" 'EACCES 13'
told 'and the reason is told' 1 'the set is sealed, its header too'
v destroy guest
ok 'fdsetfs ends, and starts again' restart_mount
ok 'a sealed set is restored' restore_from 1 --bypass-cache --parallel-channels 4
ok 'as before' same_memory before after

v destroy guest
end_process "$libvirtd_pid"
end_actor manager
ends_cleanly
done_testing
