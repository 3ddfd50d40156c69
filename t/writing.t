#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is written through many channels is what the same writes into one plain
# file give: now, after a restart, and after the daemon was killed.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"

require_mount
start_mount

writers() {
    bounded "$top_builddir/t/writers" "$@"
}

# try CLAIM SET OPTION...: the same into the set and into the file plain.SET.
sets=()
try() {
    local claim=$1 set=$2
    shift 2
    ok "$claim: every write is taken" writers "$@" "$mnt/$set" "plain.$set"
    ok "$claim: the image is the plain file" same "$mnt/$set" "plain.$set"
    [[ " ${sets[*]} " == *" $set "* ]] || sets+=("$set")
}

all_same() {
    local set
    for set in "${sets[@]}"; do
        wait_for "set $set to settle" state_is_one_of "$set" partial complete durable &&
            same "$mnt/$set" "plain.$set" || return 1
    done
}

try 'one channel' 1 --channels=1 --seed=1
try 'five channels in turns' 2 --seed=2
try 'five channels at once' 3 --seed=3 --concurrent --writes=300
try 'direct channels in turns' 4 --seed=4 --direct
try 'direct channels at once' 5 --seed=5 --direct --concurrent --writes=300
try 'channels behind a header' 6 --seed=6 --start=12345
is 'the header is a hole' "$(sys open f rdonly "$mnt/6" : seek f 0 set)" '0, 0'
try '256 channels at once' 7 --seed=7 --channels=256 --writes=4 --concurrent
is 'they have 256 files' "$(find "$store/7" -name 'ch-*' | wc -l)" 256
is 'and the set says so' "$(get_xattr "$mnt/7" user.fdsetfs.channels)" 256

for ((session = 1; session <= 5; session++)); do
    try "session $session over the ones before" 8 --seed=$((10 + session)) --writes=20
done
try 'a session that truncates in the middle' 8 --seed=20 --start=1000001 --writes=10
try 'one that truncates behind the end' 8 --seed=21 --start=7000001 --writes=10 --channels=2
try 'one that truncates to nothing' 8 --seed=22 --start=0 --writes=10 --concurrent

ok 'fdsetfs ends' stop_mount
start_mount
ok 'after a restart all images are the plain files' all_same
try 'a session after the restart' 3 --seed=30 --writes=20
try 'one that truncates after the restart' 5 --seed=31 --start=54321 --writes=20
try 'direct channels after the restart' 4 --seed=32 --direct --concurrent
kill_mount
start_mount
ok 'after a kill, too' all_same

# ---- killed in the middle ----

