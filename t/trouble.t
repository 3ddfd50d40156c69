#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Damaged stores, full disks and failing ones: a clear error that names the file,
# nothing that was acknowledged is lost, and everything else goes on.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"

require_mount
make_stream stream

# ---- sets that are damaged ----

manifest_cut() {
    truncate -s -80 "$1/manifest"
}
manifest_changed() {
    sed -i 's/^size=.*/size=4096/' "$1/manifest"
}
manifest_empty() {
    : >"$1/manifest"
}
manifest_missing() {
    mv "$1/manifest" "manifest.${1##*/}"
}
manifest_garbage() {
    head -c 5000 /dev/urandom >"$1/manifest"
}
manifest_newer() {
    sed -i 's/^format=1/format=2/' "$1/manifest"
}
manifest_of_another() {
    cp "$store/99/manifest" "$1/manifest"
}
map_cut() {
    truncate -s 1000 "$1/map"
}
map_zeroed() {
    dd if=/dev/zero of="$1/map" bs=4096 count=1 conv=notrunc status=none
}
map_missing() {
    mv "$1/map" "map.${1##*/}"
}
sums_missing() {
    mv "$1/sums" "sums.${1##*/}"
}
sums_changed() {
    printf 'x' | dd of="$1/sums" conv=notrunc status=none
}
channel_missing() {
    mv "$1/ch-000" "ch-000.${1##*/}"
}
channel_short() {
    truncate -s 2000000 "$1/ch-000"
}

end_text='it ends before its checksum (group [end])'
# What is done to it, the errno of its open, that of a read (or -), and the reason.
troubles=(
    "manifest_cut|EIO 5|-|STORE/manifest: damaged: $end_text"
    'manifest_changed|EIO 5|-|STORE/manifest: damaged: its checksum does not match its content'
    'manifest_empty|EIO 5|-|STORE/manifest: damaged: the file is empty'
    'manifest_missing|EIO 5|-|STORE/manifest: manifest: cannot open: No such file or directory'
    'manifest_garbage|EIO 5|-|STORE/manifest: damaged: it is not made of groups, keys and values'
    'manifest_newer|EIO 5|-|STORE/manifest: written by a newer version (format 2, this version knows formats up to 1): upgrade fdsetfs to use it'
    "manifest_of_another|EIO 5|-|STORE/manifest: is the manifest of set 99, expected that of set"
    'map_cut|0|EIO 5|the block map (file "map") near block 0 does not match its sum: it was changed or damaged'
    'map_zeroed|0|EIO 5|the block map (file "map") near block 0 does not match its sum: it was changed or damaged'
    'map_missing|EIO 5|-|cannot open the block map (file "map"): No such file or directory'
    'sums_missing|EIO 5|-|STORE: sums: cannot open: No such file or directory'
    'sums_changed|EIO 5|-|STORE: sums: damaged: its digest is not the one in the manifest'
    'channel_missing|EIO 5|-|channel file ch-000: cannot open: No such file or directory'
    'channel_short|EIO 5|-|channel file ch-000: ends at offset 2000000, expected at least 2278945 bytes'
)

