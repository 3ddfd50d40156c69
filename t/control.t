#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The control socket: its name in the filesystem, QMP's wire format, commands,
# errors and events.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"
require_mount

# ---- the socket ----

start_mount
is 'it is in the store, for its owner alone' "$(stat -c '%F %a' "$socket")" 'socket 600'
is 'the mount says where it is' "$(get_xattr "$mnt" user.fdsetfs.control)" "$socket"
has 'it greets as QEMU does' "$(clients "$socket" talk </dev/null)" \
    '{"QMP":{"version":{"qemu":{"micro":*,"minor":*,"major":*},"package":"fdsetfs"},"capabilities":\[\]}}*'
mkdir other.store other.mnt
"$fdsetfs" -f -o "control=$socket" "$dir/other.store" "$dir/other.mnt" >other.log 2>&1
is 'a live one is refused' $? 4
has 'and the reason names it' "$(tail -n 1 other.log)" \
    "fdsetfs: $socket: another process answers at this control socket*"
echo data >plain.file
"$fdsetfs" -f -o "control=$dir/plain.file" "$dir/other.store" "$dir/other.mnt" >other.log 2>&1
is 'a file that is no socket is refused' $? 5
is 'and left alone' "$(cat plain.file)" data
has 'the daemon that was there goes on' "$(answer_to query-version)" '{"return":{"qemu":*'
kill_mount
ok 'a daemon that was killed leaves it behind' test -S "$socket"
start_mount
has 'a stale one is replaced' "$(answer_to query-version)" '{"return":{"qemu":*'
stop_mount
ok 'a daemon that ends takes it away' test ! -e "$socket"

deep=$dir/$(printf 'd%.0s' {1..200})
mkdir "$deep"
socket=$deep/$(printf 's%.0s' {1..200})
start_mount -o "control=$socket"
has 'a path longer than a socket address works' "$(answer_to query-version)" '{"return":{"qemu":*'
stop_mount
start_mount -o control=off
ok 'control=off: there is none' test ! -e "$store/control"
is 'and the mount names none' "$(get_xattr "$mnt" user.fdsetfs.control)" ''
stop_mount
start_mount -o ro
ok 'a read-only mount has none of itself' test ! -e "$store/control"
stop_mount
socket=$dir/control
start_mount -o ro,control="$socket"
has 'but where one is named' "$(desc_of remove '{"fdset-id":7}')" 'fdset 7: this mount is read-only'
stop_mount

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$dir"
    as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    start_mount -o control="$socket"
    is 'another user cannot connect' \
        "$(bounded "${as_nobody[@]}" "$top_builddir/t/control-clients" "$socket" talk </dev/null 2>&1)" \
        "control-clients: $socket: Permission denied"
    stop_mount
    start_mount -o control="$socket",control-uid=1234
    has 'one that control-uid does not name is told so' \
        "$(bounded "${as_nobody[@]}" "$top_builddir/t/control-clients" "$socket" talk </dev/null)" \
        '{"error":*"desc":"Permission denied: user 65534 may not use*'
    stop_mount
    start_mount -o control="$socket",control-uid=1234,control-uid=65534
    has 'one that it names is let in' \
        "$(bounded "${as_nobody[@]}" "$top_builddir/t/control-clients" "$socket" talk </dev/null)" \
        '{"QMP":*'
    stop_mount
else
    skip 'other users' 'not root, or no setpriv'
fi

# ---- negotiation and the wire format ----

socket=$store/control
start_mount
is 'before negotiation there is one command' \
    "$(converse '{"execute":"query-version"}')" \
    "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Expecting capabilities negotiation with 'qmp_capabilities'\",\"code\":\"usage\"}}"
is 'which is said once' \
    "$(converse "$negotiate" "$negotiate" | tail -n 1)" \
    '{"error":{"class":"CommandNotFound","desc":"Capabilities negotiation is already complete, command ignored","code":"usage"}}'
is 'no capability is offered' \
    "$(converse '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}' | sed 's/.*"desc":"//; s/".*//')" \
    'No capability can be enabled: none is offered'
is 'an unknown command has its class' "$(answer_to nothing)" \
    '{"error":{"class":"CommandNotFound","desc":"The command nothing has not been found","code":"usage"}}'
is 'an id comes back as it is' \
    "$(converse "$negotiate" '{"id":{"a":[1,null]},"execute":"query-sets"}' | tail -n 1)" \
    '{"return":[],"id":{"a":[1,null]}}'
is 'commands need no line ends, and answers keep their order' \
    "$(printf '%s{"execute":"query-sets","id":1}{"execute":"query-sets","id":2}' "$negotiate" |
        clients "$socket" talk | tr -d '\r' | tail -n 2)" \
    $'{"return":[],"id":1}\n{"return":[],"id":2}'
is 'a broken line gets an error and the next one is served' \
    "$(converse "$negotiate" '{"execute":' '{"execute":"query-sets"}' | tail -n 2)" \
    $'{"error":{"class":"GenericError","desc":"JSON parse error, the line ends inside a command","code":"usage"}}\n{"return":[]}'
