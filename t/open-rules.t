#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The open rules at a real open(): who is refused, with which errno, and that the
# reason is told in the log, in .ctl/last-error and in an attribute of the set.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"

require_mount
make_stream plain-stream
make_stream offset-stream 4096

# refused CLAIM RESULT EXPECTED SET TEXT: the result of a call, and the reason told for it.
refused() {
    is "$1: ${3% *}" "$2" "$3"
    told "$1: the reason is told" "$4" "fdset $4: $5"
}

# restart [OPTION]...
restart() {
    stop_mount || fail "fdsetfs ends before \"$*\""
    start_mount "$@"
}

# fill SET FILE
fill() {
    bounded cp "$2" "$mnt/$1" &&
        wait_for "set $1 to settle" state_is_one_of "$1" partial complete durable
}

# ---- rules=qemu, dio=auto ----

start_mount
is 'a new number is refused O_RDWR' "$(sys open f rdwr+creat "$mnt/1")" 'EACCES 13'
is 'and no set comes into being' "$(sys stat "$mnt/1")" 'ENOENT 2'
has 'the reason is in .ctl/last-error' "$(bounded tail -n 1 "$mnt/.ctl/last-error")" \
    '20??-??-??T??:??:??Z Permission denied: fdset 1: an open for reading and writing (flags 0x2), a channel is write-only and a reader read-only: open it with O_WRONLY or O_RDONLY'
is 'nor with O_APPEND' "$(sys open f wronly+creat+append "$mnt/1" : stat "$mnt/1")" \
    'EACCES 13, ENOENT 2'
is 'nor with O_DIRECT, as the first is main' \
    "$(sys open f wronly+creat+direct "$mnt/1" : stat "$mnt/1")" 'EACCES 13, ENOENT 2'

attributes() {
    getfattr -m user.fdsetfs --absolute-names "$mnt/$1" | sed '/^#/d;/^$/d;s/^user.fdsetfs.//' |
        sort | paste -sd ' '
}
fill 2 plain-stream
is 'a complete set has no last error at first' "$(attributes 2)" 'channels state stream_offset'
is 'a refusal' "$(sys open f wronly "$mnt/2")" 'EACCES 13'
is 'gives it one' "$(attributes 2)" 'channels last_error state stream_offset'
fill 3 "$top_srcdir/t/lib.sh"
refused 'O_RDWR' "$(sys open f rdwr "$mnt/3")" 'EACCES 13' 3 \
    'an open for reading and writing (flags 0x2), a channel is write-only and a reader read-only: open it with O_WRONLY or O_RDONLY'
refused 'O_RDWR|O_TRUNC' "$(sys open f rdwr+trunc "$mnt/3")" 'EACCES 13' 3 \
    'an open for reading and writing (flags 0x202), a channel is'
refused 'O_APPEND' "$(sys open f wronly+append "$mnt/3")" 'EACCES 13' 3 \
    'an open with O_APPEND (flags 0x401), channels write at offsets of their own: open it without O_APPEND'
refused 'O_RDONLY|O_TRUNC' "$(sys open f rdonly+trunc "$mnt/3")" 'EACCES 13' 3 \
    'an open for reading with O_TRUNC (flags 0x200), truncation is a write: open it with O_WRONLY'
refused 'a main channel with O_DIRECT' "$(sys open f wronly+direct "$mnt/3")" 'EACCES 13' 3 \
    'the main channel with O_DIRECT (flags 0x4001), the first open of a session is the main channel, which writes unaligned: open it without O_DIRECT, and only the secondary channels with it'
ok 'none of them changed the set' same "$top_srcdir/t/lib.sh" "$mnt/3"
has 'attributes cannot be set' "$(setfattr -n user.x -v y "$mnt/3" 2>&1)" '*Operation not supported'

start_actor main
start_actor vmm
is 'O_TRUNC is allowed to main' "$(act main open m wronly+creat+trunc "$mnt/3")" 0
is 'and truncates' "$(stat -c %s "$mnt/3")" 0
is 'a secondary channel comes from another process' "$(act vmm open s wronly "$mnt/3")" 0
is 'one more is alike' "$(act main open t wronly "$mnt/3")" 0
refused 'one that is not alike' "$(sys open f wronly+direct "$mnt/3")" 'EACCES 13' 3 \
    "a secondary channel with O_DIRECT (flags 0x4001), but this session's first secondary channel had it not: all must be alike"
refused 'a reader in a session' "$(sys open f rdonly "$mnt/3")" 'EBUSY 16' 3 \
    'an open for reading (flags 0x0), the set is being written: wait until every channel is closed'
refused 'a second O_TRUNC' "$(sys open f wronly+trunc "$mnt/3")" 'EBUSY 16' 3 \
    'a second open with O_TRUNC (flags 0x201), somebody is saving into this set: a second VMM has to use another number'
