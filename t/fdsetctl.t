#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fdsetctl, as a person and as a script use it.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"
require_mount
make_stream stream

# fails CLAIM STATUS PATTERN COMMAND...: exact status, and what it says.
fails() {
    local claim=$1 status=$2 pattern=$3 text got
    shift 3
    text=$(ctl "$@" 2>&1)
    got=$?
    has "$claim" "$got ${text//$'\n'/ }" "$status *$pattern"
}

start_mount
is 'ls of nothing' "$(ctl ls)" 'SET  STATE  SIZE  DATA  CHANNELS  RATE  MODIFIED'
is 'import says when it is safe' "$(ctl import 7 stream)" '7: durable, 2.2 MiB'
ok 'what was imported is what is there' same stream "$mnt/7"
has 'ls shows it' "$(ctl ls | tail -n 1)" '7 *durable *2.2 MiB *2.2 MiB *1 *MiB/s *20*'
has 'ls --json is for scripts' "$(ctl --json ls | tr -d ' \n')" '\[{"fdset-id":7,"state":"durable",*'
has 'show' "$(ctl show 7)" '*state:          durable*stream starts:  0*sessions:       1*CHANNEL*ch-000 *'
is 'the socket does as well' "$(bounded "$top_builddir/fs/fdsetctl" -s "$socket" wait 7)" '7: durable, 2.2 MiB'

ok 'export' ctl export 7 out
ok 'what was exported is what was imported' cmp stream out
is 'it has the name it should have and no other' "$(find . -name 'out[^p]*' -o -name out)" ./out
is 'verify' "$(ctl verify 7 | sed 's/[0-9]* blocks/N blocks/')" '7: all N blocks match their digests'
is 'wait --durable' "$(ctl wait 7 --durable --timeout 5)" '7: durable, 2.2 MiB'

# The daemon is stopped, so the export cannot end; then its client is killed.
kill_export() {
    kill -s STOP "$daemon_pid"
    spawn export_pid export.log "$top_builddir/fs/fdsetctl" -s "$socket" export 7 exports/killed
    wait_for 'it to have begun' has_begun "$export_pid"
    put_down "$export_pid"
    kill -s CONT "$daemon_pid"
    wait "$export_pid" 2>/dev/null
    forget "$export_pid"
}
has_begun() {
    [[ $(readlink "/proc/$1/fd/"*) == *"/exports/"* ]]
}
mkdir exports
kill_export
is 'an export that is killed leaves nothing behind' "$(ls -A exports)" ''
has 'the daemon goes on' "$(ctl wait 7)" '7: durable*'

if command -v strace >/dev/null && [ "$(id -u)" -eq 0 ]; then
    traced_export() {
        spawn strace_pid strace.log strace -f -qq -e trace=copy_file_range -o trace -p "$daemon_pid"
        wait_for 'strace' is_traced && ctl export 7 out5 && end_process "$strace_pid" INT &&
            cmp stream out5
    }
    is_traced() {
        ! grep -q '^TracerPid:	0$' "/proc/$daemon_pid/status"
    }
    ok 'an export is traced' traced_export
    has 'the kernel copies it, and shares blocks where it can' "$(grep -c 'copy_file_range.* = [1-9]' trace)" '[1-9]*'
else
    skip 'the kernel copies an export' 'not root, or no strace'
fi

mkdir small
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=1m none small 2>/dev/null; then
    mounts+=("$dir/small")
    fails 'an export without space' 1 '*No space left on device*' export 7 small/out
    is 'leaves nothing behind' "$(ls -A small)" ''
    umount small
else
    skip 'an export without space' 'no tmpfs can be mounted'
fi

for command in 'wait 7' 'wait 7 --durable' 'show 7'; do
    # shellcheck disable=SC2086 # words
    has "$command --json" "$(ctl --json $command | tr -d ' \n')" '{"fdset-id":7,"state":"durable",*}'
done
has 'verify --json' "$(ctl --json verify 7 | tr -d ' \n')" '{"fdset-id":7,"ok":true,"blocks":*}'

truncate -s 300M sparse
dd if=stream of=sparse conv=notrunc status=none
fails 'import of a file that is no whole stream' 6 'fdset 8: is partial: *' import 8 sparse
is 'its size is right all the same' "$(stat -c %s "$mnt/8")" $((300 << 20))
ok 'export of it' ctl export 8 sparse.out
ok 'is the same' cmp sparse sparse.out
ok 'and has holes' test "$(stat -c %b sparse.out)" -lt 20000
fails 'import into a complete set' 5 '*Permission denied (fdset 7: *complete*' import 7 stream
has 'why says what to do' "$(ctl why 7)" '*answered with: Permission denied (rule: complete*what to do:*fdsetctl reset*'
is 'why of a set with nothing to say' "$(ctl why 9)" 'nothing was refused and nothing has failed'
has 'why --json' "$(ctl --json why 7 | tr -d ' \n')" '\[{"time":*"fdset-id":7,"rule":"complete*'

