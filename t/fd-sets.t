#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Sets made of a manager's descriptors, on a real mount: each breach in its own
# words, at add-fd or at open(), in both profiles; what is shown, shared, kept
# and let go.
# shellcheck disable=SC2317 # ok calls functions by name
# shellcheck disable=SC2154 # socket, from control.sh

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"
require_mount
make_stream stream
dd if=/dev/zero of=direct bs=4096 count=1 oflag=direct status=none 2>/dev/null ||
    skip_all "no direct I/O in $dir (set TMPDIR)"

# control COMMAND [ARGUMENTS]...: an answer or an error of the control socket, one line.
control() {
    bounded "$top_builddir/t/qmp" "$socket" "$@" 2>&1
}

# add SET DESCRIPTOR: see t/qmp --help.
add() {
    bounded "$top_builddir/t/qmp" --fd "$2" "$socket" add-fd "{\"fdset-id\":$1}" 2>&1
}

# adds SET DESCRIPTOR...: all of them, or the first error.
adds() {
    local set=$1 descriptor
    shift
    for descriptor; do
        add "$set" "$descriptor" >added || { cat added; return 1; }
    done
}

# refuses CLAIM SET DESCRIPTOR TEXT: add-fd says why, and so do .ctl/last-error and the log.
refuses() {
    local text
    text=$(add "$2" "$3")
    has "$1" "$text" "qmp: add-fd: fdset $2: *$4*"
    has "$1: it is told" "$(bounded tail -n 1 "$mnt/.ctl/last-error")" "*Permission denied: fdset $2: *$4*"
}

# opens CLAIM SET FLAGS TEXT: the open is refused with EACCES and this reason.
opens_not() {
    is "$1" "$(sys open f "$3" "$mnt/$2")" 'EACCES 13'
    told "$1: the reason is told" "$2" "fdset $2: "
    has "$1: in its own words" "$(last_error_of "$2")" "*$4*"
}

# restart [OPTION]...
restart() {
    stop_mount || fail "fdsetfs ends before \"$*\""
    start_mount "$@"
}

forget_set() {
    control remove-fd "{\"fdset-id\":$1}" >/dev/null
}

# ---- QEMU's schemas and words ----

start_mount
has 'add-fd without a descriptor' "$(control add-fd)" '*No file descriptor supplied via SCM_RIGHTS'
has 'a negative number' "$(add -1 wronly+creat:a)" "*Parameter 'fdset-id' expects a non-negative value"
is 'no set: remove-fd' "$(control remove-fd '{"fdset-id":77}')" \
    "qmp: remove-fd: File descriptor named 'fdset-id:77' not found"
is 'no set: query-fdsets' "$(control query-fdsets)" '[]'
has 'a new set gets the lowest number' \
    "$(bounded "$top_builddir/t/qmp" --fd wronly+creat:a "$socket" add-fd '{"opaque":"mine"}')" \
    '{"fdset-id":0,"fd":*}'
fd=$(control query-fdsets | sed -n 's/.*"fd":\([0-9]*\).*/\1/p')
is 'query-fdsets shows it' "$(control query-fdsets)" \
    "[{\"fdset-id\":0,\"fds\":[{\"fd\":$fd,\"opaque\":\"mine\"}]}]"
is 'no such descriptor' "$(control remove-fd '{"fdset-id":0,"fd":999}')" \
    "qmp: remove-fd: File descriptor named 'fdset-id:0, fd:999' not found"
is 'remove-fd' "$(control remove-fd "{\"fdset-id\":0,\"fd\":$fd}")" '{}'
is 'the set goes with its last descriptor' "$(sys stat "$mnt/0")" 'ENOENT 2'
is 'and its directory' "$(find "$store" -maxdepth 1 -name '[0-9]*' | wc -l)" 0

# ---- what add-fd refuses ----