# killed SET OPTION...: the daemon dies while all channels write as fast as they can.
is_larger_than() {
    [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]
}
killed() {
    local set=$1 pid
    shift
    spawn pid writers.log "$top_builddir/t/writers" "$@" --pending="pending.$set" "$mnt/$set" \
        "plain.$set"
    wait_for 'the writers to write' is_larger_than "plain.$set" 3000000 || return 1
    kill_mount
    wait_for 'the writers to end' has_ended "$pid"
    wait "$pid"
}
cp_over() {
    bounded cp expected "$1" && same expected "$1"
}
pattern 77777 >expected
for options in '' '--direct'; do
    set=$((20 + ${#options}))
    # shellcheck disable=SC2086 # none or one
    ok "writers while fdsetfs is killed ${options:-plainly}" \
        killed "$set" --seed="$set" --concurrent $options
    start_mount
    becomes 'the set is there' "$set" partial
    ok 'every block is old or new, and every acknowledged write is there' \
        writers --check="pending.$set" "$mnt/$set" "plain.$set"
    ok 'it can be written again' cp_over "$mnt/$set"
done

# ---- single calls ----

is 'several MiB at once' \
    "$(sys open f wronly+creat "$mnt/30" : pwrite f 3 8388608 a : close f)" '0, 8388608, 0'
is 'are there' "$(sys open f rdonly "$mnt/30" : pread f 3 9000000 a)" '0, 8388608'

start_actor main
is 'main writes' "$(act main open m wronly+creat "$mnt/31"), $(act main pwrite m 0 10000 a)" '0, 10000'
is 'ftruncate in a block' "$(act main ftruncate m 5000), $(stat -c %s "$mnt/31")" '0, 5000'
is 'and beyond its end' "$(act main ftruncate m 9000), $(stat -c %s "$mnt/31")" '0, 9000'
is 'a byte behind it' "$(act main pwrite m 9999 1 b)" 1
is 'fsync' "$(act main fsync m)" 0
is 'a write of nothing' "$(act main pwrite m 20000 0)" 0
is 'the size is as far as was written' "$(stat -c %s "$mnt/31")" 10000
is 'space cannot be reserved' "$(act main fallocate m 0 100000)" 'EOPNOTSUPP 95'
is 'the channel cannot be read' "$(act main pread m 0 1)" 'EBADF 9'
is 'close' "$(act main close m)" 0
{ head -c 5000 /dev/zero | tr '\0' a; head -c 4999 /dev/zero; printf b; } >expected
ok 'bytes before are kept, and those behind are gone for good' same expected "$mnt/31"

limit=$((1 << 46))
is 'a write behind 64 TiB' "$(act main open m wronly+creat "$mnt/32"), $(act main pwrite m $limit 1)" \
    '0, EFBIG 27'
is 'one that would end there' "$(act main pwrite m $((limit - 1)) 2)" 'EFBIG 27'
is 'ftruncate behind it' "$(act main ftruncate m $((limit + 1)))" 'EFBIG 27'
is 'the channel lives' "$(act main pwrite m 0 10 a), $(act main close m)" '10, 0'
is 'nothing but that was written' "$(sys open f rdonly "$mnt/32" : pread f 0 100 a)" '0, 10'
is 'O_APPEND is refused' "$(sys open f wronly+append "$mnt/32")" 'EACCES 13'
is 'truncate by name' "$(sys truncate "$mnt/32" 5 : open f rdonly "$mnt/32" : pread f 0 100 a)" '0, 0, 5'
end_actor main

# has_channels N COUNT: the set's files
has_channels() {
    local files=("$store/$1"/ch-*)
    [ "${#files[@]}" -eq "$2" ]
}

open_idly() {
    local _
    for _ in 1 2 3 4 5; do
        sys open f wronly "$mnt/32" >/dev/null || return
    done
}

ok 'a session that wrote, and one that truncated' wait_for 'two channel files' has_channels 32 2
ok 'it is opened and closed, and nothing is written' open_idly
ok 'these sessions leave no channel file' wait_for 'two channel files' has_channels 32 2
ok 'fdsetfs ends with status 0' stop_mount

# ---- channels on other disks ----

spread() {
    find disk1 -name 'ch-*' | wc -l
    find disk2 -name 'ch-*' | wc -l
}

nothing_left() {
    [ -z "$(find disk1 disk2 -mindepth 2)" ]
}

mkdir disk1 disk2
start_mount -o "channel-dir=$dir/disk1,channel-dir=$dir/disk2"
try 'channels on other disks' 50 --channels=5 --seed=40
is 'the four secondary ones are spread' "$(spread | xargs)" '2 2'
ok 'fdsetfs with channel directories ends' stop_mount
start_mount
ok 'a daemon that was not told of them finds them' same "$mnt/50" plain.50
ok 'the set is removed' rm "$mnt/50"
ok 'and its files on the other disks' wait_for 'the files to go' nothing_left
ok 'fdsetfs ends again' stop_mount

# ---- a limit of the daemon ----

ulimit -S -f $((8 * 1024))
start_mount
ulimit -S -f unlimited
is 'ulimit -f: a write behind the limit' \
    "$(sys open f wronly+creat "$mnt/40" : pwrite f 8388000 388 a : pwrite f 8388608 1 : pwrite f 0 10 a)" \
    '0, 388, EFBIG 27, 10'
told 'ulimit -f: the reason is told' 40 \
    'fdset 40: channel file ch-000: a write of 1 bytes at offset 8388608 failed: File too large'
is 'ulimit -f: what was acknowledged is there' \
    "$(sys open f rdonly "$mnt/40" : pread f 8388000 1000 a : pread f 0 10 a)" '0, 388, 10'
ends_cleanly
done_testing
