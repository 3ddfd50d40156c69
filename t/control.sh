# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# control.sh - for stories that talk to the control socket. Sourced after mount.sh.
# shellcheck disable=SC2154 # from lib.sh and mount.sh

socket=$store/control
negotiate='{"execute":"qmp_capabilities"}'

clients() {
    bounded "$top_builddir/t/control-clients" "$@"
}

# converse LINE...: all lines at once; what comes back, without the greeting.
converse() {
    printf '%s\n' "$@" | clients "$socket" talk | tr -d '\r' | tail -n +2
}

# answer_to COMMAND [ARGUMENTS]: its answer, one line of JSON.
answer_to() {
    converse "$negotiate" "{\"execute\":\"$1\"${2:+,\"arguments\":$2}}" | tail -n 1
}

# desc_of COMMAND [ARGUMENTS]: the description of its error.
desc_of() {
    answer_to "$@" | sed -n 's/.*"desc":"\(.*\)","code".*/\1/p; t; s/.*"desc":"\(.*\)"}}$/\1/p'
}

ctl() {
    bounded "$top_builddir/fs/fdsetctl" -m "$mnt" "$@"
}

# put_stream SET [START [PAGES]]: a complete set.
put_stream() {
    local set=$1
    shift
    make_stream stream.tmp "$@"
    bounded cp stream.tmp "$mnt/$set" || bail_out "cannot fill set $set"
    wait_for "set $set to be durable" state_is_one_of "$set" durable || bail_out "set $set"
}

# damage SET OFFSET [CHANNEL]: one byte of a channel's file, by default the first's.
damage() {
    printf '\245' | dd of="$store/$1/ch-${3:-000}" bs=1 seek="$2" conv=notrunc status=none
}
