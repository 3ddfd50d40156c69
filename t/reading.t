#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is read is what was written, by whatever tool, with its holes, from the
# cache where nothing changes; and never anything else.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"

require_mount
make_stream stream 0 2000           # 8 MiB
make_stream header-stream 4096
pattern 3000001 >text
start_mount

# ---- every tool ----

copies() {
    rm -rf out
    mkdir out
    "$@" && same "$file" "out/$set"
}
with_cp() {
    bounded cp "$mnt/$set" out/
}
with_sparse_cp() {
    bounded cp --sparse=always "$mnt/$set" out/
}
with_cat() {
    bounded cat "$mnt/$set" >"out/$set"
}
with_dd() {
    bounded dd if="$mnt/$set" of="out/$set" status=none "$@"
}
with_rsync() {
    bounded rsync --inplace "$mnt/$set" out/
}
with_tar() {
    bounded tar -C "$mnt" -cSf "out/tar" "$set" && bounded tar -C out -xf out/tar
}

bounded cp text "$mnt/1"
bounded cp stream "$mnt/2"
becomes 'a partial set' 1 partial
becomes 'a complete set' 2 complete durable
start_actor reader
for set in 1 2; do
    file=text
    [ "$set" -eq 1 ] || file=stream
    is "set $set is open" "$(act reader open "r$set" rdonly "$mnt/$set")" 0
    ok "set $set: cmp" same "$file" "$mnt/$set"
    ok "set $set: cp" copies with_cp
    ok "set $set: cp --sparse=always" copies with_sparse_cp
    ok "set $set: cat" copies with_cat
    ok "set $set: tar -S" copies with_tar
    for size in 777 4096 65537 1048577 4M; do
        ok "set $set: dd bs=$size" copies with_dd bs="$size"
    done
    ok "set $set: dd iflag=direct" copies with_dd iflag=direct bs=1M
    ok "set $set: dd iflag=direct with an odd size" copies with_dd iflag=direct bs=123457
    if command -v rsync >/dev/null; then
        ok "set $set: rsync --inplace" copies with_rsync
    else
        skip "set $set: rsync --inplace" 'rsync is not installed'
    fi
    is "set $set: nothing is behind its end" "$(act reader pread "r$set" 100000000 4096)" 0
done
is 'a complete set can be mapped' \
    "$(sys open f rdonly "$mnt/2" : mapped f "$dir/stream")" "0, $(stat -c %s stream)"
end_actor reader

# ---- written, and read at once ----

at_once() {
    local i
    for ((i = 0; i < 200; i++)); do
        head -c $((i * 997 + 1)) "$1" >part
        bounded cp part "$mnt/$((100 + i))" && bounded cmp part "$mnt/$((100 + i))" || return 1
    done
}
ok 'a file can be read as soon as cp has ended, 200 times' at_once text
over() {
    local i
    for ((i = 0; i < 50; i++)); do
        head -c $((i * 997 + 1)) text >part
        bounded cp part "$mnt/3" && bounded cmp part "$mnt/3" || return 1
    done
}
ok 'so can one that is written over again and again' over
complete_at_once() {
    local i
    for ((i = 0; i < 20; i++)); do
        bounded cp stream "$mnt/$((300 + i))" && same stream "$mnt/$((300 + i))" || return 1
    done
}
ok 'so can complete ones' complete_at_once

# ---- holes ----

start_actor main
is 'blocks here and there' "$(act main open m wronly+creat "$mnt/4"), $(act main pwrite m 100000 5), \
$(act main pwrite m 1000000 4096), $(act main pwrite m 50000000 70000)" '0, 5, 4096, 70000'
is 'and a hole at the end' "$(act main ftruncate m 60000000), $(act main close m)" '0, 0'
truncate -s 60000000 holes
for where in '100000 5' '1000000 4096' '50000000 70000'; do
    head -c "${where#* }" /dev/zero | tr '\0' x |
        dd of=holes oflag=seek_bytes seek="${where% *}" conv=notrunc status=none
done
ok 'all of it is read' same holes "$mnt/4"
is 'SEEK_DATA and SEEK_HOLE find them' "$(sys open f rdonly "$mnt/4" : seek f 0 data : seek f 98304 hole : \
seek f 102400 data : seek f 999424 hole : seek f 1007616 data : seek f 49999872 hole : \
seek f 100001 data : seek f 100001 hole : seek f 7 hole)" \
    '0, 98304, 102400, 999424, 1007616, 49999872, 50073600, 100001, 102400, 7'
is 'there is no data behind the last' \
    "$(sys open f rdonly "$mnt/4" : seek f 50073600 data : seek f 50073600 hole : \
seek f 59999999 hole : seek f 60000000 hole : seek f 60000000 data)" \
    '0, ENXIO 6, 50073600, 59999999, ENXIO 6, ENXIO 6'
is 'a full file ends with a hole' \
    "$(sys open f rdonly "$mnt/1" : seek f 5 data : seek f 5 hole)" '0, 5, 3000001'
set=4 file=holes
ok 'cp keeps the holes' copies with_cp
ok 'the copy is as small' test "$(stat -c %b out/4)" -le 400
ok 'tar -S keeps them' copies with_tar
ok 'the archive is small' test "$(stat -c %s out/tar)" -le 200000
becomes 'the set settles' 4 partial
wait_for 'it to be durable' grep -qF 'fdset 4: partial and on stable storage' "$daemon_log"
is 'st_blocks counts the data only' "$(stat -c %b "$mnt/4")" "$((21 * 8))"
is 'st_size counts all' "$(stat -c %s "$mnt/4")" 60000000

