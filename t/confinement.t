#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The daemon that looks into a file is confined: what the kernel says of it, that
# everything is still shown, and that it is unmounted however it ends.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
require_mount
make_stream small 8192
store=$dir/small

# status_of FIELD: of the daemon.
status_of() {
    sed -n "s/^$1:[[:space:]]*//p" "/proc/$daemon_pid/status"
}

shows_all() {
    (cd "$mnt" && find . -type f -exec cat {} + >/dev/null) &&
        [ "$(stat -c %s "$mnt/ram/pc.ram")" -gt 0 ]
}

is_unmounted() { ! is_mounted; }

# ends_with SIGNAL
ends_with() {
    local pid=$daemon_pid
    kill -s "$1" "$pid"
    wait_for "fdsetfs to end" has_ended "$pid" && wait_for unmounting is_unmounted
    local status=$?
    daemon_pid=
    forget "$pid"
    wait "$pid"
    [ "$status" -eq 0 ]
}

start_mount -o cache-dir=off
ok 'every file is shown' shows_all
if log_has 'built without libseccomp'; then
    skip 'confined' 'built without libseccomp'
else
    is 'system calls are filtered' "$(status_of Seccomp)" 2
    is 'with two filters' "$(status_of Seccomp_filters)" 2
    is 'there are no new privileges' "$(status_of NoNewPrivs)" 1
    is 'and no capabilities' "$(status_of CapEff) $(status_of CapPrm)" '0000000000000000 0000000000000000'
    is 'nor has any thread' "$(cat "/proc/$daemon_pid/task/"*/status |
        sed -n 's/^CapEff:[[:space:]]*//p' | sort -u)" 0000000000000000
    is 'all threads are confined' "$(cat "/proc/$daemon_pid/task/"*/status | sed -n 's/^Seccomp:[[:space:]]*//p' | sort -u)" 2
fi
ok 'an unmount ends it' stop_mount

start_mount -o cache-dir=off
ok 'SIGTERM ends it, and it is unmounted' ends_with TERM
start_mount -o cache-dir=off
ok 'SIGHUP, too' ends_with HUP
start_mount -o cache-dir=off
ok 'when it dies its keeper unmounts' ends_with KILL

start_mount -o cache-dir=off
exec {held}<"$mnt/mem.raw"
ok 'a file that is still open does not keep it' ends_with TERM
exec {held}<&-

ok 'in the background it says when it is ready' bounded "$fdsetfs" -o cache-dir=off "$store" "$mnt"
ok 'and shows every file' shows_all
unmount
ok 'it goes' wait_for unmounting is_unmounted
mkdir elsewhere
ok 'a file that is no stream leaves no mount' eval '! bounded "$fdsetfs" -f "$top_srcdir/README.md" "$mnt" 2>refusal'
ok 'with its reason' grep -q 'no QEMU migration stream' refusal
ok 'and no mount stays' is_unmounted
nobody_is_left() { ! pgrep -f "$mnt" >/dev/null; }
ok 'no keeper is left' wait_for 'all of them to end' nobody_is_left
done_testing
