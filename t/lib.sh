# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# lib.sh - what every shell story needs: TAP, a private directory, waiting for
# conditions, a mount, and a cleanup that cannot fail. For bash (arrays).
#
# A story sources it, states claims with ok, is and has, and ends with
# done_testing. It runs inside its private directory $dir, where relative paths
# are short enough for sockets. Nothing waits without a bound: wait_for has
# one, commands on the mount go through "bounded", and a watchdog ends a story
# that still hangs.
#
#   FDSETFS              the program (fs/fdsetfs of the build directory)
#   FDSETFS_PLAIN=1      stories use a plain directory in the place of the mount
#   FDSETFS_TEST_LIMIT   seconds until the watchdog ends a story (600)
#   FDSETFS_KEEP=1       leaves the private directory behind
#   FDSETFS_OPTIONS      more options for every fdsetfs that is started
#   TMPDIR               where private directories are made; a real disk (/var/tmp)

set -u
LC_ALL=C
export LC_ALL

wait_limit=30                       # seconds a condition may take to come true
story_limit=${FDSETFS_TEST_LIMIT:-600}
poll_interval=0.02
plain=${FDSETFS_PLAIN:-}

top_srcdir=${top_srcdir:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
if [ -z "${top_builddir:-}" ]; then
    top_builddir=$PWD
    [ -e "$top_builddir/config.status" ] || top_builddir=$top_srcdir
fi
fdsetfs=${FDSETFS:-$top_builddir/fs/fdsetfs}

# ---- TAP ----

tests_run=0
tests_failed=0
on_failure=()                       # functions that print what explains a failure

diag() {
    printf '%s\n' "$*" | sed 's/^/# /'
}

# diag_file NAME FILE: what is new in a log since it was last shown, 25 lines at most.
declare -A shown_bytes=()
diag_file() {
    local from=${shown_bytes[$2]:-0} size
    size=$(stat -c %s "$2" 2>/dev/null) || return 0
    [ "$size" -ne "$from" ] || return 0
    [ "$size" -gt "$from" ] || from=0
    shown_bytes[$2]=$size
    diag "--- $1:"
    tail -c "+$((from + 1))" "$2" | tail -n 25 | tr -cd '\11\12\40-\176' | sed 's/^/#     /'
}

pass() {
    tests_run=$((tests_run + 1))
    printf 'ok %d - %s\n' "$tests_run" "$1"
}

# fail CLAIM [WHY]...
fail() {
    local claim=$1 hook
    shift
    tests_run=$((tests_run + 1))
    tests_failed=$((tests_failed + 1))
    printf 'not ok %d - %s\n' "$tests_run" "$claim"
    [ $# -eq 0 ] || diag "$@"
    for hook in ${on_failure[@]+"${on_failure[@]}"}; do
        "$hook"
    done
}

# ok CLAIM COMMAND...: true when the command succeeds. It runs in this shell, so it
# may be a function that changes variables; what it prints is shown on failure.
ok() {
    local claim=$1 status
    shift
    "$@" >"$dir/output" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
        pass "$claim"
    else
        fail "$claim" "status $status: $*"
        unset "shown_bytes[$dir/output]"
        diag_file output "$dir/output"
    fi
}

# is CLAIM GOT EXPECTED
is() {
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1" "got:      $2" "expected: $3"
    fi
}

# has CLAIM TEXT PATTERN: true when TEXT matches the shell pattern.
has() {
    # shellcheck disable=SC2053 # a pattern is meant
    if [[ $2 == $3 ]]; then
        pass "$1"
    else
        fail "$1" "got:              $2" "expected pattern: $3"
    fi
}

skip() {
    tests_run=$((tests_run + 1))
    printf 'ok %d - %s # SKIP %s\n' "$tests_run" "$1" "$2"
}

skip_all() {
    printf '1..0 # SKIP %s\n' "$1"
    exit 0
}

bail_out() {
    printf 'Bail out! %s\n' "$1"
    exit 1
}

done_testing() {
    printf '1..%d\n' "$tests_run"
    [ "$tests_failed" -eq 0 ]
    exit
}

# ---- waiting ----

# bounded COMMAND...: an external command that may hang on a broken mount.
bounded() {
    timeout --kill-after=5 "$wait_limit" "$@"
}

# wait_for WHAT COMMAND...: polls until the command succeeds, at most $wait_limit seconds.
wait_for() {
    local what=$1 end=$((SECONDS + wait_limit))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            diag "waited $wait_limit s in vain for $what" >&2
            return 1
        fi
        sleep "$poll_interval"
    done
}

declare -A born=()                  # of each process of ours; see look_at

# look_at PID: the fields behind the name in /proc/PID/stat go to "process": the state, at 17 how
# many threads there are, and at 19 when it started. A number is used again soon (there are 32768),
# but not with the same start.
process=()
look_at() {
    local stat
    process=()
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra process <<<"${stat##*) }"
    [ "${#process[@]}" -gt 19 ]
}

# A zombie with other threads is still ending: files are open and locked until the last is gone.
is_running() {
    look_at "$1" && { [ "${process[0]}" != Z ] || [ "${process[17]}" -gt 1 ]; } &&
        [ "${process[19]}" = "${born[$1]:-${process[19]}}" ]
}

has_ended() {
    ! is_running "$1"
}

# ---- processes of ours ----

pids=()

# own PID: the cleanup will end it. Call it when the process has just been started.
own() {
    pids+=("$1")
    if look_at "$1"; then
        born[$1]=${process[19]}
    else
        born[$1]=gone
    fi
}

# send SIGNAL PID: to a process of ours, unless its number belongs to somebody else by now.
send() {
    is_running "$2" && kill -s "$1" "$2" 2>/dev/null
}

# spawn VARIABLE LOG COMMAND...: starts a process that the cleanup will end; its pid goes to VARIABLE.
spawn() {
    local -n spawned_pid=$1
    local log=$2
    shift 2
    "$@" >"$log" 2>&1 </dev/null &
    spawned_pid=$!
    own "$spawned_pid"
}

# end_process PID [SIGNAL]: asks, waits, then insists.
end_process() {
    send "${2:-TERM}" "$1"
    wait_for "process $1 to end" has_ended "$1" || put_down "$1"
    wait "$1" 2>/dev/null
    forget "$1"
}

forget() {
    local pid kept=()
    for pid in ${pids[@]+"${pids[@]}"}; do
        [ "$pid" = "$1" ] || kept+=("$pid")
    done
    pids=(${kept[@]+"${kept[@]}"})
    unset "born[$1]"
}

# put_down PID: at once, and without the shell's obituary.
put_down() {
    disown "$1" 2>/dev/null
    send KILL "$1"
    wait_for "process $1 to end" has_ended "$1"
}

# ---- the private directory and the end ----

# The stories must see a real disk: tmpfs has no O_DIRECT on older kernels.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/fdsetfs-XXXXXX") || bail_out "cannot make a private directory"
cd "$dir" || bail_out "cannot enter $dir"
mkdir store mnt
store=$dir/store
mnt=$dir/mnt
[ -z "$plain" ] || store=$mnt

mounts=("$mnt")                     # what the cleanup unmounts

# The next three: [MOUNTPOINT], which is $mnt where it is not given.
is_mounted() {
    grep -qF " ${1:-$mnt} " /proc/self/mountinfo
}

unmount() {
    is_mounted "${1:-$mnt}" || return 0
    timeout -k 5 10 fusermount3 -u "${1:-$mnt}" 2>/dev/null && return
    timeout -k 5 10 umount "${1:-$mnt}" 2>/dev/null
}

# As root also when a request is never answered: that aborts it.
unmount_by_force() {
    is_mounted "${1:-$mnt}" || return 0
    timeout -k 5 10 umount -f "${1:-$mnt}" 2>/dev/null && return
    fusermount3 -uz "${1:-$mnt}" 2>/dev/null || umount -l "${1:-$mnt}" 2>/dev/null
}

cleanup() {
    local pid mount status=$?
    trap - EXIT
    # A process of ours that a signal reaches before it has become its command has our traps.
    [ "$BASHPID" = $$ ] || exit "$status"
    trap '' INT TERM HUP
    [ -z "${watchdog_pid:-}" ] || kill "$watchdog_pid" 2>/dev/null
    # QEMUs first, the daemon last: what serves the mount ends after what uses it.
    for pid in ${pids[@]+"${pids[@]}"}; do
        [ "$pid" = "${daemon_pid:-}" ] || put_down "$pid"
    done
    for mount in "${mounts[@]}"; do
        unmount "$mount"
    done
    [ -z "${daemon_pid:-}" ] || put_down "$daemon_pid" || unmount_by_force
    for mount in "${mounts[@]}"; do
        unmount_by_force "$mount"
    done
    cd / || exit 1
    if [ -n "${FDSETFS_KEEP:-}" ]; then
        diag "kept: $dir"
    elif grep -qF " $dir/" /proc/self/mountinfo; then
        diag "still mounted, not removed: $dir"
    else
        rm -rf --one-file-system "$dir"
    fi
    exit "$status"
}
trap cleanup EXIT
trap 'diag "ended by a signal or the watchdog"; exit 1' INT TERM HUP

# kill_children PID: and theirs, but not the one that asks.
kill_children() {
    local child children=()
    read -ra children 2>/dev/null <"/proc/$1/task/$1/children"
    for child in ${children[@]+"${children[@]}"}; do
        [ "$child" != "$BASHPID" ] || continue
        kill_children "$child"
        kill -s KILL "$child" 2>/dev/null
    done
}

# bash runs the trap above only when its command in the foreground has ended,
# and that may hang on the mount: so everything below the story is killed.
watchdog() {
    own "$1"
    sleep "$story_limit" &
    trap 'kill $!; exit' TERM
    wait $!
    send TERM "$1" || exit
    kill_children "$1"
    # What still runs waits for a request that the daemon does not answer.
    sleep 5
    unmount_by_force
}
watchdog $$ </dev/null >/dev/null 2>&1 &
watchdog_pid=$!

# ---- the mount ----

daemon_pid=
daemon_runs=0                       # each run has a log of its own
daemon_log=$dir/fdsetfs.log

diag_daemon() {
    diag_file "log of fdsetfs" "$daemon_log"
}

# Skips the story where there is no FUSE at all.
require_mount() {
    [ -z "$plain" ] || return 0
    [ -x "$fdsetfs" ] || bail_out "$fdsetfs is not built"
    [ -e /dev/fuse ] || skip_all "this machine has no /dev/fuse"
    { : <>/dev/fuse; } 2>/dev/null || skip_all "/dev/fuse cannot be opened"
    [ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null ||
        skip_all "fusermount3 is not installed"
    command -v getfattr >/dev/null || skip_all "getfattr (package attr) is not installed"
    on_failure+=(diag_daemon)
}

mount_is_up() {
    is_mounted "$mnt" || ! is_running "$daemon_pid"
}

# shellcheck disable=SC2120 # most stories have no options
# start_mount [OPTION]...: serves $store at $mnt. With FDSETFS_PLAIN it does nothing.
start_mount() {
    [ -z "$plain" ] || return 0
    ! is_mounted || bail_out "already mounted"
    daemon_runs=$((daemon_runs + 1))
    daemon_log=$dir/fdsetfs.$daemon_runs.log
    # shellcheck disable=SC2086 # several words
    spawn daemon_pid "$daemon_log" "$fdsetfs" -f ${FDSETFS_OPTIONS:-} "$@" "$store" "$mnt"
    if ! wait_for "the mount" mount_is_up || ! is_mounted; then
        diag_daemon
        bail_out "fdsetfs did not mount"
    fi
}

# diag_threads PID: where each thread of a process is that should have ended.
diag_threads() {
    if command -v gdb >/dev/null; then
        timeout -k 5 30 gdb -p "$1" -batch -ex 'thread apply all backtrace 12' 2>/dev/null |
            grep -E '^(Thread|#)' | cut -c 1-160 | sed 's/^/#     /'
    else
        head /proc/"$1"/task/*/wchan | sed 's/^/#     /'
    fi
}

# stop_mount: unmounts; true when the daemon then ends by itself with status 0.
stop_mount() {
    local pid=$daemon_pid
    [ -n "$pid" ] || return 0
    wait_for "unmounting" unmount || unmount_by_force
    if ! wait_for "fdsetfs to end" has_ended "$pid"; then
        diag_threads "$pid" >&2
        send KILL "$pid"
    fi
    daemon_pid=
    forget "$pid"
    wait "$pid"
}

# kill_mount: the daemon dies at once, as by a crash; the mount point is free again.
kill_mount() {
    [ -n "$daemon_pid" ] || return 0
    put_down "$daemon_pid"
    forget "$daemon_pid"
    daemon_pid=
    wait_for "unmounting" unmount || unmount_by_force
}

# get_xattr FILE NAME: the value, or nothing.
get_xattr() {
    bounded getfattr --absolute-names --only-values -n "$2" "$1" 2>/dev/null
}

state_of() {
    get_xattr "$mnt/$1" user.fdsetfs.state
}

state_is_one_of() {
    local state set=$1 wanted
    shift
    state=$(state_of "$set")
    for wanted; do
        [ "$state" != "$wanted" ] || return 0
    done
    return 1
}

# becomes CLAIM SET STATE...: the set comes to one of the states. Not for a plain directory.
becomes() {
    local claim=$1 set=$2
    shift 2
    if [ -n "$plain" ]; then
        skip "$claim" "plain directory"
    elif wait_for "set $set to be $*" state_is_one_of "$set" "$@"; then
        pass "$claim"
    else
        fail "$claim" "state: $(state_of "$set")" \
            "last error: $(get_xattr "$mnt/$set" user.fdsetfs.last_error)"
    fi
}