mkfifo fifo
mkdir directory
exec {same}>a
refuses 'a pipe' 1 rdwr:fifo 'a descriptor of a pipe (flags 0x2), *'
refuses 'a directory' 1 rdonly:directory 'a descriptor of a directory *'
refuses 'a device' 1 wronly:/dev/null 'a descriptor of a device *'
refuses 'O_RDWR' 1 rdwr:a 'a descriptor for reading and writing *'
refuses 'O_APPEND' 1 wronly+append:a 'a descriptor with O_APPEND *'
is 'no set came into being' "$(sys stat "$mnt/1")" 'ENOENT 2'
bounded cp stream "$mnt/9"
wait_for 'set 9' state_is_one_of 9 durable
refuses 'a file of this mount' 1 "rdonly:$mnt/9" 'a descriptor of a file on this very mount *'
refuses 'a set of the store' 9 wronly:a 'is a set whose files are in the store: *'
add 1 "$same" >/dev/null
refuses 'a duplicate' 1 "$same" 'a duplicate of a descriptor of this set *dup(2)*'
ok 'a second open of the file is none' adds 1 wronly:a
refuses 'read-only beside write-only' 1 rdonly:a 'a read-only descriptor *write-only ones*'
ok 'one with O_DIRECT' adds 1 wronly+direct:a
refuses 'a second one with O_DIRECT' 1 wronly+direct:a 'too many: exactly one has it *'
opens_not 'a source set refuses O_RDONLY' 1 rdonly 'write-only, for a source'
forget_set 1
adds 2 rdonly:stream
refuses 'write-only beside read-only' 2 wronly:stream 'a write-only descriptor *read-only ones*'
opens_not 'a destination set refuses O_WRONLY' 2 wronly 'read-only, for a destination'
opens_not 'a reader with O_DIRECT that nothing matches' 2 rdonly+direct 'O_DIRECT'
forget_set 2
exec {same}>&-

restart -o dio=off
refuses 'dio=off: O_DIRECT' 1 wronly+direct:a 'with O_DIRECT *dio=off*'
restart -o dio=on
adds 1 wronly:a
opens_not 'dio=on: the main channel without one with O_DIRECT' 1 wronly 'too few: dio=on*'
forget_set 1
adds 2 rdonly:stream
opens_not 'dio=on: a reader without one with O_DIRECT' 2 rdonly 'too few: dio=on*'
forget_set 2

restart -o rules=v4
adds 1 wronly:a
opens_not 'v4: one descriptor on the source' 1 wronly 'too few: rules=v4 needs exactly two*'
ok 'v4: the second' adds 1 wronly:a
ok 'v4: now it opens' sys open f wronly "$mnt/1"
refuses 'v4: a third' 1 wronly:a 'too many: rules=v4 has exactly two *'
forget_set 1
refuses 'v4: O_DIRECT on the destination' 2 rdonly+direct:stream 'rules=v4 has one plain *'
adds 2 rdonly:stream
refuses 'v4: a second one on the destination' 2 rdonly:stream 'too many: rules=v4 has exactly one *'
forget_set 2
restart -o rules=v4,dio=on
adds 1 wronly:a
refuses 'v4, dio=on: two without O_DIRECT' 1 wronly:a 'dio=on and rules=v4*'
forget_set 1

# ---- of one file ----

restart
rm -f a
before=$(count_descriptors)
is 'fdsetctl opens a file twice' "$(ctl add-fd --direct 7 saved | sed 's/descriptor [0-9]*/fd/')" \
    '7: fd is saved, write-only
7: fd is saved, write-only, O_DIRECT'
pattern 67644 >saved
cat stream >>saved
make_stream behind 67644
cp saved expected
dd if=behind of=expected bs=67644 skip=1 seek=1 conv=notrunc status=none
truncate -s "$(stat -c %s behind)" expected
start_actor vmm
act vmm open main wronly "$mnt/7" >/dev/null
act vmm open second wronly+direct "$mnt/7" >/dev/null
is 'the main channel says where the stream starts' "$(act vmm ftruncate main 67644)" 0
end_actor vmm
ok 'what is in front is still there' cmp -n 67644 saved expected
ok 'a copy that starts there' bounded dd if=behind of="$mnt/7" bs=67644 skip=1 seek=1 status=none
becomes() {
    ok "$1" wait_for "set $2 to be $3" state_is_one_of "$2" "$3"
}
becomes 'the save is complete' 7 durable
ok 'the file is the image' cmp saved expected
has 'its files are not verified' "$(ctl verify 7 2>&1)" '*is a file of its manager*'
has 'show says what it is made of' "$(ctl show 7)" '*backing: *file*'
is 'nor looked into here' "$(sys stat "$mnt/7.d")" 'ENOENT 2'
ok 'it can be exported' ctl export 7 exported
ok 'and that is the same' cmp exported expected
is 'nothing but the map and its manifest is in the store' \
    "$(find "$store/7" -type f -printf '%f\n' | sort | paste -sd ' ')" 'manifest map'