# ---- who reads while somebody writes ----

is 'a reader' "$(act main open r rdonly "$mnt/4"), $(act main pread r 100000 5 x)" '0, 5'
start_actor writer
is 'gets EBUSY while a session runs' "$(act writer open w wronly "$mnt/4"), $(act main pread r 100000 5)" '0, EBUSY 16'
is 'and the new bytes when it is over' \
    "$(act writer pwrite w 100000 5 y), $(act writer close w), $(act main pread r 100000 5 y)" '5, 0, 5'
is 'it ends' "$(act main close r)" 0

# ---- the cache ----

ok 'fdsetfs ends' stop_mount
start_mount -d
reads() {
    grep -c 'opcode: READ (' "$daemon_log"
}
before=$(reads)
ok 'a complete set is read' same stream "$mnt/2"
first=$(reads)
ok 'by READ requests' test "$first" -gt "$before"
ok 'a second time' same stream "$mnt/2"
is 'without any' "$(reads)" "$first"
ok 'and through another open' same stream "$mnt/2"
is 'without any' "$(reads)" "$first"
ok 'a partial set is read' same text "$mnt/1"
first=$(reads)
ok 'a second time' same text "$mnt/1"
ok 'by READ requests' test "$(reads)" -gt "$first"
ok 'fdsetfs ends' stop_mount

# A manager rewrites its header: "Part" becomes "Save", and whoever reads sees that.
stale=
rewrite() {
    local i letter
    for ((i = 0; i < 40; i++)); do
        letter=a
        [ $((i % 2)) -eq 0 ] || letter=b
        [ "$(sys open w wronly "$mnt/5" : pwrite w 10 100 "$letter" : close w)" = '0, 100, 0' ] &&
            stale=$(act main pread r 10 100 "$letter") && [ "$stale" = 100 ] &&
            stale=$(sys open f rdonly "$mnt/5" : pread f 10 100 "$letter") && [ "$stale" = '0, 100' ] ||
            return 1
    done
}
read_all_the_time() {
    while bounded cat "$mnt/5" >copy-5; do :; done
}
# As a manager and a VMM do.
save_with_header() {
    act writer open w wronly+creat "$mnt/5"
    act writer ftruncate w 4096
    bounded dd if=header-stream of="$mnt/5" bs=4096 skip=1 seek=1 conv=notrunc status=none
    act writer close w
} >/dev/null
for options in '' -s; do
    # shellcheck disable=SC2086 # none or one
    start_mount $options
    title="${options:-threads}: a header that is rewritten"
    [ -e "$mnt/5" ] || save_with_header
    becomes "$title: the set is complete" 5 complete durable
    is "$title: it is open" "$(act main open r rdonly "$mnt/5"), $(act main pread r 0 4096)" '0, 4096'
    node=$(stat -c '%i %s %Y' "$mnt/5")
    read_all_the_time 2>load.log &
    load=$!
    own "$load"
    ok "$title: no page of it is stale" rewrite
    kill "$load"
    wait "$load" 2>/dev/null
    forget "$load"
    is "$title: st_ino, size and mtime stay" "$(stat -c '%i %s %Y' "$mnt/5")" "$node"
    is "$title: the rest is untouched" "$(bounded cmp -i 4096 header-stream "$mnt/5" 2>&1)" ''
    is "$title: its readers got no error" "$(cat load.log)" ''
    is "$title: it closes" "$(act main close r)" 0
    becomes "$title: the set stays complete" 5 complete durable
    ok "$title: fdsetfs ends" stop_mount
done
end_actor main
end_actor writer

# ---- verify ----

flip "$store/2/ch-000" 5000000
flip "$store/1/ch-000" 1000000
start_mount
is 'a complete set with a flipped bit' "$(sys open f rdonly "$mnt/2" : pread f 4997120 4096)" '0, EIO 5'
told 'the reason is told' 2 \
    'fdset 2: channel file ch-000: block 1220 (offset 4997120) does not match its digest: it was changed or damaged'
is 'other blocks can be read' \
    "$(sys open f rdonly "$mnt/2" : pread f 4993024 4096 : pread f 5001216 4096)" '0, 4096, 4096'
is 'cmp sees no difference before it gets the error' "$(same stream "$mnt/2" 2>&1)" \
    "cmp: $mnt/2: Input/output error"
is 'a partial set with a flipped bit' "$(sys open f rdonly "$mnt/1" : pread f 999424 4096)" '0, EIO 5'
told 'the reason is told' 1 \
    'fdset 1: channel file ch-000: block 244 (offset 999424) does not match its digest: it was changed or damaged'
is 'it is no better with O_DIRECT' \
    "$(sys open a rdonly "$mnt/1" : open f rdonly+direct "$mnt/1" : pread f 999424 4096)" '0, 0, EIO 5'
is 'the set keeps its state' "$(state_of 2)" durable
ok 'fdsetfs ends' stop_mount
start_mount -o verify=off
is 'verify=off reads what there is' "$(same stream "$mnt/2" 2>&1)" \
    "stream $mnt/2 differ: char 5000001, line $(($(head -c 5000001 stream | tr -cd '\n' | wc -c) + 1))"
flip "$store/2/ch-000" 5000000
ends_cleanly
start_mount
ok 'with the bit as it was the set is whole again' same stream "$mnt/2"
ends_cleanly
done_testing
