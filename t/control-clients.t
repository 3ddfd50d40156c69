#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Many clients of the control socket, and bad ones: nobody stalls, nothing leaks.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"
require_mount

start_mount
put_stream 7
answer_to query-stats >/dev/null
before=$(count_descriptors)

is '64 clients at once are all answered' "$(clients "$socket" crowd 64)" '1280 of 1280'

mkfifo hold
"$top_builddir/t/control-clients" "$socket" silent 100 <hold >silent.out 2>&1 &
silent_pid=$!
own "$silent_pid"
exec {hold}>hold
is_ready() { grep -q ready silent.out; }
ok '100 clients ask and never read' wait_for 'them to be ready' is_ready
start=$(date +%s%N)
has 'another one is answered' "$(answer_to query-set '{"fdset-id":7}')" '{"return":{"fdset-id":7,*'
# They would stall it for good; the time is for a busy machine.
ok 'and need not wait for them' test $((($(date +%s%N) - start) / 1000000)) -lt 10000
ok 'the mount is not slower' same stream.tmp "$mnt/7"
ok 'the log tells of those that were dropped' wait_for 'the log' log_has 'does not read its answers: dropped'
an_event_is_dropped() {
    sys open f rdwr "$mnt/7" >/dev/null
    log_has 'does not read its events: dropping them'
}
ok 'events for those that do not read are dropped first' wait_for 'the log' an_event_is_dropped
exec {hold}>&-
wait "$silent_pid"
forget "$silent_pid"
ok 'their descriptors are closed' wait_for 'descriptors' descriptors_are_at_most "$before"

ok 'descriptors that no command takes are closed' clients "$socket" fds 16
ok 'more than there may be are no harm' clients "$socket" fds 200
ok 'which the log tells' wait_for 'the log' log_has 'are lost: too many at once'
ok 'nothing is left of them' wait_for 'descriptors' descriptors_are_at_most "$before"

if [ -n "${FDSETFS_FUZZ:-}" ]; then
    lines=$FDSETFS_FUZZ
else
    lines=10000
fi
is "$lines random and mutated lines are survived" \
    "$(wait_limit=200 clients "$socket" fuzz "${FDSETFS_SEED:-1}" "$lines")" "$lines"
ok 'the daemon lives' is_running "$daemon_pid"
ok 'what it serves is right' same stream.tmp "$mnt/7"
has 'and it knows' "$(answer_to verify '{"fdset-id":7}')" '{"return":{"fdset-id":7,"ok":true,*'
ok 'no descriptor has leaked' wait_for 'descriptors' descriptors_are_at_most "$before"

# ---- no descriptors left ----

highest=$(basename -a "/proc/$daemon_pid/fd/"* | sort -n | tail -n 1)
limits=$(prlimit --pid "$daemon_pid" --nofile --noheadings --output SOFT,HARD | awk '{ print $1 ":" $2 }')
prlimit --pid "$daemon_pid" --nofile="$((highest + 4)):${limits#*:}"
mkfifo hold2
"$top_builddir/t/control-clients" "$socket" silent 400 <hold2 >silent2.out 2>&1 &
silent_pid=$!
own "$silent_pid"
exec {hold}>hold2
ok 'a client is told when there are no descriptors left' wait_for 'the log' \
    log_has 'a client was turned away: Too many open files in fdsetfs'
is 'the mount goes on' "$(stat -c %s "$mnt/7")" "$(stat -c %s stream.tmp)"
exec {hold}>&-
wait "$silent_pid"
forget "$silent_pid"
has 'when there are some again the next one is served' "$(
    wait_for descriptors descriptors_are_at_most "$before"
    answer_to query-version
)" '{"return":{"qemu":*'
ok 'and nothing has leaked' wait_for 'descriptors' descriptors_are_at_most "$before"

# ---- one left, or none, when descriptors are handed over or sets opened ----

# nth_free N: the Nth lowest number that the daemon has no descriptor of.
nth_free() {
    comm -13 <(basename -a "/proc/$daemon_pid/fd/"* | sort) <(seq 3 "$((highest + 99))" | sort) |
        sort -n | sed -n "$1p"
}

# leave N: the daemon can open N more.
leave() {
    prlimit --pid "$daemon_pid" --nofile="$(nth_free $(($1 + 1))):${limits#*:}"
}

: >own.file
hand_over() {
    "$top_builddir/t/qmp" --fd wronly:own.file "$socket" add-fd '{"fdset-id":5}' 2>&1
}
idle=$(count_descriptors)
leave 1
is 'add-fd when its descriptor cannot be received says so' "$(hand_over)" \
    'qmp: add-fd: No file descriptor supplied via SCM_RIGHTS (one was lost: too many at once, or too many open files in fdsetfs)'
ok 'no set comes into being' test ! -e "$mnt/5"
leave 0
is 'an open that needs one' "$(sys open f wronly+creat "$mnt/6")" 'EIO 5'
ok 'the log has the reason' log_has "store/6: cannot open: Too many open files"
ok 'no set comes into being' test ! -e "$store/6"
is 'neither can another be read' "$(sys open f rdonly "$mnt/7" : stat "$mnt/7")" 'EIO 5, 0'
told 'and the reason is told' 7 'Too many open files'
prlimit --pid "$daemon_pid" --nofile="$limits"
is 'nothing has leaked' "$(count_descriptors)" "$idle"
is 'then it opens' "$(sys open f wronly+creat "$mnt/6" : pwrite f 0 10 : close f)" '0, 10, 0'
has 'and the descriptor is taken' "$(hand_over)" '{"fdset-id":5,"fd":*}'
is 'and given back' "$(answer_to remove-fd '{"fdset-id":5}')" '{"return":{}}'
rm "$mnt/6"
ok 'nothing is left of either' wait_for 'descriptors' descriptors_are_at_most "$idle"
ends_cleanly
done_testing