is 'main writes' "$(act main pwrite m 0 8192)" 8192
refused 'ftruncate of another channel' "$(act vmm ftruncate s 0)" 'EBUSY 16' 3 \
    'a truncation by a channel that is not the main one (flags 0x1), somebody is saving into this set: a second VMM has to use another number'
is 'that channel is out: its writes fail' "$(act vmm pwrite s 0 4096 z)" 'EBUSY 16'
refused 'truncate by name' "$(sys truncate "$mnt/3" 0)" 'EBUSY 16' 3 \
    'a truncation by a channel that is not the main one'
is 'it closes' "$(act vmm close s)" 0
is 'main truncates' "$(act main ftruncate m 4096)" 0
is 'it closes, too' "$(act main close m), $(act main close t)" '0, 0'
is 'only what main wrote is there' "$(sys open f rdonly "$mnt/3" : pread f 0 10000 x)" '0, 4096'

is 'of two untouched channels' "$(act main open m wronly+trunc "$mnt/3"), $(act main ftruncate m 0)" '0, 0'
act main close m >/dev/null
is 'opened plainly' "$(act main open m wronly "$mnt/3"), $(act vmm open s wronly "$mnt/3")" '0, 0'
is 'the one that truncates first becomes main' "$(act vmm ftruncate s 4096)" 0
is 'the other one is refused then' "$(act main ftruncate m 4096)" 'EBUSY 16'
is 'both close' "$(act main close m), $(act vmm close s)" '0, 0'

is 'a session of a direct secondary' \
    "$(act main open m wronly "$mnt/3"), $(act main ftruncate m 0), $(act vmm open s wronly+direct "$mnt/3")" '0, 0, 0'
is 'takes aligned writes' "$(act vmm pwrite s 4096 8192)" 8192
refused 'one without O_DIRECT' "$(sys open f wronly "$mnt/3")" 'EACCES 13' 3 \
    "a secondary channel without O_DIRECT (flags 0x1), but this session's first secondary channel had it: all must be alike"
is 'both close' "$(act main close m), $(act vmm close s)" '0, 0'
is 'the next session is free again' \
    "$(act main open m wronly "$mnt/3"), $(act vmm open s wronly "$mnt/3")" '0, 0'
is 'both close' "$(act main close m), $(act vmm close s)" '0, 0'

# ---- complete sets ----

ok 'a complete set' fill 4 plain-stream
becomes 'it settles' 4 complete durable
refused 'a writer of it' "$(sys open f wronly "$mnt/4")" 'EACCES 13' 4 \
    'an open for writing (flags 0x1), the set is complete and does not change any more: save into another number, or remove this one first (rm)'
refused 'O_TRUNC' "$(sys open f wronly+trunc "$mnt/4")" 'EACCES 13' 4 \
    'an open for writing (flags 0x201), the set is complete'
refused 'truncate by name' "$(sys truncate "$mnt/4" 0)" 'EACCES 13' 4 \
    'an open for writing (flags 0x1), the set is complete'
ok 'it is as it was' same plain-stream "$mnt/4"

is 'a set with a header' "$(act main open m wronly+creat "$mnt/5"), $(act main ftruncate m 4096)" '0, 0'
ok 'is written behind it' bounded dd if=offset-stream of="$mnt/5" bs=4096 skip=1 seek=1 conv=notrunc status=none
is 'by a manager, too' "$(act main pwrite m 0 100 h), $(act main close m)" '100, 0'
becomes 'it is complete' 5 complete durable
is 'its stream starts behind the header' "$(get_xattr "$mnt/5" user.fdsetfs.stream_offset)" 4096
is 'its header may be rewritten' "$(act main open m wronly "$mnt/5"), $(act main pwrite m 0 16 H)" '0, 16'
refused 'not by two at one time' "$(sys open f wronly "$mnt/5")" 'EBUSY 16' 5 \
    'a second writer (flags 0x1), the header of this complete set is being rewritten: wait until that is closed'
refused 'a write behind the header' "$(act main pwrite m 4090 16)" 'EACCES 13' 5 \
    'a write at offset 4090 of a complete set: only the header, 4096 bytes in front of the stream, may still be rewritten'
refused 'ftruncate' "$(act main ftruncate m 4096)" 'EACCES 13' 5 \
    'a truncation of a complete set: save into another number, or remove this one first (rm)'
is 'it can be read meanwhile' "$(sys open f rdonly "$mnt/5" : pread f 0 16 H)" '0, 16'
is 'it is done' "$(act main close m)" 0
refused 'O_TRUNC of a set with a header' "$(sys open f wronly+trunc "$mnt/5")" 'EACCES 13' 5 \
    'an open with O_TRUNC (flags 0x201), the set is complete, only the header in front of its stream may be rewritten: remove the set first (rm) to save into it again'
