#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# .ctl/metrics and .ctl/stats.json, read by the parsers that their users have:
# prometheus_client's and Python's json. What they say is compared with what was
# done. Both are made at open(), and are there without the control socket.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
# shellcheck source=t/control.sh
. "$top_srcdir/t/control.sh"
require_mount

python=/usr/bin/python3             # Debian's own, for which the package is
"$python" -c 'import prometheus_client.parser' 2>/dev/null ||
    skip_all 'prometheus_client (package python3-prometheus-client) is not installed'

# samples FILE: each as "NAME{LABEL=VALUE,...} VALUE", sorted; fails where the parser does. A name
# that is no family's, a family without help or type, or one that comes twice, is an error, too.
samples() {
    "$python" - "$1" <<'END_OF_PYTHON'
import sys
from prometheus_client.parser import text_string_to_metric_families as parse

seen = set()
for family in parse(open(sys.argv[1], encoding="utf-8").read()):
    if not family.documentation or family.type not in ("counter", "gauge"):
        sys.exit("no help or type: " + family.name)
    if family.name in seen:
        sys.exit("twice: " + family.name)
    seen.add(family.name)
    for sample in family.samples:
        key = sample.name + str(sorted(sample.labels.items()))
        if key in seen:
            sys.exit("twice: " + key)
        seen.add(key)
        labels = ",".join("%s=%s" % label for label in sorted(sample.labels.items()))
        print("%s{%s} %.17g" % (sample.name, labels, sample.value))
END_OF_PYTHON
}

# scrape FILE: the metrics as they are now, in FILE and parsed in FILE.samples.
scrape() {
    bounded cat "$mnt/.ctl/metrics" >"$1" && samples "$1" >"$1.unsorted" &&
        sort "$1.unsorted" >"$1.samples"
}

# value FILE SAMPLE
value() {
    awk -v sample="$2" '$1 == sample { print $2 }' "$1.samples"
}

# stats EXPRESSION: of "s", what stats.json says now.
stats() {
    bounded cat "$mnt/.ctl/stats.json" |
        "$python" -c 'import json, sys; s = json.load(sys.stdin); print('"$1"')'
}

start_mount
ok 'metrics of an empty store parse' scrape empty
is 'there is no set in any state' \
    "$(grep '^fdsetfs_sets{' empty.samples | tr '\n' ' ')" \
    'fdsetfs_sets{state=complete} 0 fdsetfs_sets{state=damaged} 0 fdsetfs_sets{state=durable} 0 fdsetfs_sets{state=partial} 0 fdsetfs_sets{state=writing} 0 '
is 'stats.json is JSON, with no sets' "$(stats 's["sets"]')" '[]'

# One durable set, one partial, one being written by two channels.
put_stream 7
size=$(stat -c %s "$mnt/7")
sys open f wronly+creat "$mnt/8" : pwrite f 0 10000 : close f >/dev/null
wait_for 'set 8 to settle' state_is_one_of 8 partial
start_actor vm
act vm open main wronly+creat "$mnt/9" >/dev/null
act vm ftruncate main 4096 >/dev/null
act vm open second wronly+direct "$mnt/9" >/dev/null
is 'a channel writes' "$(act vm pwrite second 8192 1048576)" 1048576
sys open f rdwr "$mnt/7" : open g rdonly "$mnt/9" >/dev/null

ok 'metrics in the middle of a session parse' scrape busy
is 'each set is counted in its state' \
    "$(grep '^fdsetfs_sets{' busy.samples | grep -v ' 0$' | tr '\n' ' ')" \
    'fdsetfs_sets{state=durable} 1 fdsetfs_sets{state=partial} 1 fdsetfs_sets{state=writing} 1 '
is 'the size of a set' "$(value busy 'fdsetfs_set_size_bytes{fdset=7}')" "$size"
is 'what came through a channel' \
    "$(value busy 'fdsetfs_channel_written_bytes{channel=1,direct=1,fdset=9}')" 1048576
is 'all that was written' "$(value busy 'fdsetfs_written_bytes_total{}')" $((size + 10000 + 1048576))
is 'refusals' "$(value busy 'fdsetfs_events_total{event=OPEN_REFUSED}')" 2
is 'a set that became partial' "$(value busy 'fdsetfs_events_total{event=SET_PARTIAL}')" 1
is 'sessions' "$(value busy 'fdsetfs_events_total{event=SESSION_STARTED}')" 3
is 'the version is the program'"'"'s' "$(grep -c "^fdsetfs_build_info{version=$("$fdsetfs" -V |
    sed 's/.* //')} 1$" busy.samples)" 1

is 'stats.json says the same: states' \
    "$(stats '[(x["fdset-id"], x["state"]) for x in s["sets"]]')" \
    "[(7, 'durable'), (8, 'partial'), (9, 'writing')]"
is 'its bytes' "$(stats 's["bytes-written"]')" $((size + 10000 + 1048576))
is 'its channels' \
    "$(stats '[(c["channel"], c["main"], c["direct"], c["open"], c["bytes-written"]) for c in s["sets"][2]["channels"]]')" \
    '[(0, True, False, True, 0), (1, False, True, True, 1048576)]'
has 'its last errors' "$(stats 's["sets"][0]["last-error"]')" 'fdset 7: an open for reading and writing *'
is 'its times are in order' \
    "$(stats 's["started"] <= s["sets"][0]["session-started"] <= s["sets"][0]["session-ended"] <= s["sets"][0]["durable-since"]')" \
    True
has 'the progress of the session' "$(bounded cat "$mnt/.ctl/progress")" 'fdset 9: writing: * 2 channels'

# ---- made at open() ----

exec {old}<"$mnt/.ctl/metrics"
is 'more is written' "$(act vm pwrite second 1056768 1048576)" 1048576
cat <&"$old" >old
exec {old}<&-
samples old >old.samples
is 'who has it open reads what it was' \
    "$(value old 'fdsetfs_channel_written_bytes{channel=1,direct=1,fdset=9}')" 1048576
scrape new
is 'who opens it reads what it is' \
    "$(value new 'fdsetfs_channel_written_bytes{channel=1,direct=1,fdset=9}')" 2097152
falls() {
    join <(grep -E '_total\{' busy.samples) <(grep -E '_total\{' new.samples) | awk '$3 < $2'
}
is 'no counter has fallen' "$(falls)" ''
end_actor vm
wait_for 'set 9 to settle' state_is_one_of 9 partial

# ---- damage, and no socket ----

stop_mount
echo nonsense >"$store/8/manifest"
start_mount -o control=off
ok 'without a control socket metrics parse' scrape off
is 'a damaged set is counted' "$(value off 'fdsetfs_sets{state=damaged}')" 1
is 'a new daemon begins at 0' "$(value off 'fdsetfs_written_bytes_total{}')" 0
is 'sizes are what they were' "$(value off 'fdsetfs_set_size_bytes{fdset=7}')" "$size"
is 'stats.json names the damaged set' "$(stats '[x["state"] for x in s["sets"]]')" \
    "['durable', 'damaged', 'partial']"
ends_cleanly
done_testing