is 'so does one that is too long' \
    "$(converse "$negotiate" "{\"execute\":\"$(printf 'x%.0s' {1..70000})\"}" '{"execute":"query-sets"}' | tail -n 2)" \
    $'{"error":{"class":"GenericError","desc":"JSON token size limit exceeded","code":"usage"}}\n{"return":[]}'
is 'a missing argument' "$(desc_of query-set)" "Parameter 'fdset-id' is missing"
is 'an unexpected one' "$(desc_of query-sets '{"x":1}')" "Parameter 'x' is unexpected"
is 'one of the wrong type' "$(desc_of query-set '{"fdset-id":"7"}')" \
    "Invalid parameter type for 'fdset-id', expected: integer"
is 'a negative number' "$(desc_of query-set '{"fdset-id":-1}')" \
    "Parameter 'fdset-id' expects a non-negative value"
is 'a number that no set can have' "$(desc_of query-set '{"fdset-id":4294967303}')" \
    "Parameter 'fdset-id' expects a value up to 2147483647"
is 'a word that is no choice' "$(desc_of wait '{"fdset-id":7,"state":"done"}')" \
    "Parameter 'state' does not accept value 'done'"
if command -v socat >/dev/null; then
    has 'a plain socat talks to it' \
        "$(printf '%s\r\n' "$negotiate" '{"execute":"query-version"}' |
            bounded socat -t 5 - "UNIX-CONNECT:$socket" | tail -n 1)" '{"return":{"qemu":*'
else
    skip 'a plain socat talks to it' 'socat is not installed'
fi
has 'the QMP client of these tests talks to it' \
    "$(bounded "$top_builddir/t/qmp" "$socket" query-version)" '{"qemu":*"package":"fdsetfs"}'
has 'commands are listed' "$(answer_to query-commands)" '*{"name":"query-version"}*{"name":"wait"}*'

# ---- sets ----

for command in query-set seal reset remove verify; do
    is "$command: no such set" "$(desc_of "$command" '{"fdset-id":7}')" 'fdset 7: no such set'
done
is 'wait: no such set' "$(desc_of wait '{"fdset-id":7,"state":"complete"}')" 'fdset 7: no such set'

start_actor vm
is 'a session begins' "$(act vm open main wronly+creat "$mnt/7")" 0
is 'it writes' "$(act vm pwrite main 0 100)" 100
has 'query-set shows it' "$(answer_to query-set '{"fdset-id":7}')" \
    '*"state":"writing"*"size":100*"bytes-written":100*"session":true,"sessions":1*"channel":0,"file":"ch-000","direct":false,"open":true,"main":true*"bytes-written":100*'
for command in seal reset verify; do
    is "$command: it is being written" "$(desc_of "$command" '{"fdset-id":7}')" \
        'fdset 7: is being written: wait until every channel is closed'
done
is 'wait: the timeout passes' "$(desc_of wait '{"fdset-id":7,"state":"complete","timeout":0.1}')" \
    'fdset 7: is not complete yet, and the timeout has passed'
has '.ctl/progress shows it' "$(cat "$mnt/.ctl/progress")" 'fdset 7: writing: * 1 channels'
mkfifo lines
clients "$socket" talk <lines >answers &
exec {lines}>lines
printf '%s\n' "$negotiate" '{"execute":"wait","arguments":{"fdset-id":7,"state":"durable"},"id":"w"}' \
    '{"execute":"query-sets","id":"q"}' >&"$lines"
answered() { grep -q "$1" answers; }
ok 'a client that waits is served meanwhile' wait_for 'its answer' answered '"id":"q"'
end_actor vm
ok 'a wait ends when the set becomes partial' wait_for 'its answer' answered '"id":"w"'
has 'with the reason' "$(grep '"id":"w"' answers)" '{"error":*"fdset 7: is partial: *"code":"truncated"}*'
has 'the event says it, too' "$(grep SET_PARTIAL answers)" \
    '{"timestamp":{"seconds":*,"microseconds":*},"event":"SET_PARTIAL","data":{"fdset-id":7,"reason":"*'
has 'wait: it is partial' "$(desc_of wait '{"fdset-id":7,"state":"complete"}')" 'fdset 7: is partial: *'
is 'seal: it is partial' "$(desc_of seal '{"fdset-id":7}')" \
    'fdset 7: is partial: only a complete set can be sealed'

make_stream stream.tmp 4096
start_actor vm
act vm open main wronly+creat "$mnt/8" >/dev/null
act vm ftruncate main 4096 >/dev/null
bounded dd if=stream.tmp of="$mnt/8" bs=4096 skip=1 seek=1 conv=notrunc status=none
end_actor vm
becomes 'a stream behind a header is whole' 8 durable
ok 'SESSION_STARTED is told' wait_for 'the event' answered '"event":"SESSION_STARTED","data":{"fdset-id":8}'
ok 'SET_COMPLETE is told' wait_for 'the event' answered '"event":"SET_COMPLETE","data":{"fdset-id":8}'
ok 'SET_DURABLE is told' wait_for 'the event' answered '"event":"SET_DURABLE","data":{"fdset-id":8}'
sys open f rdwr "$mnt/8" >/dev/null
ok 'OPEN_REFUSED is told with rule and reason' wait_for 'the event' answered \
    '"event":"OPEN_REFUSED","data":{"fdset-id":8,"rule":"read-write","reason":"fdset 8: an open for reading and writing'