becomes 'it is complete all the time' 5 complete durable

# ---- readers ----

is 'a reader, and more with O_DIRECT' "$(sys open a rdonly "$mnt/4" : open b rdonly+direct "$mnt/4" : \
    open c rdonly+direct "$mnt/4" : open d rdonly "$mnt/4" : pread c 4096 4096)" '0, 0, 0, 0, 4096'
# As a restore by libvirt's own helper: one reader, and with O_DIRECT.
is 'a single reader with O_DIRECT' "$(sys open f rdonly+direct "$mnt/4" : pread f 4096 4096)" '0, 4096'

# ---- a manager comes back to its header while the VMM has its channels open ----

# The order of libvirt and QEMU: header, plain and direct descriptor, stream, header again.
is 'a manager writes its header' "$(act main open m wronly+creat "$mnt/7"), $(act main pwrite m 0 4096 P)" '0, 4096'
is 'and opens the set once more, with O_DIRECT' "$(act main open d wronly+direct "$mnt/7")" 0
is 'the VMM starts its stream behind the header' "$(act main ftruncate m 4096), $(act main pwrite d 4096 4096 s)" '0, 4096'
is 'the manager opens it a third time, plainly' "$(act vmm open h wronly "$mnt/7")" 0
is 'it rewrites its header' "$(act vmm pwrite h 0 4096 S), $(act vmm pwrite h 4000 96 S)" '4096, 96'
refused 'a write by it behind the header' "$(act vmm pwrite h 4090 7)" 'EACCES 13' 7 \
    'a write at offset 4090 beside channels with O_DIRECT: only the header, 4096 bytes in front of the stream, may still be rewritten'
refused 'its ftruncate' "$(act vmm ftruncate h 4096)" 'EBUSY 16' 7 \
    'a truncation by a channel that is not the main one (flags 0x1)'
is 'the VMM goes on' "$(act main pwrite d 8192 4096 s), $(act main close m), $(act main close d), $(act vmm close h)" \
    '4096, 0, 0, 0'
becomes 'the set settles' 7 partial
is 'it has both' "$(bounded head -c 4097 "$mnt/7" | tr -d S)" s

# ---- 256 channels ----

is 'the main channel' "$(act main open m wronly+creat "$mnt/6")" 0
for ((i = 1; i <= 255; i++)); do
    tell vmm open "s$i" wronly "$mnt/6"
done
opened=$(for ((i = 1; i <= 255; i++)); do answer vmm; done | sort | uniq -c | sed 's/^ *//')
is 'and 255 more can be open' "$opened" '255 0'
refused 'the 256th' "$(sys open f wronly "$mnt/6")" 'EACCES 13' 6 \
    'one more secondary channel (flags 0x1), 255 are open, as many as multifd-channels allows: close some first'
is 'one is closed' "$(act vmm close s7)" 0
is 'another can be opened' "$(act vmm open s7 wronly "$mnt/6")" 0
end_actor vmm
is 'main is done' "$(act main close m)" 0
becomes 'the set settles' 6 partial

# ---- dio=on ----

restart -o dio=on
start_actor vmm
is 'dio=on: main is plain' "$(act main open m wronly "$mnt/6")" 0
refused 'dio=on: a plain secondary' "$(sys open f wronly "$mnt/6")" 'EACCES 13' 6 \
    "a secondary channel without O_DIRECT (flags 0x1), but dio=on: set the VMM's direct-io parameter on, or mount with dio=auto or dio=off"
is 'dio=on: a direct secondary' "$(act vmm open s wronly+direct "$mnt/6")" 0
is 'they close' "$(act main close m), $(act vmm close s)" '0, 0'
is 'dio=on: readers' "$(sys open a rdonly "$mnt/4" : open b rdonly+direct "$mnt/4")" '0, 0'

# ---- dio=off ----

restart -o dio=off
is 'dio=off: main and a plain secondary' \
    "$(act main open m wronly "$mnt/6"), $(act vmm open s wronly "$mnt/6")" '0, 0'
refused 'dio=off: a direct secondary' "$(sys open f wronly+direct "$mnt/6")" 'EACCES 13' 6 \
    "a secondary channel with O_DIRECT (flags 0x4001), but dio=off: set the VMM's direct-io parameter off, or mount with dio=auto or dio=on"
is 'they close' "$(act main close m), $(act vmm close s)" '0, 0'
is 'dio=off: a plain reader' "$(act main open a rdonly "$mnt/4")" 0
refused 'dio=off: a direct reader' "$(sys open f rdonly+direct "$mnt/4")" 'EACCES 13' 4 \
    "a reader with O_DIRECT (flags 0x4000), but dio=off: set the VMM's direct-io parameter off, or mount with dio=auto or dio=on"