is 'import finds the mount of a socket' \
    "$(bounded "$top_builddir/fs/fdsetctl" -s "$socket" import 11 stream)" '11: durable, 2.2 MiB'
ctl rm 11
if command -v script >/dev/null; then
    has 'a terminal sees a screen' \
        "$(TERM=xterm bounded script -qec "$top_builddir/fs/fdsetctl -m $mnt watch --count 1 --interval 0.1" /dev/null </dev/null)" \
        $'\033[[]H\033[[]J''SET *'
    has 'and how far an import is' \
        "$(TERM=xterm bounded script -qec "$top_builddir/fs/fdsetctl -m $mnt import 12 stream" /dev/null </dev/null)" \
        '*import: 1.0 MiB of 2.2 MiB (46 %)*12: durable, 2.2 MiB*'
    ctl rm 12
else
    skip 'a terminal sees a screen' 'script is not installed'
    skip 'and how far an import is' 'script is not installed'
fi

sys open f rdwr "$mnt/7" >/dev/null
fails 'no such set' 3 'fdset 9: no such set' show 9
fails 'not a number' 2 'x: is not the number of a set*' show x
fails 'no such command' 2 'nonsense: there is no such command*' nonsense
if command -v socat >/dev/null; then
    # It greets, reads what is asked, and goes.
    printf '#!/bin/sh\necho "{\\"QMP\\":{}}"; head -c 10 >/dev/null\n' >deaf.sh
    chmod +x deaf.sh
    spawn deaf_pid deaf.log socat UNIX-LISTEN:"$dir/deaf" \
        SYSTEM:"$dir/deaf.sh"
    wait_for 'a socket' test -S "$dir/deaf"
    is 'a daemon that closes the connection' \
        "$(bounded "$top_builddir/fs/fdsetctl" -s "$dir/deaf" ls 2>&1 | tail -n 1; echo "${PIPESTATUS[0]}")" \
        $'fdsetctl: the daemon has closed the connection\n1'
    end_process "$deaf_pid"
else
    skip 'a daemon that closes the connection' 'socat is not installed'
fi
fails 'no operand' 2 'show: an operand is missing*' show
fails 'an option of another command' 2 'ls: does not take one of these options*' ls --durable
fails 'no such directory' 3 '*nowhere/out.*.part: cannot make it*' export 7 nowhere/out
is 'no daemon' "$(bounded "$top_builddir/fs/fdsetctl" -s "$dir/none" ls 2>&1; echo $?)" \
    "fdsetctl: $dir/none: cannot connect to the control socket: No such file or directory
3"
has 'not a mount' "$(bounded "$top_builddir/fs/fdsetctl" -m "$dir" ls 2>&1; echo $?)" '*is not the root of an fdsetfs*3'

start_actor vm
act vm open main wronly+creat "$mnt/10" >/dev/null
act vm pwrite main 0 1000 >/dev/null
fails 'reset of a set that is written' 4 '*is being written*' reset 10
has 'watch shows the channel' "$(ctl watch --count 2 --interval 0.2)" '*10 *writing *ch-000 *1000 bytes*'
# A channel that writes all the time, into one place.
write_on() {
    { echo "open f wronly+creat $mnt/20" && yes 'pwrite f 0 65536'; } | "$top_builddir/t/sys"
}
spawn load_pid /dev/null write_on
wait_for 'it to write' state_is_one_of 20 writing
has 'watch shows how fast a channel is' "$(ctl watch --count 5 --interval 0.3 | grep '^20 .* ch-000 ' | grep -c '[1-9][.0-9]* [KMGT]iB/s')" '[1-5]'
kill_children "$load_pid"
end_process "$load_pid"
wait_for 'it to settle' state_is_one_of 20 partial
spawn watching watched "$top_builddir/fs/fdsetctl" -m "$mnt" watch --interval 100
wait_for 'a look' grep -q '^SET ' watched
sys open f rdwr "$mnt/20" >/dev/null
ok 'watch shows events as they come' wait_for 'it' \
    grep -qE '^20.* fdset 20: OPEN_REFUSED  fdset 20: an open for reading and writing' watched
end_process "$watching"
ctl rm 20
fails 'wait gives up' 4 '*the timeout has passed' wait 10 --timeout 0.1
end_actor vm
fails 'a partial set is not waited for' 6 '*fdset 10: is partial*' wait 10

