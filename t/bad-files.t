#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each file of the corpus of bad ones through a mount: refused with its exit
# status and its reason, without a mount left behind; or, where its head is
# whole, shown with a warning, and everything that is shown can be read.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"
require_mount
mkdir bad
"$top_builddir/t/badfile" "$dir/bad" >cases || bail_out 'the files cannot be made'
ok 'there are more than sixty of them' test "$(wc -l <cases)" -ge 60

is_mounted() {
    grep -q " $mnt fuse" /proc/self/mounts
}

# refused NAME STATUS WORDS: where the stream is, is told, but for libvirt's header.
refused() {
    local text got=0 options=cache-dir=off
    [[ $1 == libvirt-* ]] || options+=,offset=0
    text=$(bounded "$fdsetfs" -f -o "$options" "$dir/bad/$1" "$mnt" 2>&1) || got=$?
    [ "$got" -eq "$2" ] && [[ $text == *"$dir/bad/$1: "*"$3"* ]] && ! is_mounted && return
    printf 'status %d, expected %d: %s\n' "$got" "$2" "$text"
    return 1
}

reads_all() {
    (cd "$mnt" && find . -type f -size -100M -exec cat {} + >/dev/null) && bounded python3 -c '
import json, sys
for name in sys.argv[1:]:
    json.load(open(name))' "$mnt/info.json" "$mnt/devices.json"
}

# shown NAME WORDS
shown() {
    store=$dir/bad/$1
    rm -f "$dir"/fdsetfs*.log
    start_mount -o cache-dir=off
    reads_all && log_has "$2"
    local status=$?
    stop_mount && [ "$status" -eq 0 ]
}

while IFS=$'\t' read -r name status words; do
    if [ "$status" -eq 0 ]; then
        ok "$name is shown with a warning" shown "$name" "$words"
    else
        ok "$name is refused" refused "$name" "$status" "$words"
    fi
done <cases
is 'no sanitizer complained' "$(cat "$dir"/sanitizer* 2>/dev/null |
    grep -E 'ERROR|runtime error' | head -n 3)" ''
done_testing
