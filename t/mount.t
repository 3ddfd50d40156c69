#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# How fdsetfs starts, what it says when it cannot, and how it ends.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
unset G_SLICE                       # memory is measured here

require_mount
other_pid=
mkdir other not-a-store
mounts+=("$dir/other")
echo precious >not-a-store/file

# run ARGUMENT...: fdsetfs as a person starts it; its words go to "said", its status to $status.
run() {
    bounded "$fdsetfs" "$@" >said 2>&1 </dev/null
    status=$?
}

# refuses CLAIM STATUS TEXT ARGUMENT...
refuses() {
    local claim=$1 expected=$2 text=$3
    shift 3
    run "$@"
    if [ "$status" -eq "$expected" ] && grep -qF -e "$text" said && ! is_mounted; then
        pass "$claim"
    else
        fail "$claim" "status $status, expected $expected" "said: $(cat said)" "expected: $text"
    fi
    unmount
}

owner() {
    sed -n 's/^process \([0-9]*\) on .*/\1/p' "$store/lock"
}

# in_background [OPTION]...: a daemon that leaves the shell alone.
in_background() {
    run "$@" "$store" "$mnt"
    background_pid=$(owner)
    [ "$status" -eq 0 ] && is_mounted && own "$background_pid"
}

background_ends() {
    wait_for 'the daemon to end' has_ended "$background_pid" && ! is_mounted
}

# ---- the command line ----

run -h
is '-h: status 0' "$status" 0
has '-h: shows how to call it' "$(head -n 1 said)" 'usage: fdsetfs *STORE MOUNTPOINT'
run --help
is '--help: the same' "$status$(head -c 5 said)" 0usage
run -V
has '-V: name and version' "$status $(cat said)" '0 fdsetfs [0-9]*.[0-9]*'

refuses 'without operands' 2 'the store is missing (expected STORE MOUNTPOINT)'
refuses 'without a mount point' 2 'the mount point is missing' "$store"
refuses 'one operand too many' 2 'one operand too many: x' "$store" "$mnt" x
refuses 'an unknown option' 2 "\`-o nonsense'" -o nonsense "$store" "$mnt"
refuses 'an unknown switch' 2 "\`--bogus'" --bogus "$store" "$mnt"
refuses 'a wrong word for rules' 2 'option rules=x: expected one of: qemu, v4' \
    -o rules=x "$store" "$mnt"
refuses 'a wrong word for dio' 2 'option dio=yes: expected one of: auto, on, off' \
    -o dio=yes "$store" "$mnt"
refuses 'a wrong word for refuse' 2 'option refuse=: expected one of: open, write' \
    -o refuse= "$store" "$mnt"
refuses 'a wrong word for verify' 2 'option verify=on: expected one of: read, off' \
    -o verify=on "$store" "$mnt"
refuses 'a wrong word for create' 2 'option create=1: expected one of: yes, no' \
    -o create=1 "$store" "$mnt"
refuses 'a channel directory that is not there' 2 'option channel-dir=/nonexistent: not a directory' \
    -o channel-dir=/nonexistent "$store" "$mnt"

# ---- stores and mount points that are none ----

refuses 'a store that is not there' 3 'nowhere: cannot open this store: No such file or directory' \
    nowhere "$mnt"
refuses 'a file without a migration stream' 6 'not-a-store/file: no QEMU migration stream' \
    not-a-store/file "$mnt"
refuses 'a directory with something else in it' 6 'not-a-store: not a store: it has no file "store"' \
    not-a-store "$mnt"
is 'that is left alone' "$(ls -A not-a-store)$(cat not-a-store/file)" fileprecious
refuses 'an empty directory, read-only' 6 'store: not a store: it has no file "store"' \
    -o ro "$store" "$mnt"
refuses 'a mount point that is not there' 3 'nowhere: cannot mount here: No such file or directory' \
    "$store" nowhere
refuses 'a mount point that is a file' 1 'file: cannot mount here: Not a directory' \
    "$store" not-a-store/file
is 'an empty directory stays empty when it could not be mounted' "$(ls -A "$store")" ''
refuses 'the same in the foreground' 3 'nowhere: cannot mount here: No such file or directory' \
    -f "$store" nowhere

# ---- in the background ----

ok 'it goes to the background once it is mounted' in_background
is 'it says nothing then' "$(cat said)" ''
is 'it answers at once' "$(sys open f wronly+creat "$mnt/1" : pwrite f 0 100 : close f)" '0, 100, 0'
is 'it is a process of its own' "$(ps -o sid= -p "$background_pid" | tr -d ' ')" "$background_pid"
is 'it holds no directory' "$(readlink "/proc/$background_pid/cwd")" /
is 'it has let go of the terminal' \
    "$(readlink "/proc/$background_pid/fd/"[012] | sort -u)" /dev/null
read -r source point type options rest < <(grep -F " $mnt " /proc/mounts)
is 'the source in /proc/mounts is the store' "$source $point" "$store $mnt"
is 'its type is fuse.fdsetfs' "$type" fuse.fdsetfs
has 'modes are checked by the kernel' ",$options," '*,default_permissions,*'

