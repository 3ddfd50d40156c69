#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# QEMU's own eleven file-migration cases again, on sets made of descriptors: a
# manager hands its own real files over, QEMU opens MOUNT/N. Then with several
# files, which the block map puts together.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"
# shellcheck source=t/qemu-cases.sh
. "$top_srcdir/t/qemu-cases.sh"

files=1                             # that a set has
mapfile -t letters < <(printf '%s\n' a b c d e)

ctl() {
    bounded "$top_builddir/fs/fdsetctl" -m "$mnt" "$@"
}

own_files() {
    printf "$dir/own.$1.%s\n" "${letters[@]:0:$files}"
}

image_of() {
    if [ "$files" -eq 1 ]; then
        own_files "$1"
    else
        printf '%s\n' "$dir/exported.$1"
    fi
}

before_save() {
    local own
    mapfile -t own < <(own_files "$2")
    ok "$1: the manager hands its files over" ctl add-fd ${3:+--direct} "$2" "${own[@]}"
}

before_restore() {
    local own
    mapfile -t own < <(own_files "$2")
    ok "$1: it takes them back" ctl remove-fd "$2"
    ok "$1: and hands them over read-only" ctl add-fd --destination ${3:+--direct} "$2" "${own[@]}"
    becomes "$1: what is in them is checked" "$2" durable
}

require_mount
require_qemu
require_direct_io
start_mount
try_all_cases

becomes_and_export() {
    state_is_one_of "$1" "${@:2}" && ctl export "$1" "$dir/exported.$1"
}
becomes() {
    ok "$1" wait_for "set $2 to be complete" becomes_and_export "$2" "${@:3}"
}
files=5
try_case 'five files, live' 20 live mapped-ram multifd=4
files=2
try_case 'two files, direct I/O' 21 stopped offset mapped-ram multifd=4 direct-io
ok 'fdsetfs ends cleanly after all of it' stop_mount
done_testing
