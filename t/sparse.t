#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An image of a TiB with little in it costs what is in it.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
unset G_SLICE                       # memory is measured here

require_mount
tib=$((1 << 40))
truncate -s $((2 * tib)) huge 2>/dev/null || skip_all 'this disk has no files of 2 TiB (set TMPDIR)'
rm huge
make_stream stream 0 300 plain
start_mount
old=$(resident)

small_on_disk() {
    local kib
    kib=$(du -sk "$store/$1" | cut -f 1)
    [ "$kib" -le "$2" ] || { echo "$kib KiB on the disk" && return 1; }
}
map_is_small() {
    local kib
    kib=$(du -k "$store/$1/map" | cut -f 1)
    [ "$kib" -le "$2" ] || { echo "the map has $kib KiB" && return 1; }
}
memory_is_small() {
    local now
    now=$(resident)
    [ "$now" -le $((old + 32768)) ] || { echo "$old KiB, then $now" && return 1; }
}

start_actor main
is 'the last block of a TiB is written' \
    "$(act main open m wronly+creat "$mnt/1"), $(act main pwrite m $((tib - 4096)) 4096 z)" '0, 4096'
for ((i = 0; i < 16; i++)); do
    is "so is one at $((64 * i)) GiB" "$(act main pwrite m $((i << 36)) 100 a)" 100
done
is 'it closes' "$(act main close m)" 0
becomes 'the set settles' 1 partial
ok 'and is made durable' wait_for 'it' grep -qF 'fdset 1: partial and on stable storage' "$daemon_log"
is 'its size is a TiB' "$(stat -c %s "$mnt/1")" $tib
is 'it has 17 blocks of data' "$(stat -c %b "$mnt/1")" $((17 * 8))
ok 'the set is small on the disk' small_on_disk 1 512
ok 'its map is small' map_is_small 1 256
ok 'memory is small' memory_is_small

try_holes() {
    local title=$1 i got want
    got=$(sys open f rdonly "$mnt/1" : seek f 1 hole : seek f 4096 data : \
        seek f $(((7 << 36) + 4096)) data : seek f $(((15 << 36) + 4096)) data : \
        seek f $((tib - 4096)) hole : seek f $tib data)
    want="0, 4096, $((1 << 36)), $((8 << 36)), $((tib - 4096)), $tib, ENXIO 6"
    is "$title: SEEK_DATA finds the data" "$got" "$want"
    is "$title: it can be read" "$(sys open f rdonly "$mnt/1" : pread f 0 100 a : \
pread f $((15 << 36)) 100 a : pread f $((tib - 4096)) 9999 z)" '0, 100, 100, 4096'
    ok "$title: cp copies what is in it" bounded cp --sparse=always "$mnt/1" copy
    is "$title: all of it" "$(stat -c %s copy) $(sys open f rdonly copy : pread f $((5 << 36)) 100 a : \
pread f $((tib - 4096)) 9999 z)" "$tib 0, 100, 4096"
    ok "$title: and no more" test "$(stat -c %b copy)" -le 1000
    rm -f copy
}
try_holes 'at once'
ok 'fdsetfs ends' stop_mount
start_mount
try_holes 'after a restart'
is 'a session that is killed' "$(act main open m wronly "$mnt/1"), $(act main pwrite m 4096 0), $(act main pwrite m 50 10 a)" '0, 0, 10'
put_down "$daemon_pid"
act main close m >/dev/null         # who has it open keeps the mount busy
kill_mount
start_mount
old=$(resident)
becomes 'the set settles again' 1 partial
try_holes 'after a kill'
ok 'memory is small' memory_is_small

is 'a stream that starts at a TiB' "$(act main open m wronly+creat "$mnt/2"), $(act main ftruncate m $tib)" '0, 0'
ok 'is written' bounded dd if=stream of="$mnt/2" bs=1M oflag=seek_bytes seek=$tib conv=notrunc status=none
is 'the channel closes' "$(act main close m)" 0
becomes 'the set is complete' 2 durable
is 'its stream starts there' "$(get_xattr "$mnt/2" user.fdsetfs.stream_offset)" $tib
ok 'it is the stream' bounded cmp -i "$tib:0" "$mnt/2" stream
ok 'its map is small' map_is_small 2 256

is 'the large image is cut' "$(act main open m wronly "$mnt/1"), $(act main ftruncate m 8192), $(act main close m)" '0, 0, 0'
becomes 'the set settles' 1 partial
is 'and is small' "$(stat -c %s "$mnt/1"), $(sys open f rdonly "$mnt/1" : seek f 4096 data : pread f 0 100 a)" \
    '8192, 0, ENXIO 6, 100'
is 'a cut set grows again without old bytes' \
    "$(act main open m wronly "$mnt/1"), $(act main pwrite m $((tib - 1)) 1 y), $(act main close m)" '0, 1, 0'
is 'they are gone' "$(sys open f rdonly "$mnt/1" : seek f 4096 data : pread f $((tib - 4096)) 4095 | tr -d ' ')" \
    "0,$((tib - 4096)),4095"
is 'it is zeros' "$(bounded dd if="$mnt/1" iflag=skip_bytes skip=$((tib - 4096)) bs=4096 status=none | tr -d '\0')" y
end_actor main
ends_cleanly
done_testing
