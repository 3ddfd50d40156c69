# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# qemu-cases.sh - QEMU's own eleven file-migration cases
# (tests/qtest/migration/file-tests.c) through the mount, for stories that
# differ in what a set is made of. Sourced after qemu.sh. Cases with an fdset
# give QEMU descriptors that were opened on the mount.
# shellcheck disable=SC2154 # from lib.sh and qemu.sh
# shellcheck disable=SC2317 # ok and wait_for call functions by name

header_size=4096                    # in front of the stream where a case has an offset

# ---- what a story may define anew ----

# before_save TITLE SET [direct]: the set is made ready for a source.
before_save() {
    :
}

# before_restore TITLE SET [direct]: the same for a destination.
before_restore() {
    :
}

# image_of SET: where the image can be read after a save.
image_of() {
    printf '%s\n' "$mnt/$1"
}

# ---- the cases ----

# add_descriptors MACHINE PATH FLAGS...: all into fdset 1, in this order.
add_descriptors() {
    local machine=$1 path=$2 flags
    shift 2
    for flags; do
        qmp "$machine" --fd "$flags:$path" add-fd '{"fdset-id":1}' >/dev/null || return 1
    done
}

# A removed fdset stays listed until QEMU's own copies are closed.
has_no_fdset() {
    [ "$(qmp "$1" query-fdsets)" = '[]' ]
}

fdset_goes() {
    qmp "$1" remove-fd '{"fdset-id":1}' >/dev/null && wait_for "no fdset in $1" has_no_fdset "$1"
}

# try_restore CASE MACHINE URI MIGRATION...: into a machine that is ready; memory as in "source".
try_restore() {
    local title=$1 machine=$2 uri=$3
    shift 3
    ok "$title: the destination takes it" restore "$machine" "$uri"
    is "$title: the destination waits to be continued" "$(run_state "$machine")" paused
    dump "$machine"
    ok "$title: guest memory is the same on both sides" same_memory source "$machine"
    qmp "$machine" cont >/dev/null
    ok "$title: the restored guest lives" is_alive "$machine"
}

# try_case CASE SET [stopped|live] [offset] [source-fds=FLAGS,...] [destination-fds=FLAGS,...]
#          [migration words as for set_migration]...
try_case() {
    local title=$1 set=$2 word how=save migration=() source_fds='' destination_fds='' offset=
    local file=$mnt/$2 image direct='' source_uri destination_uri
    shift 2
    for word; do
        case $word in
            stopped) how=save ;;
            live) how=save_live ;;
            offset) offset=,offset=$header_size ;;
            source-fds=*) source_fds=${word#*=} ;;
            destination-fds=*) destination_fds=${word#*=} ;;
            *) migration+=("$word") ;;
        esac
        [ "$word" != direct-io ] || direct=direct
    done
    image=$(image_of "$set")
    source_uri=file:$file$offset
    destination_uri=$source_uri

    start_source source
    set_migration source "${migration[@]}"
    before_save "$title" "$set" $direct
    [ -z "$offset" ] || fill_header "$file" "$header_size"
    if [ -n "$source_fds" ]; then
        source_uri=file:/dev/fdset/1$offset
        destination_uri=$source_uri
        # shellcheck disable=SC2086 # one word each
        ok "$title: the source gets its descriptors" \
            add_descriptors source "$file" ${source_fds//,/ }
    fi
    [ "$how" = save_live ] || qmp source stop >/dev/null
    ok "$title: the save completes" "$how" source "$source_uri"
    dump source
    [ -z "$source_fds" ] || ok "$title: the source lets go of its fdset" fdset_goes source
    becomes "$title: the set is complete" "$set" complete durable
    if [ -n "$offset" ]; then
        ok "$title: the bytes in front of the stream are intact" \
            header_is_intact "$image" "$header_size"
    else
        is "$title: the file begins with a stream" "$(bytes_at "$image" 0 4)" "$stream_magic"
    fi

    before_restore "$title" "$set" $direct
    start_destination destination
    set_migration destination "${migration[@]}"
    if [ -n "$destination_fds" ]; then
        # shellcheck disable=SC2086 # one word each
        ok "$title: the destination gets its descriptors" \
            add_descriptors destination "$file" ${destination_fds//,/ }
    fi
    try_restore "$title" destination "$destination_uri"
    [ -z "$destination_fds" ] ||
        ok "$title: the destination lets go of its fdset" fdset_goes destination
    quit_vm destination
    quit_vm source
}

try_bad_offset() {
    local title='an offset that is no number' output
    start_source source
    qmp source stop >/dev/null
    output=$(qmp source migrate "{\"uri\":\"file:$mnt/4,offset=0x20M\"}" 2>&1)
    is "$title: QEMU refuses it" "$output" \
        'qmp: migrate: file URI has bad offset 0x20M: Invalid argument'
    is "$title: the VM answers" "$(run_state source)" paused
    ok "$title: no set comes into being" test ! -e "$mnt/4"
    quit_vm source
}

# The image as a file of its own, restored by a QEMU that never saw the mount.
# The dump of the last source is still there.
try_copy() {
    local title='a copy of the image on the plain disk' image
    image=$(image_of "$1")
    ok "$title: it can be made" bounded cp --sparse=always "$image" copy
    ok "$title: it is the same, byte for byte" bounded cmp "$image" copy
    shift
    start_destination other
    set_migration other "$@"
    try_restore "$title" other "file:$dir/copy"
    quit_vm other
    rm -f copy
}

try_all_cases() {
    try_case 'plain stream' 1 stopped
    try_case 'offset, live' 2 live offset
    try_case 'offset, fdset, live' 3 live offset \
        source-fds=wronly destination-fds=rdonly
    try_bad_offset
    try_case 'mapped-ram' 5 stopped mapped-ram
    try_case 'mapped-ram, live' 6 live mapped-ram
    try_case 'multifd' 7 stopped mapped-ram multifd=4
    try_case 'multifd, live' 8 live mapped-ram multifd=4
    try_copy 8 mapped-ram multifd=4
    try_case 'multifd, direct I/O' 9 stopped mapped-ram multifd=4 direct-io
    try_case 'multifd, fdset' 10 stopped offset mapped-ram multifd=4 \
        source-fds=wronly,wronly destination-fds=rdonly,rdonly
    try_case 'multifd, fdset, direct I/O' 11 stopped offset mapped-ram multifd=4 direct-io \
        source-fds=wronly,wronly+direct destination-fds=rdonly,rdonly+direct
}
