#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# MOUNT/N.d: what is inside each complete set, when it is there, and what becomes
# of it when its set is removed, reset, damaged or gets another header.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"

page=4096
require_mount
make_stream stream 0 3000
make_stream other 0 500
make_stream header-stream 4096
files='channels devices devices.json info.json mem.lime mem.raw ram vmcore.elf'

listed() {
    bounded ls -U "$mnt" | paste -sd ' '
}

# all_of DIRECTORY: type, size, blocks and content of all below it, but for channels/.
all_of() {
    (cd "$1" && find . -mindepth 1 -name channels -prune -o \
        \( -type d -printf '%P %y\n' -o -printf '%P %y %s %b ' -exec sh -c 'sha256sum <"$1"' _ {} \; \) | sort)
}

# ---- when it is there ----

start_mount
start_actor writer
is 'a set is being written' "$(act writer open w wronly+creat "$mnt/6")" 0
is 'it has no N.d' "$(sys stat "$mnt/6.d" : open f rdonly "$mnt/6.d/info.json")" 'ENOENT 2, ENOENT 2'
is 'nor is one listed' "$(listed)" 6
is 'it is left without a stream' "$(act writer pwrite w 0 5000), $(act writer close w)" '5000, 0'
becomes 'the set is partial' 6 partial
is 'a partial set has no N.d' "$(sys stat "$mnt/6.d")" 'ENOENT 2'
is 'nor is one listed' "$(listed)" 6
is 'it is removed' "$(sys unlink "$mnt/6")" 0
at_once() {
    local i
    for ((i = 100; i < 120; i++)); do
        bounded cp other "$mnt/$i" && [ -e "$mnt/$i.d/ram/pc.ram" ] || return 1
    done
}
ok 'it is there as soon as cp has ended, 20 times' at_once
ok 'they are removed' bounded rm "$mnt"/1[01]?
ok 'a stream is saved' bounded cp stream "$mnt/7"
is 'a complete set has N.d' "$(sys stat "$mnt/7.d")" 0
is 'it is listed behind its set' "$(listed)" '7 7.d'
ok 'a set 0' bounded cp other "$mnt/0"
is 'in the order of the sets' "$(listed)" '0 0.d 7 7.d'
for name in 8.d 07.d 7.d.d .d 7.D 7d; do
    is "there is no \"$name\"" "$(sys stat "$mnt/$name")" 'ENOENT 2'
done
is 'it has its files' "$(cd "$mnt/7.d" && echo *)" "$files"
is 'a name that is not there' "$(sys stat "$mnt/7.d/x" : stat "$mnt/7.d/ram/x" : stat "$mnt/7.d/mem.raw/x")" \
    'ENOENT 2, ENOENT 2, ENOTDIR 20'

# ---- what is in it ----

mkdir plain
"$fdsetfs" "$dir/stream" plain || bail_out 'cannot show a plain file'
mounts+=("$dir/plain")
is 'all is as it is for the plain file' "$(all_of "$mnt/7.d")" "$(all_of plain)"
ok 'the plain file is shown no more' unmount "$dir/plain"
ok 'channels/0 is the file of channel 0' same "$mnt/7.d/channels/0" "$store/7/ch-000"
is 'its blocks are those of the file' "$((($(stat -c %b "$mnt/7.d/channels/0") + 7) / 8))" \
    "$(($(stat -c %b "$store/7/ch-000") / 8))"
ok 'a set saved through three channels' bounded cp stream "$mnt/8"
is 'st_ino is what readdir tells' \
    "$(cd "$mnt" && find 7.d -printf '%i %p\n' | sort)" \
    "$(cd "$mnt" && bounded ls -iRU 7.d | awk '/:$/ { dir = substr($0, 1, length - 1) } NF == 2 { print $1, dir "/" $2 }' |
        { stat -c '%i 7.d' 7.d; cat; } | sort)"