refuses_second() {
    run "$@" "$store" other
    [ "$status" -eq 4 ] && ! is_mounted "$dir/other" &&
        grep -F "process $background_pid on $(uname -n)" said && grep -F -- '-o ro' said
}
ok 'a second writer of the store is refused, by the name of the first' refuses_second
ok 'in the foreground, too' refuses_second -f
is 'the first is still there' "$(sys stat "$mnt/1")" 0

for signal in TERM INT HUP; do
    kill -s "$signal" "$background_pid"
    ok "SIG$signal ends it, and unmounts" background_ends
    ok 'it can be mounted again' in_background
done
is 'unmounting: the command succeeds' "$(bounded umount "$mnt" 2>&1)" ''
ok 'unmounting ends the daemon' background_ends

relative() {
    run store mnt
    background_pid=$(owner)
    own "$background_pid"
    [ "$status" -eq 0 ] && is_mounted && kill "$background_pid" && background_ends
}
ok 'relative paths: SIGTERM unmounts, although the daemon has left the directory' relative

# Besides the control socket's, and one that newer GLibs start others with.
one_thread() {
    in_background -s && bounded cp said "$mnt/2" && same said "$mnt/2" &&
        [ "$(grep -Lx pool-spawner "/proc/$background_pid/task/"*/comm | wc -l)" -le 3 ] &&
        kill "$background_pid" && background_ends
}
echo one thread >said-by-one
ok '-s: it works with one thread' one_thread

start_mount -d
is '-d: it works' "$(sys open f wronly+creat "$mnt/3" : pwrite f 0 10 : close f)" '0, 10, 0'
has '-d: requests are in the log' "$(cat "$daemon_log")" '*CREATE*WRITE*RELEASE*'
ok '-d: it stays in the foreground and ends' stop_mount

# ---- as from fstab ----

mkdir bin
ln -s "$fdsetfs" bin/fdsetfs
# As mount(8) calls it, which would look for fdsetfs in the system's directories only.
mount_as_fstab() {
    PATH=$dir/bin:$PATH bounded "$1" "$store" "$mnt" -t fuse.fdsetfs \
        -o rw,defaults,noatime,nofail,_netdev,x-systemd.requires=/,rules=v4,dio=off,allow_other ||
        return 1
    background_pid=$(owner)
    own "$background_pid"
    is_mounted && grep -F " $mnt fuse.fdsetfs rw," /proc/mounts | grep allow_other
}
helper=$(PATH=/sbin:/usr/sbin:$PATH type -P mount.fuse3 mount.fuse | head -n 1)
if [ -n "$helper" ]; then
    ok 'mount -t fuse.fdsetfs mounts it' mount_as_fstab "$helper"
    unmount
    ok 'umount ends it' background_ends
else
    skip 'mount -t fuse.fdsetfs mounts it' 'mount.fuse is not installed'
    skip 'umount ends it' 'mount.fuse is not installed'
fi

# ---- auto_unmount ----

not_mounted() {
    ! is_mounted
}

# fusermount3 wakes when the dying daemon closes its end of a socket, and leaves the
# mount alone when /dev/fuse, which is closed after it, still answers: a race that is
# not ours, and that it loses now and then. Three in a row would be something else.
auto_unmounts() {
    local try
    for try in 1 2 3; do
        start_mount -o auto_unmount
        put_down "$daemon_pid"
        wait_limit=5 wait_for "it to go (try $try)" not_mounted && return
        kill_mount
    done
    return 1
}

ok 'auto_unmount: the mount goes with a daemon that is killed' auto_unmounts
kill_mount

# ---- -o ro beside a writer ----

# serve_other VARIABLE OPTION...: the store once more, at $dir/other.
serve_other() {
    spawn "$1" fdsetfs.other.log "$fdsetfs" -f "${@:2}" "$store" other
    wait_for 'the other mount' is_mounted "$dir/other"
}

make_stream stream
start_mount
bounded cp stream "$mnt/10"
becomes 'the writer completes a set' 10 durable
ok 'the store can be mounted read-only beside it' serve_other other_pid -o ro
ok 'it shows the set' same stream other/10
is 'it shows its state' "$(get_xattr other/10 user.fdsetfs.state)" durable
is 'it refuses to write' "$(sys open f wronly other/10)" 'EROFS 30'
is 'it refuses to make a set' "$(sys open f wronly+creat other/11)" 'EROFS 30'
is 'it refuses to remove one' "$(sys unlink other/10)" 'EROFS 30'
is 'it refuses to change one' "$(sys chmod other/10 644 : truncate other/10 0)" 'EROFS 30, EROFS 30'
start_actor writer
is 'the writer begins another set' "$(act writer open w wronly+creat "$mnt/12")" 0
is 'and writes' "$(act writer pwrite w 0 5000)" 5000
is 'read-only sees that it is being written' "$(get_xattr other/12 user.fdsetfs.state)" writing
is 'it does not read then' "$(sys open f rdonly other/12)" 'EBUSY 16'
is 'the writer is done' "$(act writer close w)" 0
end_actor writer
becomes 'the set is settled' 12 partial
reads_other() {
    [ "$(sys open f rdonly other/12 : pread f 0 10000)" = '0, 5000' ]
}
ok 'read-only sees that, too' wait_for 'it to be readable' reads_other
is 'the writer removes the set' "$(sys unlink "$mnt/12")" 0
is 'read-only sees that, too' "$(sys stat other/12)" 'ENOENT 2'
unmount "$dir/other"
ok 'the read-only daemon ends' wait_for 'it to end' has_ended "$other_pid"