is 'remove-fd of fdsetctl' "$(ctl remove-fd 7; echo $?)" 0
ok 'fdsetctl, for a destination' ctl add-fd --destination --direct 7 saved
becomes 'what is in it is checked before it is read' 7 durable
ok 'reads give the file' same saved "$mnt/7"
is 'two readers, one with O_DIRECT' "$(sys open a rdonly "$mnt/7" : open b rdonly+direct "$mnt/7")" '0, 0'
start_actor reader
act reader open f rdonly "$mnt/7" >/dev/null
ctl remove-fd 7
is 'removed in use: no new opens' "$(sys open f rdonly "$mnt/7")" 'EACCES 13'
is 'query-fdsets shows no descriptor of it' "$(control query-fdsets)" '[{"fdset-id":7,"fds":[]}]'
is 'who has it open reads on' "$(act reader pread f 67644 4)" 4
end_actor reader
set_is_gone() { [ ! -e "$mnt/$1" ]; }
ok 'and the set goes with its last user' wait_for 'set 7 to go' set_is_gone 7

# ---- of several files ----

ok 'fdsetctl hands over three files' ctl add-fd 8 f0 f1 f2
start_actor vmm
for channel in main one two; do
    act vmm open $channel wronly "$mnt/8" >/dev/null
done
act vmm pwrite main 0 1 x >/dev/null
act vmm pwrite one 4096 1 y >/dev/null
act vmm pwrite two 8192 1 z >/dev/null
end_actor vmm
is 'each channel is in a file of its own' "$(tr -d '\0' <f2)$(tr -d '\0' <f1)$(tr -d '\0' <f0)" 'xyz'
forget_set 8
has 'the set stays, as its map does' "$(ctl show 8)" '*backing: *files*ch-002*'
opens_not 'without descriptors it cannot be read' 8 rdonly 'no descriptor is left'
refuses 'a file it was not saved into' 8 rdonly:stream 'a file that the set was not saved into'
ok 'the same files, read-only' ctl add-fd --destination 8 f1 f2 f0
is 'the map puts them together' "$(bounded tr -d '\0' <"$mnt/8")" xyz
restart
ok 'also after a restart' ctl add-fd --destination 8 f2 f0 f1
is 'they are known again' "$(bounded tr -d '\0' <"$mnt/8")" xyz
has 'and verified' "$(ctl verify 8)" '8: all 3 blocks match *'
printf Q | dd of=f1 bs=1 seek=4096 conv=notrunc status=none
has 'a file that was changed is found out' "$(ctl verify 8 2>&1)" '*does not match its digest*'
ok 'rm' ctl rm 8
ok 'the files stay' test -s f0 -a -s f1 -a -s f2

# ---- nothing leaks ----

restart
before=$(count_descriptors)
for _ in 1 2 3 4 5; do
    add 3 rdwr:f0 >/dev/null
    add 3 rdonly:directory >/dev/null
    adds 3 wronly:f0 wronly+direct:f0
    sys open f wronly "$mnt/3" : open g wronly+direct "$mnt/3" >/dev/null
    wait_for 'set 3' state_is_one_of 3 partial
    forget_set 3
done
ok 'the set is gone' wait_for 'set 3 to go' set_is_gone 3
ok 'after five rounds no descriptor is left' \
    wait_for 'as many descriptors as before' descriptors_are_at_most "$before"
is 'query-fdsets' "$(control query-fdsets)" '[]'
ends_cleanly
done_testing