# What bash offers behind "fdsetctl WORD...".
# shellcheck disable=SC2034 # bash's own names
completed() {
    PATH=$top_builddir/fs:$PATH
    # shellcheck source=completions/fdsetctl
    . "$top_srcdir/completions/fdsetctl"
    COMP_WORDS=(fdsetctl "$@") COMP_CWORD=$#
    _fdsetctl
    echo "${COMPREPLY[*]}"
}
is 'bash completes the numbers of sets' "$(completed -m "$mnt" show '')" '7 8 10'
is 'and those that begin so' "$(completed -m "$mnt" rm 1)" 10
has 'and options' "$(completed -m "$mnt" wait 7 --d)" '--durable*'
ok 'seal' ctl seal 7
has 'a sealed set is shown as such' "$(ctl ls | tail -n +2 | head -n 1)" '7 *durable,sealed *'
damage 7 $((4096 * 30))
fails 'verify of a damaged set' 6 '*block 30 *1 of * blocks do not match*' verify 7
fails 'export of a damaged set' 6 '*block 30 *does not match its digest*' export 7 out2
is 'leaves no file, not even half a one' "$(echo out2*)" 'out2*'
echo old >out3
fails 'export of it over a file' 6 '*block 30 *does not match its digest*' export 7 out3
is 'leaves that as it was' "$(cat out3*)" old
ok 'reset' ctl reset 7
is 'makes it empty' "$(stat -c %s "$mnt/7")" 0
ok 'rm takes several' ctl rm 7 8 10
is 'and nothing is left' "$(ctl ls | wc -l)" 1
fails 'rm of none' 3 'fdset 7: no such set' rm 7

# ---- .ctl, which needs no socket ----

ctl import 7 stream >/dev/null
bounded cat "$mnt/.ctl/stats.json" >stats.json
has '.ctl/stats.json' "$(tr -d ' \n' <stats.json)" '{"version":*"sets":\[{"fdset-id":7,*"events":{*'
bounded cat "$mnt/.ctl/metrics" >scraped
# Every line a sample or a comment; each metric has HELP and TYPE before its samples.
# shellcheck disable=SC2016 # a program of awk
strict='
    /^# HELP [a-z_]+ [^\\]+$/ { help[$3] = 1; next }
    /^# TYPE [a-z_]+ (counter|gauge)$/ { if (!help[$3] || type[$3]) exit 1; type[$3] = $4; next }
    /^[a-z_]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? [0-9]+(\.[0-9]+)?$/ {
        name = $1; sub(/\{.*/, "", name)
        if (!type[name] || seen[$1]++) exit 1
        if (type[name] == "counter" && name !~ /_total$/) exit 1
        n++; next
    }
    { print "not of the format: " $0; exit 1 }
    END { if (n < 20) exit 1 }'
ok '.ctl/metrics is of the format, strictly' awk "$strict" scraped
if command -v promtool >/dev/null; then
    ok 'promtool finds nothing wrong' promtool check metrics <scraped
else
    skip 'promtool finds nothing wrong' 'promtool (package prometheus) is not installed'
fi
has 'a channel is counted' "$(grep ^fdsetfs_channel_written scraped)" \
    'fdsetfs_channel_written_bytes{fdset="7",channel="0",direct="0"} [1-9]*'
stop_mount
start_mount -o control=off
fails 'without a control socket' 3 '*is not the root of an fdsetfs that has a control socket*' ls
ok 'export works through the mount' ctl export 7 out4
ok 'and is the same' cmp stream out4
ok 'statistics are there' grep -q '"fdset-id" : 7' "$mnt/.ctl/stats.json"

# ---- a filesystem that can share blocks ----

mount_xfs() {
    truncate -s 512M xfs.image && mkfs.xfs -q -m reflink=1 xfs.image && mkdir xfs &&
        mount -o loop xfs.image xfs && mounts+=("$dir/xfs")
}
if [ "$(id -u)" -eq 0 ] && command -v mkfs.xfs filefrag >/dev/null && mount_xfs 2>/dev/null; then
    stop_mount
    mkdir xfs/store
    store=$dir/xfs/store
    start_mount
    is 'import into a store on XFS' "$(ctl import 7 stream)" '7: durable, 2.2 MiB'
    ok 'export within it' ctl export 7 xfs/out
    ok 'is the same' cmp stream xfs/out
    has 'and shares the blocks of the store' "$(filefrag -v xfs/out)" '*shared*'
else
    skip 'an export shares blocks' 'not root, no XFS, or no xfsprogs'
fi
ends_cleanly
done_testing