# ---- what a restart keeps ----

pattern 300000 >partial
bounded cp partial "$mnt/20"
sys chmod "$mnt/10" 640 : chmod "$mnt/20" 444 >/dev/null
[ "$(id -u)" -ne 0 ] || sys chown "$mnt/20" 12345 23456 >/dev/null
touch -d '2001-02-03 04:05:06.789' "$mnt/10"
becomes 'the other set is settled, too' 20 partial
is 'close follows at once' "$(sys open w wronly+creat "$mnt/21" : pwrite w 10000 1 : close w)" '0, 1, 0'
all() {
    local name
    for name in 10 20 21; do
        wait_for 'it to settle' state_is_one_of "$name" partial durable
        stat -c '%n %s %b %u %g %a %Y %y %i' "$mnt/$name"
        get_xattr "$mnt/$name" user.fdsetfs.state
        get_xattr "$mnt/$name" user.fdsetfs.channels
        get_xattr "$mnt/$name" user.fdsetfs.stream_offset
        [ "$name" = 10 ] || get_xattr "$mnt/$name" user.fdsetfs.last_error
        echo
    done
}
wait_for 'everything to be on stable storage' grep -qF 'fdset 21: partial and on stable storage' \
    "$daemon_log"
before=$(all)
ok 'the daemon ends' stop_mount
start_mount
is 'a restart keeps sizes, owners, modes, times and states' "$(all)" "$before"
is 'the time of a set is what was set' "$(stat -c %y "$mnt/10" | cut -c 1-23)" '2001-02-03 04:05:06.789'
ok 'it keeps a complete set' same stream "$mnt/10"
ok 'it keeps a partial set' same partial "$mnt/20"
kill_mount
start_mount
is 'so does a restart after a kill' "$(all)" "$before"

# ---- ending in the middle of a session ----

start_actor writer
is 'a session runs' "$(act writer open w wronly+creat "$mnt/30")" 0
is 'it has written' "$(act writer pwrite w 0 123456 y)" 123456
ending_pid=$daemon_pid
kill "$ending_pid"
ok 'SIGTERM in its middle ends the daemon' wait_for 'it to end' has_ended "$ending_pid"
ok 'it unmounts' not_mounted
is 'the writer gets an error' "$(act writer pwrite w 0 1)" 'ENOTCONN 107'
end_actor writer
stop_mount
start_mount
becomes 'the set is there' 30 partial
is 'all that was acknowledged is there' \
    "$(sys open f rdonly "$mnt/30" : pread f 0 200000 y)" '0, 123456'

# ---- what it costs ----

ahead=/sys/class/bdi/$(mountpoint -d "$mnt")/read_ahead_kb
if [ -w "$ahead" ]; then
    is 'the kernel reads 256 KiB ahead' "$(cat "$ahead")" 256
else
    skip 'the kernel reads 256 KiB ahead' "$ahead cannot be written"
fi
devices() {
    find "/proc/$daemon_pid/fd" -lname /dev/fuse | wc -l
}
# Some requests at one time make some threads, each with a descriptor of its own.
for i in 1 2 3 4; do
    bounded dd if=/dev/zero of="$mnt/4$i" bs=1M count=64 status=none &
    loads[i]=$!
done
wait "${loads[@]}"
ok 'threads have descriptors of /dev/fuse of their own' test "$(devices)" -ge 2

# use N: opens and closes, for reading and for writing, and look-ups.
use() {
    local i
    for ((i = 0; i < $1; i++)); do
        printf '%s\n' "open r rdonly $mnt/10" 'pread r 0 100000' 'close r' \
            "open w wronly+trunc $mnt/50" 'pwrite w 0 10000' 'close w' \
            "open x wronly $mnt/10" "stat $mnt/10" "stat $mnt/99" "stat $mnt/50"
    done | sys | sort | uniq -c | sed 's/^ *//'
}
sys open w wronly+creat "$mnt/50" : close w >/dev/null
use 100 >/dev/null
idle=$(count_descriptors)
old=$(resident)
is 'opens and closes, many times' "$(use 400)" \
    $'2400 0\n400 10000\n400 100000\n400 EACCES 13\n400 ENOENT 2'
ok 'no descriptor is left open' wait_for 'descriptors to go' descriptors_are_at_most $((idle + 2))
# Threads, up to a dozen, touch their buffers one after the other; what is lost for good, a
# sanitizer finds.
ok 'memory does not grow' test "$(resident)" -le $((old + 32768))
is 'no channel file is left behind' "$(find "$store/50" -name 'ch-*' | wc -l)" 1
ends_cleanly
done_testing
