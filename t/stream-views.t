#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Files in the old streaming format, which a real QEMU saved: what is shown is
# what the guest had, the index of pages is kept, and a damaged one does no harm.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"
require_mount
require_qemu

# show FILE [OPTION]...: at $mnt.
show() {
    store=$1
    shift
    start_mount "$@"
}

# same_as_dump: guest memory but the video hole, as "source" had it.
same_as_dump() {
    bounded cmp -n "$video_hole_start" "$mnt/mem.raw" source.memory &&
        bounded cmp -i "$video_hole_end" -n $(((guest_memory << 20) - video_hole_end)) \
            "$mnt/mem.raw" source.memory
}

says() {
    grep -qsF -e "$1" "$dir"/fdsetfs*.log
}

# log_has TEXT: in the end; the file is looked into when it is mounted already.
log_has() {
    wait_for "the log to have \"$1\"" says "$1"
}

# try_file TITLE FILE
try_file() {
    rm -rf "$dir"/fdsetfs*.log
    show "$2" -o "cache-dir=$dir/cache"
    ok "$1: guest memory is what the guest had" same_as_dump
    ok "$1: the index was made" log_has 'the index of its pages was made'
    is "$1: pages of zeros are holes" \
        "$([ "$(stat -c %b "$mnt/ram/pc.ram")" -lt $((guest_memory * 2048)) ] && echo yes)" yes
    ok "$1: a sparse copy is the same" bounded cp --sparse=auto "$mnt/mem.raw" copy
    ok "$1: byte for byte" bounded cmp copy "$mnt/mem.raw"
    is "$1: devices are decoded" "$(bounded grep -c '"state"' "$mnt/devices.json" | sed 's/^[1-9].*/some/')" some
    is "$1: it says what it is" "$(bounded grep -o '"streamed"' "$mnt/info.json" | head -n 1)" '"streamed"'
    ok "$1: it is shown no more" stop_mount
    rm -f copy "$dir"/fdsetfs*.log
    show "$2" -o "cache-dir=$dir/cache"
    ok "$1: the second time the index is taken from the cache" log_has 'was taken from the cache'
    ok "$1: guest memory is the same" same_as_dump
    stop_mount
}

start_source source
set_migration source
ok 'a live save without mapped-ram' save_live source "file:$dir/live"
dump source
quit_vm source
try_file 'live' "$dir/live"

for tool in gzip bzip2 xz zstd; do
    if command -v "$tool" >/dev/null; then
        "$tool" -c live >"live.$tool"
        show "$dir/live.$tool" -o "cache-dir=$dir/cache"
        ok "compressed with $tool: guest memory is what the guest had" same_as_dump
        ok "compressed with $tool: it is shown no more" stop_mount
        rm "live.$tool"
    else
        skip "compressed with $tool" "$tool is not installed"
    fi
done
ok 'nothing but indexes is in the cache' test "$(find cache -type f | grep -cv '\.pages$')" -eq 0
find cache -type f | while IFS= read -r index; do
    printf '\245' | dd of="$index" bs=1 seek=5000 conv=notrunc status=none
done
rm -f "$dir"/fdsetfs*.log
show "$dir/live" -o "cache-dir=$dir/cache"
ok 'a damaged index is made anew' log_has 'was made'
ok 'and guest memory is the same' same_as_dump
stop_mount

# Deltas: what changes between rounds is sent as XBZRLE.
start_source source
set_migration source
set_capability source xbzrle true
ok 'a live save with XBZRLE' save_live source "file:$dir/xbzrle"
ok 'it has deltas' test "$(qmp source query-migrate | sed -n 's/.*"xbzrle-cache":{[^}]*"pages":\([0-9]*\).*/\1/p')" -gt 0
dump source
quit_vm source
try_file 'XBZRLE' "$dir/xbzrle"

rm -f "$dir"/fdsetfs*.log
show "$dir/live" -o cache-dir=off
ok 'without a cache it works as well' log_has 'was made'
stop_mount
head -c $(($(stat -c %s live) - 30000)) live >"$dir/cut"
show "$dir/cut" -o "cache-dir=$dir/cache"
ok 'a file that was cut shows its pages' test -e "$mnt/ram/pc.ram"
ok 'and why it is not whole' bounded grep -q '"complete" *: *false' "$mnt/info.json"
stop_mount
done_testing