start_mount
for ((i = 1; i <= ${#troubles[@]}; i++)); do
    bounded cp stream "$mnt/$i"
done
bounded cp stream "$mnt/99"
for ((i = 1; i <= ${#troubles[@]}; i++)); do
    wait_for "set $i" state_is_one_of "$i" durable
done
becomes 'sets are on stable storage' 99 durable
ok 'fdsetfs ends' stop_mount
for ((i = 1; i <= ${#troubles[@]}; i++)); do
    "${troubles[i - 1]%%|*}" "$store/$i"
done
# The manifest of a damaged set is no longer needed to list it.
inventory() {
    (cd "$store" && find . -type f ! -name lock -exec sha256sum {} + | sort -k 2)
}
before=$(inventory)
start_mount
is 'all sets are listed' "$(bounded ls "$mnt" | grep -vc '\.d$')" $((${#troubles[@]} + 1))
for ((i = 1; i <= ${#troubles[@]}; i++)); do
    IFS='|' read -r what opened read text <<<"${troubles[i - 1]}"
    title=${what//_/ }
    text=${text//STORE/"$store/$i"}
    is "$title: it can be looked at" "$(sys stat "$mnt/$i")" 0
    is "$title: an open" "$(sys open f rdonly "$mnt/$i")" "$opened"
    if [ "$read" != - ]; then
        is "$title: a read" "$(sys open f rdonly "$mnt/$i" : pread f 0 4096)" "0, $read"
    else
        is "$title: a second open" "$(sys open f rdonly "$mnt/$i")" "$opened"
    fi
    told "$title: the reason is told" "$i" "$text"
done
is 'damage is a state' "$(state_of 1)" damaged
ok 'the other set is whole' same stream "$mnt/99"
bounded cp stream "$mnt/100"
ok 'a new one can be saved' same stream "$mnt/100"
is 'it is removed' "$(sys unlink "$mnt/100")" 0
ok 'fdsetfs ends' stop_mount
is 'nothing was deleted or changed' "$(inventory)" "$before"

mv "ch-000.13" "$store/13/ch-000"
mv "sums.11" "$store/11/sums"
start_mount
ok 'a channel file that is back is read' same stream "$mnt/13"
ok 'sums that are back are used' same stream "$mnt/11"
is 'a damaged set can be removed' "$(sys unlink "$mnt/1" : stat "$mnt/1")" '0, ENOENT 2'
is 'its number can be used again' \
    "$(sys open f wronly+creat "$mnt/1" : pwrite f 0 10 : close f)" '0, 10, 0'
ok 'fdsetfs ends' stop_mount

# ---- a store that is damaged ----

# refuses CLAIM STATUS TEXT
refuses() {
    bounded "$fdsetfs" "$store" "$mnt" >said 2>&1 </dev/null
    local status=$?
    if [ "$status" -eq "$2" ] && grep -qF -e "$3" said && ! is_mounted; then
        pass "$1"
    else
        fail "$1" "status $status, expected $2" "said: $(cat said)" "expected: $3"
    fi
}
cp "$store/store" store.good
sed -i 's/^uuid=./uuid=0/' "$store/store"
cmp -s "$store/store" store.good && sed -i 's/^uuid=./uuid=1/' "$store/store"
refuses 'a store file that was changed' 6 "$store/store: damaged: its checksum does not match its content"
truncate -s 20 "$store/store"
refuses 'one that is cut' 6 "$store/store: damaged: "
sed 's/^format=1/format=7/' store.good >"$store/store"
refuses 'a newer version' 7 "$store/store: written by a newer version (format 7, this version knows formats up to 1): upgrade fdsetfs to use it"
rm "$store/store"
refuses 'one that is missing' 6 "$store: not a store: it has no file \"store\", and it is not an empty directory"
is 'nothing is made then' "$(find "$store" -mindepth 1 -maxdepth 1 -name 'store*')" ''
cp store.good "$store/store"

# ---- a disk that fails ----

stop_injecting() {
    [ -z "${strace_pid:-}" ] || end_process "$strace_pid" INT
    strace_pid=
}
is_traced() {
    awk '$1 == "TracerPid:" && $2 == 0 { n++ } END { exit n > 0 }' "/proc/$daemon_pid/task"/*/status
}
# inject CALLS:WHAT [STRACE-OPTION]...: a system call of the daemon fails until stop_injecting.
strace_pid=
inject() {
    local calls=${1%%:*}
    spawn strace_pid strace.log strace -f -qq -p "$daemon_pid" -o strace.calls \
        -e "trace=$calls" -e "inject=$1" "${@:2}"
    wait_for 'strace to be attached' is_traced
}

can_inject() {
    command -v strace >/dev/null && inject fdatasync:error=EIO && stop_injecting
}

start_mount
start_actor main
if can_inject >/dev/null 2>&1; then
    is 'a channel' "$(act main open m wronly+creat "$mnt/50"), $(act main pwrite m 0 10000 a)" '0, 10000'
    ok 'its file fails' inject pwrite64:error=EIO -P "$store/50/ch-000"
    is 'so does that write' "$(act main pwrite m 4096 10000 b)" 'EIO 5'
    told 'the reason is told' 50 \
        'fdset 50: channel file ch-000: a write of 10000 bytes at offset 4096 failed'
    stop_injecting
    ok 'its block map fails' inject pwrite64:error=EIO -P "$store/50/map"
    is 'so does that write' "$(act main pwrite m 100000 4096 c)" 'EIO 5'
    stop_injecting
    is 'fdsetfs lives, and the next write works' "$(act main pwrite m 200000 10 d)" 10
    ok 'its file cannot be synced' inject fdatasync:error=EIO
    is 'fsync says so' "$(act main fsync m)" 'EIO 5'
    stop_injecting
    is 'fsync works again' "$(act main fsync m), $(act main close m)" '0, 0'
    becomes 'the set settles' 50 partial
    is 'all that was acknowledged is there' "$(sys open f rdonly "$mnt/50" : pread f 0 10000 a : \
pread f 10000 4096 : pread f 200000 100 d)" '0, 10000, 4096, 10'

    ok 'files cannot be synced' inject fdatasync:error=EIO
    bounded cp stream "$mnt/51"
    becomes 'a save that cannot be made durable is partial' 51 partial
    has 'the reason is told' "$(last_error_of 51)" "*$store/51: cannot be made durable: Input/output error*"
    stop_injecting
    ok 'it can be read' same stream "$mnt/51"

    bounded cp stream "$mnt/52"
    becomes 'a set is complete' 52 durable
    ok 'its file cannot be read' inject pread64:error=EIO -P "$store/52/ch-000"
    is 'so it cannot' "$(sys open f rdonly "$mnt/52" : pread f 0 4096)" '0, EIO 5'
    told 'the reason is told' 52 \
        'fdset 52: channel file ch-000: cannot read at offset 0: Input/output error'
    stop_injecting
    ok 'it can be read again' same stream "$mnt/52"
else
    skip 'a disk that fails' 'strace cannot attach to the daemon here'
fi
ok 'fdsetfs ends' stop_mount

# ---- a disk that is full ----

small_store=$store
store=$dir/disk/store
mkdir disk
if mount -t tmpfs -o size=20m none disk 2>/dev/null; then
    mounts+=("$dir/disk")
    mkdir "$store"
    start_mount
    make_stream small 0 100
    bounded cp small "$mnt/1"
    becomes 'a set is saved' 1 durable
    is 'a save begins' "$(act main open m wronly+creat "$mnt/2")" 0
    for ((n = 0; n < 40; n++)); do
        r=$(act main pwrite m $((n << 20)) 1048576 a)
        [ "$r" = 1048576 ] || break
    done
    is 'the write that fills the disk says so' "$r" 'ENOSPC 28'
    told 'the reason is told' 2 \
        "fdset 2: channel file ch-000: a write of 1048576 bytes at offset $((n << 20)) failed: No space left on device"
    ok 'several were taken before' test "$n" -ge 5
    is 'so does the next one' "$(act main pwrite m $((50 << 20)) 1048576)" 'ENOSPC 28'
    dd if=/dev/zero of=disk/rest bs=4096 status=none 2>/dev/null
    is 'not a byte is left: no set can be made' "$(sys open f wronly+creat "$mnt/3")" 'ENOSPC 28'
    is 'nor is half a set' "$(sys stat "$mnt/3")" 'ENOENT 2'
    is 'blocks that are there can be written again' "$(act main pwrite m 4096 8192 b)" 8192
    is 'the channel closes' "$(act main close m)" 0
    becomes 'the set settles' 2 partial
    sum_of_2() {
        bounded cat "$mnt/2" | head -c $((n << 20)) | tr -d a | wc -c
    }
    is 'all that was acknowledged is there' "$(sum_of_2)" 8192
    ok 'the other set is whole' same small "$mnt/1"
    is 'it cannot be opened for writing now' "$(sys open f wronly "$mnt/2" | tr -d 0-9)" 'ENOSPC '
    ok 'fdsetfs ends' stop_mount
    start_mount
    is 'after a restart it is all there' "$(sum_of_2)" 8192
    is 'the set is removed' "$(sys unlink "$mnt/2")" 0
    rm disk/rest
    bounded cp small "$mnt/4"
    becomes 'then there is room for another save' 4 durable
    ok 'which is whole' same small "$mnt/4"
    ok 'fdsetfs ends' stop_mount
    unmount "$dir/disk"
else
    skip 'a disk that is full' 'a tmpfs cannot be mounted here'
fi
end_actor main
store=$small_store
start_mount
ends_cleanly
done_testing