is 'it closes' "$(act main close a)" 0

# ---- rules=v4 ----

restart -o rules=v4
is 'v4: main truncates as it opens' "$(act main open m wronly+creat+trunc "$mnt/6")" 0
is 'v4: a direct secondary' "$(act vmm open s wronly+direct "$mnt/6")" 0
refused 'v4: a plain one beside it' "$(sys open f wronly "$mnt/6")" 'EACCES 13' 6 \
    "a secondary channel without O_DIRECT (flags 0x1), but this session's"
is 'they close' "$(act main close m), $(act vmm close s)" '0, 0'
is 'v4: one reader' "$(act main open a rdonly "$mnt/4")" 0
refused 'v4: a second one' "$(sys open f rdonly "$mnt/4")" 'EACCES 13' 4 \
    'a second reader (flags 0x0), rules=v4 has one file description on the destination: share it, or mount with rules=qemu'
is 'v4: the file description can be shared' "$(act main dup a b), $(act main close a), $(act main pread b 0 4096)" '0, 0, 4096'
is 'it closes' "$(act main close b)" 0
refused 'v4: a direct reader' "$(sys open f rdonly+direct "$mnt/4")" 'EACCES 13' 4 \
    'a reader with O_DIRECT (flags 0x4000), rules=v4 has one plain read-only file description: open it without O_DIRECT, or mount with rules=qemu'
is 'v4: the next reader' "$(sys open f rdonly "$mnt/4")" 0

# ---- refuse=write ----

for rules in qemu v4; do
    restart -o "rules=$rules,dio=on,refuse=write"
    title="refuse=write, rules=$rules"
    is "$title: main" "$(act main open m wronly+trunc "$mnt/6")" 0
    is "$title: a secondary that breaks a rule opens" "$(act vmm open s wronly "$mnt/6")" 0
    told "$title: the reason is told" 6 'fdset 6: a secondary channel without O_DIRECT (flags 0x1), but dio=on'
    is "$title: its first write fails" "$(act vmm pwrite s 0 4096)" 'EACCES 13'
    is "$title: and all others" "$(act vmm pwrite s 4096 1)" 'EACCES 13'
    is "$title: as does its truncation" "$(act vmm ftruncate s 0)" 'EACCES 13'
    is "$title: fsync and close do not" "$(act vmm fsync s), $(act vmm close s)" '0, 0'
    is "$title: main goes on" "$(act main pwrite m 0 100)" 100
    is "$title: a secondary as it should be writes" \
        "$(act vmm open s wronly+direct "$mnt/6"), $(act vmm pwrite s 4096 4096), $(act vmm close s)" \
        '0, 4096, 0'
    is "$title: a reader is refused at open" "$(sys open f rdonly "$mnt/6")" 'EBUSY 16'
    is "$title: so is a second VMM" "$(sys open f wronly+trunc "$mnt/6")" 'EBUSY 16'
    is "$title: main closes" "$(act main close m)" 0
    is "$title: a main channel that breaks a rule is refused at open" \
        "$(sys open f wronly+direct "$mnt/6")" 'EACCES 13'
    is "$title: so is a writer of a complete set" "$(sys open f wronly "$mnt/4")" 'EACCES 13'
    is "$title: what was written is there" \
        "$(sys open f rdonly "$mnt/6" : pread f 0 100 x : pread f 4096 9999 x)" '0, 100, 4096'
done

# ---- an open that is interrupted while it waits ----

restart
wait_for 'sets to settle' state_is_one_of 6 partial
idle=$(count_descriptors)
# A writer that has flushed is about to be closed: who opens now waits for that.
is 'a writer flushes' "$(act main open m wronly "$mnt/6"), $(act main pwrite m 0 100), \
$(act main dup m n), $(act main close n)" '0, 100, 0, 0'
waits() {
    grep -qs fuse "/proc/${actor_pid[$1]}/wchan" "/proc/${actor_pid[$1]}/stack" ||
        [ "$(sed 's/.*) //' "/proc/${actor_pid[$1]}/stat" | cut -c 1)" = D ]
}
for signal in TERM KILL; do
    for flags in rdonly wronly; do
        start_actor victim
        tell victim open v "$flags" "$mnt/6"
        wait_for 'it to wait' waits victim
        ok "an open with $flags that waits is interrupted by SIG$signal" end_actor victim "$signal"
    done
done
is 'the writer goes on' "$(act main pwrite m 100 100), $(act main close m)" '100, 0'
becomes 'the session ends with it' 6 partial
ok 'no descriptor is left open' wait_for 'descriptors to go' descriptors_are_at_most "$idle"
is 'the set can be used' "$(sys open f rdonly "$mnt/6" : pread f 0 9999)" '0, 8192'
end_actor main
end_actor vmm
ends_cleanly
done_testing
