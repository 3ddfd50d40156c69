#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a real QEMU does with channels beyond its own test cases: many of them,
# other numbers of them, saves that are cut short, refused or disturbed, and a
# store that another daemon filled.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"

require_mount
require_qemu
require_direct_io
start_mount

# saved CLAIM SET MIGRATION...: by the machine "source", which is stopped for it.
saved() {
    local claim=$1 set=$2
    shift 2
    set_migration source "$@"
    qmp source stop >/dev/null
    ok "$claim" save source "file:$mnt/$set"
    dump source
}

# restored CLAIM SET MIGRATION...: the image holds what "source" had in its memory.
restored() {
    local claim=$1 set=$2
    shift 2
    start_destination destination
    set_migration destination "$@"
    ok "$claim" restore destination "file:$mnt/$set"
    dump destination
    ok "$claim: guest memory is the same on both sides" same_memory source destination
    qmp destination cont >/dev/null
    ok "$claim: the restored guest lives" is_alive destination
    quit_vm destination
}

count_files() {
    find "$store/$1" -name 'ch-*' | wc -l
}

# has_files CLAIM SET COUNT: channel files in the store.
has_files() {
    if [ -n "$plain" ]; then
        skip "$1" 'plain directory'
    else
        is "$1" "$(count_files "$2")" "$3"
    fi
}

try_sixteen() {
    start_source source
    saved '16 channels save' 1 mapped-ram multifd=16 direct-io
    becomes '16 channels: the set is complete' 1 complete durable
    has_files 'main and 16 secondary channels have a file each' 1 17
    restored '16 channels restore' 1 mapped-ram multifd=16 direct-io
    quit_vm source
}

try_other_numbers() {
    start_source source
    saved '4 channels save' 2 mapped-ram multifd=4
    becomes '4 channels: the set is complete' 2 complete durable
    has_files 'main and 4 secondary channels have a file each' 2 5
    restored 'saved with 4 channels, restored with 2' 2 mapped-ram multifd=2
    restored 'saved with 4 channels, restored with none' 2 mapped-ram
    quit_vm source
}

# Goes on with what try_other_numbers left: set 2 and the dump of its source.
try_other_daemon() {
    local digest
    digest=$(bounded sha256sum <"$mnt/2")
    ok 'the first daemon ends cleanly' stop_mount
    start_mount
    becomes 'another daemon finds the set complete' 2 complete durable
    is 'another daemon serves the same image' "$(bounded sha256sum <"$mnt/2")" "$digest"
    restored 'filled by one daemon, restored from another' 2 mapped-ram multifd=4 direct-io
}

try_cancelled() {
    start_source source
    set_migration source mapped-ram multifd=4
    ok 'a live save starts' start_endless source "file:$mnt/3"
    qmp source migrate_cancel >/dev/null
    ok 'it can be cancelled' wait_migration source cancelled
    becomes 'a cancelled save leaves the set partial' 3 partial
    ok 'the VM lives after a cancelled save' is_alive source
    saved 'a second save into the same set completes' 3 mapped-ram multifd=4
    becomes 'the second save makes the set complete' 3 complete durable
    restored 'the second save restores' 3 mapped-ram multifd=4
    quit_vm source
}

try_two_machines() {
    random_guest second 16 7
    start_source source
    start_source second
    set_migration source mapped-ram multifd=4
    set_migration second mapped-ram multifd=4
    ok 'a first VM saves into a set' start_endless source "file:$mnt/4"
    ok 'a second VM that saves into it fails' save_fails second "file:$mnt/4"
    ok 'the first VM is still saving' is_saving source
    is 'the second VM runs on' "$(run_state second)" running
    ok 'the guest of the second VM lives' is_alive second
    ok 'the first VM completes its save' end_live source
    dump source
    becomes 'the set is complete in spite of the second VM' 4 complete durable
    restored 'the first save restores' 4 mapped-ram multifd=4
    ok 'the second VM saves into another set' save second "file:$mnt/5"
    becomes 'that set is complete' 5 complete durable
    quit_vm second
    quit_vm source
}

# save_fails MACHINE URI: at once or later, but QEMU says so and lives.
save_fails() {
    if start_migration "$1" "$2"; then
        wait_migration "$1" failed || return 1
    fi
    [ -n "$(run_state "$1")" ]
}

# With refuse=open this open would kill QEMU 10 (a null pointer in its cleanup).
try_refused_secondary() {
    ok 'the daemon ends cleanly before it gets other options' stop_mount
    start_mount -o refuse=write,dio=on
    start_source source
    set_migration source mapped-ram multifd=4
    ok 'a save whose secondary channels are refused fails' save_fails source "file:$mnt/6"
    ok 'the VM lives after the refusal' is_alive source
    has 'the reason names what is missing' "$(get_xattr "$mnt/6" user.fdsetfs.last_error)" \
        '*O_DIRECT*'
    becomes 'a refused save leaves the set partial' 6 partial
    saved 'the VM can be saved into another set' 7 mapped-ram multifd=4 direct-io
    becomes 'and that set is complete' 7 complete durable
    restored 'and restores' 7 mapped-ram multifd=4 direct-io
    quit_vm source
}

try_sixteen
try_other_numbers
try_other_daemon
try_cancelled
if [ -n "$plain" ]; then
    skip 'two VMs, one set' 'a plain file has no rules'
    skip 'a refused secondary channel' 'a plain file has no rules'
else
    try_two_machines
    try_refused_secondary
fi
ok 'fdsetfs ends cleanly after all of it' stop_mount
done_testing