exec {lines}>&-
has 'query-incidents has it, too' "$(answer_to query-incidents)" \
    '*"fdset-id":8,"rule":"read-write","errno":"Permission denied","reason":"fdset 8: an open*'
has 'wait: it is durable' "$(answer_to wait '{"fdset-id":8,"state":"durable"}')" \
    '{"return":{"fdset-id":8,"state":"durable","sealed":false,*'
has 'query-stats counts' "$(answer_to query-stats)" \
    '{"return":{"version":*"sets":{"writing":0,"partial":1,"complete":0,"durable":1,"damaged":0},"events":{"SESSION_STARTED":2,*"OPEN_REFUSED":2}}}'

has 'query-sets has states, bytes, times, rate, last error and channels' "$(answer_to query-sets)" \
    '{"return":\[{"fdset-id":7,*},{"fdset-id":8,"state":"durable",*"bytes-written":*"session-started":1*"session-ended":1*"durable-since":1*"session-bytes":*"rate":[1-9]*"last-error":"fdset 8: an open for reading and writing*"channels":\[{"channel":0,*},{"channel":1,"file":"ch-001","direct":false,"open":false,"main":false,"size":2278945,"bytes-written":2274849}\]}\]}'
has 'verify: all blocks match' "$(answer_to verify '{"fdset-id":8}')" \
    '{"return":{"fdset-id":8,"ok":true,"blocks":*,"mismatch-count":0,"mismatches":\[\]}}'
is 'the header is writable' "$(sys open f wronly "$mnt/8" : pwrite f 0 4096)" '0, 4096'
becomes 'it is durable again' 8 durable
has 'seal' "$(answer_to seal '{"fdset-id":8}')" '{"return":{}}'
is 'then it is not' "$(sys open f wronly "$mnt/8")" 'EACCES 13'
told 'and the reason says so' 8 'the set is sealed, its header too'
stop_mount
start_mount
is 'sealed is sealed after a restart' "$(sys open f wronly "$mnt/8")" 'EACCES 13'
has 'query-set says so' "$(answer_to query-set '{"fdset-id":8}')" '*"state":"durable","sealed":true*'
damage 8 $((4096 * 20)) 001
has 'verify finds a block that does not match' "$(answer_to verify '{"fdset-id":8}')" \
    '{"return":{"fdset-id":8,"ok":false,*"mismatch-count":1,"mismatches":\[{"offset":81920,"reason":"fdset 8: channel file ch-001: block 20 *'
is 'export needs a descriptor' "$(desc_of export '{"fdset-id":8}')" \
    'No file descriptor supplied via SCM_RIGHTS'

exec {old}<"$mnt/8"
is 'reset' "$(answer_to reset '{"fdset-id":8}')" '{"return":{}}'
has 'the set is empty' "$(stat -c %s "$mnt/8") $(state_of 8)" '0 partial'
is 'who has the old one open keeps it' "$(head -c 4096 <&"$old" | wc -c)" 4096
exec {old}<&-
converse "$negotiate" '{"execute":"wait","arguments":{"fdset-id":8,"state":"complete","timeout":15}}' \
    >waited &
waiting=$!
put_stream 8
ok 'it can be written again, and nothing old is read' same stream.tmp "$mnt/8"
wait "$waiting"
has 'a wait for a set that nobody had written ends when it is complete' "$(tail -n 1 waited)" \
    '{"return":{"fdset-id":8,"state":"*'
is 'reset again' "$(answer_to reset '{"fdset-id":8}')" '{"return":{}}'
converse "$negotiate" '{"execute":"wait","arguments":{"fdset-id":8,"state":"complete"}}' >waited &
waiting=$!
is 'remove' "$(answer_to remove '{"fdset-id":8}')" '{"return":{}}'
wait "$waiting"
has 'a wait for a set that was removed ends with an error' "$(tail -n 1 waited)" \
    '{"error":*"fdset 8: no such set","code":"not-found"}}'
ok 'the set is gone' test ! -e "$mnt/8"

# ---- the end ----

is 'quit is answered' "$(answer_to quit)" '{"return":{}}'
ok 'the daemon ends' wait_for 'fdsetfs to end' has_ended "$daemon_pid"
ok 'and has unmounted' test ! -e "$mnt/.ctl"
wait "$daemon_pid"
is 'with status 0' $? 0
forget "$daemon_pid"
daemon_pid=
start_mount -s
has 'with one thread it works as well' "$(answer_to query-sets)" '{"return":\[{"fdset-id":7,*'
is 'and quits' "$(answer_to quit)" '{"return":{}}'
ok 'the daemon ends again' wait_for 'fdsetfs to end' has_ended "$daemon_pid"
forget "$daemon_pid"
daemon_pid=

done_testing