is 'no two have the same' "$(find "$mnt" -printf '%i\n' | sort | uniq -d)" ''

# Three channels with parts of the stream: one sparse file each.
three() {
    local i size
    size=$(stat -c %s stream)
    act writer open m wronly+creat "$mnt/9"
    for i in 1 2; do
        act writer open "c$i" wronly "$mnt/9"
    done
    bounded dd if=stream of="$mnt/9" bs=1M conv=notrunc status=none # a fourth one
    act writer close m
    act writer close c1
    act writer close c2
    echo "$size"
}
three >/dev/null
becomes 'a set of several channels is complete' 9 complete durable
is 'channels/ has those that the store has' "$(cd "$mnt/9.d/channels" && echo *)" \
    "$(cd "$store/9" && for f in ch-*; do printf '%d\n' "$((10#${f#ch-}))"; done | paste -sd ' ')"
end_actor writer

# Without mapped-ram: an index of its pages is made, and kept with the set.
make_stream streaming 0 3000 plain
ok 'a save in the streaming format' bounded cp streaming "$mnt/12"
"$fdsetfs" -o cache-dir=off "$dir/streaming" plain || bail_out 'cannot show a plain file'
is 'is shown as the plain file is' "$(all_of "$mnt/12.d")" "$(all_of plain)"
ok 'the plain file is shown no more' unmount "$dir/plain"
index=$(echo "$store"/12/*.pages)
ok 'its index is kept with the set' test -s "$index"
before=$(stat -c '%i %Y' "$index")

# ---- who may read it ----

is 'permissions are those of the set' "$(stat -c '%a %U' "$mnt/7.d" "$mnt/7.d/ram" "$mnt/7.d/mem.raw" | paste -sd ,)" \
    "$(printf '555 root,555 root,444 root')"
ok 'the set is closed to others' chmod 600 "$mnt/7"
is 'N.d is, too, at once' "$(stat -c %a "$mnt/7.d")" 500
wait_for 'what is in it to follow' test "$(stat -c %a "$mnt/7.d/mem.raw")" = 400
is 'and what is in it soon' "$(stat -c %a "$mnt/7.d/mem.raw")" 400
is 'times are those of the set' "$(stat -c %Y "$mnt/7.d/mem.raw")" "$(stat -c %Y "$mnt/7")"

# ---- nothing can be changed ----

is 'files cannot be written' "$(sys open f wronly "$mnt/7.d/mem.raw" : open f rdwr "$mnt/7.d/channels/0" : \
truncate "$mnt/7.d/ram/pc.ram" 0)" 'EROFS 30, EROFS 30, EROFS 30'
is 'nor made' "$(sys open f wronly+creat "$mnt/7.d/x" : open f wronly+creat "$mnt/7.d/channels/1" : \
mkdir "$mnt/7.d/x" : symlink x "$mnt/7.d/x" : mkfifo "$mnt/7.d/x")" 'EROFS 30, EROFS 30, EROFS 30, EROFS 30, EROFS 30'
is 'nor removed' "$(sys unlink "$mnt/7.d/mem.raw" : unlink "$mnt/7.d/channels/0" : rmdir "$mnt/7.d/ram")" \
    'EROFS 30, EROFS 30, EROFS 30'
is 'the set of that number is still there' "$(sys stat "$mnt/0")" 0
is 'nor renamed' "$(sys rename "$mnt/7.d/mem.raw" "$mnt/7.d/x" : rename "$mnt/7.d/ram" "$mnt/x")" 'EROFS 30, EROFS 30'
is 'modes and owners are the set'\''s' "$(sys chmod "$mnt/7.d" 777 : chmod "$mnt/7.d/mem.raw" 666 : \
chown "$mnt/7.d/ram" 1 1)" 'EROFS 30, EROFS 30, EROFS 30'
is 'which keeps its own' "$(stat -c '%a %U' "$mnt/7")" '600 root'
is 'N.d itself cannot be removed, renamed or made' "$(sys rmdir "$mnt/7.d" : unlink "$mnt/7.d" : \
rename "$mnt/7.d" "$mnt/x" : mkdir "$mnt/11.d" : open f wronly+creat "$mnt/11.d")" \
    'EPERM 1, EISDIR 21, EPERM 1, EPERM 1, EINVAL 22'
is 'attributes of the set are not those of its inside' "$(get_xattr "$mnt/7.d/mem.raw" user.fdsetfs.state)" ''

# ---- holes ----

is 'a block has its holes' "$(sys open f rdonly "$mnt/7.d/ram/pc.ram" : seek f 0 data : seek f 0 hole)" \
    "$(sys open f rdonly "$mnt/0.d/ram/pc.ram" : seek f 0 data : seek f 0 hole)"
ok 'cp makes a sparse copy' bounded cp "$mnt/7.d/mem.raw" copy
ok 'the copy is the same' same "$mnt/7.d/mem.raw" copy
is 'and no larger' "$(du -k copy | cut -f1)" $(($(stat -c %b "$mnt/7.d/mem.raw") / 2))
rm copy

# ---- tools walk over all of it ----

ok 'ls -laR' bounded ls -laR "$mnt"
ok 'find' bounded find "$mnt" -size +1 -type f
ok 'cp -a' bounded cp -a "$mnt" walked
is 'copies all' "$(cd walked && find . -type f | wc -l)" "$(cd "$mnt" && find . -type f | wc -l)"
is 'with times' "$(stat -c %Y walked/7.d/mem.raw)" "$(stat -c %Y "$mnt/7")"
ok 'tar' bounded tar -C "$mnt" -cf walked.tar 7 7.d
is 'packs all' "$(tar -tf walked.tar | wc -l)" "$(find "$mnt/7" "$mnt/7.d" | wc -l)"
if command -v rsync >/dev/null; then
    ok 'rsync' bounded rsync -a --exclude=.ctl "$mnt/" synced
    is 'copies all' "$(cd synced && find . -type f | wc -l)" "$(cd "$mnt" && find [0-9]* -type f | wc -l)"
    is 'and finds nothing to do then' "$(bounded rsync -ani --exclude=.ctl "$mnt/" synced)" ''
else
    skip 'rsync' 'rsync is not installed'
fi
chmod -R u+w walked synced 2>/dev/null
rm -rf walked walked.tar synced

# ---- its set goes, or is made anew ----

in_store() {
    find "$store" -mindepth 1 -maxdepth 1 -name "$1" | wc -l
}
gone_from_store() {
    [ "$(in_store '.removed-*')" -eq 0 ]
}
ok 'a set has been looked into' same "$mnt/8.d/ram/pc.ram" "$mnt/7.d/ram/pc.ram"
is 'it can be removed all the same' "$(sys unlink "$mnt/8")" 0
is 'N.d is gone with it' "$(sys stat "$mnt/8.d" : stat "$mnt/8.d/mem.raw")" 'ENOENT 2, ENOENT 2'
ok 'its space is given back' wait_for 'the files to go' gone_from_store
ok 'it is saved again' bounded cp stream "$mnt/8"
sum=$(sha256sum <"$mnt/8.d/mem.raw")
start_actor reader
is 'a file in it is open' "$(act reader open r rdonly "$mnt/8.d/mem.raw")" 0
is 'the set is removed meanwhile' "$(sys unlink "$mnt/8")" 0
is 'N.d is gone' "$(sys stat "$mnt/8.d")" 'ENOENT 2'
is 'the files are still there' "$(in_store '.removed-8-*')" 1
bounded sh -c 'echo 3 >/proc/sys/vm/drop_caches' 2>/dev/null
is 'who has it open reads it' \
    "$(sha256sum <"/proc/${actor_pid[reader]}/fd/$(find "/proc/${actor_pid[reader]}/fd" -lname '*mem.raw*' -printf '%f\n')")" "$sum"
ok 'another stream is saved under this number' bounded cp other "$mnt/8"
is 'N.d shows that' "$(stat -c %s "$mnt/8.d/ram/pc.ram")" $((500 * page))
is 'and the open file is the old one' \
    "$(stat -L -c %s "/proc/${actor_pid[reader]}/fd/$(find "/proc/${actor_pid[reader]}/fd" -lname '*mem.raw*' -printf '%f\n')")" \
    $((3000 * page))
is 'it is closed' "$(act reader close r)" 0
ok 'then its space is given back' wait_for 'the files to go' gone_from_store
is 'a file is open again' "$(act reader open r rdonly "$mnt/8.d/ram/pc.ram")" 0
ok 'the set is reset meanwhile' ctl reset 8
is 'an empty set has no N.d' "$(sys stat "$mnt/8" : stat "$mnt/8.d")" '0, ENOENT 2'
has 'the open file can be read' "$(act reader pread r 0 $((500 * page)))" $((500 * page))
is 'it is closed' "$(act reader close r)" 0
ok 'its space is given back' wait_for 'the files to go' gone_from_store
is 'a set is removed over the socket' "$(answer_to remove '{"fdset-id":0}')" '{"return":{}}'
is 'N.d is gone with it' "$(sys stat "$mnt/0" : stat "$mnt/0.d")" 'ENOENT 2, ENOENT 2'
ok 'and its space, though it was looked into' wait_for 'the files to go' gone_from_store

# ---- another header ----

save_with_header() {
    act reader open w wronly+creat "$mnt/5"
    act reader ftruncate w 4096
    bounded dd if=header-stream of="$mnt/5" bs=4096 skip=1 seek=1 conv=notrunc status=none
    act reader close w
} >/dev/null
save_with_header
becomes 'a set with a header is complete' 5 complete durable
is 'the header is a file' "$(stat -c %s "$mnt/5.d/header")" 4096
rewrite() {
    local i letter
    for ((i = 0; i < 20; i++)); do
        letter=a
        [ $((i % 2)) -eq 0 ] || letter=b
        [ "$(act reader open w wronly "$mnt/5"), $(act reader pwrite w 10 100 "$letter")" = '0, 100' ] &&
            [ "$(sys open f rdonly "$mnt/5.d/header" : pread f 10 100 "$letter")" = '0, 100' ] &&
            [ "$(act reader close w)" = 0 ] &&
            [ "$(sys open f rdonly "$mnt/5.d/header" : pread f 10 100 "$letter")" = '0, 100' ] || return 1
    done
}
ok 'it is never stale when it is rewritten' rewrite
becomes 'the set stays complete' 5 complete durable
is 'memory is still there' "$(sys open f rdonly "$mnt/5.d/ram/pc.ram" : pread f 0 4096)" '0, 4096'
end_actor reader

# libvirt_header MAGIC: version 2, XML of 4004 bytes behind its 92, format raw.
libvirt_header() {
    printf 'LibvirtQemud%s\2\0\0\0\244\17\0\0\0\0\0\0\0\0\0\0' "$1"
    head -c 60 /dev/zero
    printf '<domain/>'
}
# finished MAGIC: what info.json says when libvirt has put this in front.
finished() {
    libvirt_header "$1" | bounded dd of="$mnt/5" conv=notrunc status=none
    bounded sed -n 's/.*"finished" : \([a-z]*\).*/\1/p' "$mnt/5.d/info.json"
}
is 'a manager has not marked the file as finished' "$(finished Part)" false
is 'now it has' "$(finished Save)" true
is 'and info.json is told anew each time' "$(finished Part) $(finished Save)" 'false true'
becomes 'the set is complete all the time' 5 complete durable

# ---- many sets ----

base=$(count_descriptors)
many() {
    local i
    for ((i = 200; i < 260; i++)); do
        bounded cp other "$mnt/$i" || return 1
    done
}
ok '60 sets' many
ok 'are looked into' bounded find "$mnt" -name pc.ram -size +1
# A set that is looked into has its directory, map and channel open.
ok 'no more than some of them stay open' descriptors_are_at_most $((base + 16 * 4 + 60))
idle=$((base + 60))
ok 'and none when nobody looks' wait_for 'sets to be closed' descriptors_are_at_most "$idle"
ok 'they are removed' bounded rm "$mnt"/2??
ok 'their space is given back' wait_for 'the files to go' gone_from_store
ends_cleanly

# ---- damage ----

start_mount
is 'streaming: memory is the same after a restart' "$(sha256sum <"$mnt/12.d/mem.raw")" \
    "$(sha256sum <"$mnt/7.d/mem.raw")"
is 'streaming: and the index was not made again' "$(stat -c '%i %Y' "$index")" "$before"
is 'streaming: the set is removed' "$(sys unlink "$mnt/12")" 0
ok 'streaming: and all that was kept with it' wait_for 'the files to go' gone_from_store
pages=$(sed -n 's/.*"pages_offset" : "\(0x[0-9a-f]*\)".*/\1/p' "$mnt/7.d/info.json")
present=$(sys open f rdonly "$mnt/7.d/ram/pc.ram" : seek f $((1000 * page)) data)
present=${present#0, }
ok 'fdsetfs ends' stop_mount
flip "$store/7/ch-000" $((pages + present))
start_mount
is 'a flipped bit is EIO' "$(sys open f rdonly "$mnt/7.d/ram/pc.ram" : pread f "$present" 4096)" '0, EIO 5'
told 'the reason is told' 7 'does not match its digest: it was changed or damaged'
is 'it is in no copy' "$(bounded cat "$mnt/7.d/vmcore.elf" 2>&1 >/dev/null)" \
    "cat: $mnt/7.d/vmcore.elf: Input/output error"
ok 'channels/0 shows it as it is' same "$mnt/7.d/channels/0" "$store/7/ch-000"
flip "$store/7/ch-000" $((pages + present))
flip "$store/7/ch-000" 20
ok 'fdsetfs ends' stop_mount
start_mount
is 'when its stream cannot be read, the set can be listed' "$(sys stat "$mnt/7.d")" 0
is 'and what is inside it is EIO' "$(sys stat "$mnt/7.d/mem.raw")" 'EIO 5'
has 'the reason is told' "$(bounded tail -n 2 "$mnt/.ctl/last-error")" \
    '*fdset 7: *does not match its digest*fdset 7: cannot read stream header*'
flip "$store/7/ch-000" 20
is 'it is there again when the disk is' "$(sys stat "$mnt/7.d/mem.raw")" 0
ends_cleanly

# ---- other ways to serve it ----

start_mount -o ro
is 'ro: N.d is there' "$(cd "$mnt/7.d" && echo *)" "$files"
ok 'ro: and is read' test "$(sha256sum <"$mnt/7.d/mem.raw")" = "$sum"
ends_cleanly
start_mount -s
is '-s: N.d is there' "$(cd "$mnt/7.d" && echo *)" "$files"
ok '-s: and is read' test "$(sha256sum <"$mnt/7.d/mem.raw")" = "$sum"
ends_cleanly
start_mount -o rules=v4
start_actor looker
is 'rules=v4: who looks' "$(act looker open v rdonly "$mnt/7.d/mem.raw")" 0
is 'rules=v4: is not the one reader' "$(act looker open r rdonly "$mnt/7")" 0
is 'rules=v4: a second reader is' "$(sys open f rdonly "$mnt/7")" 'EACCES 13'
is 'rules=v4: nor is who looks then' "$(sys open f rdonly "$mnt/7.d/mem.raw")" 0
end_actor looker
ends_cleanly
done_testing
