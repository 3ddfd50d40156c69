# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# mount.sh - for stories on a real mount without a QEMU: system calls with their
# errnos, processes that hold descriptors, what the daemon said and left open.
# Sourced after lib.sh.
# shellcheck disable=SC2154 # from lib.sh

wait_limit=20
# shellcheck disable=SC2034 # for the watchdog
story_limit=${FDSETFS_TEST_LIMIT:-120}
export ASAN_OPTIONS="log_path=$dir/sanitizer:quarantine_size_mb=1:${ASAN_OPTIONS:-}"

[ "${top_builddir#/}" != "$top_builddir" ] || bail_out "top_builddir is not absolute"

# sys COMMAND [ARGUMENT]... [: COMMAND...]: see t/sys.c.
sys() {
    bounded "$top_builddir/t/sys" "$@"
}

# ---- actors: processes that hold descriptors ----

declare -A actor_in=() actor_out=() actor_pid=()

# start_actor NAME [WRAPPER...]: a "sys" that takes commands by "act".
start_actor() {
    local name=$1 in out pid
    shift
    rm -f "$name.in" "$name.out"
    mkfifo "$name.in" "$name.out"
    "$@" "$top_builddir/t/sys" <"$name.in" >"$name.out" 2>>actors.log &
    pid=$!
    exec {in}>"$name.in" {out}<"$name.out"
    actor_in[$name]=$in actor_out[$name]=$out actor_pid[$name]=$pid
    own "$pid"
}

# tell NAME COMMAND...: without waiting for the result.
tell() {
    local name=$1
    shift
    printf '%s\n' "$*" >&"${actor_in[$name]}"
}

# answer NAME: the next result.
answer() {
    local line='no answer'
    read -r -t "$wait_limit" -u "${actor_out[$1]}" line
    printf '%s\n' "$line"
}

# act NAME COMMAND...: the result.
act() {
    tell "$@"
    answer "$1"
}

# end_actor NAME [SIGNAL]: its descriptors are closed.
end_actor() {
    local in=${actor_in[$1]} out=${actor_out[$1]} pid=${actor_pid[$1]}
    # An empty line, as other processes may have the other end of its stdin, too.
    if [ $# -eq 1 ]; then
        printf '\n' >&"$in"
    else
        send "$2" "$pid"
    fi
    exec {in}>&-
    exec {out}<&-
    wait_for "actor $1 to end" has_ended "$pid"
    wait "$pid" 2>/dev/null
    forget "$pid"
    unset "actor_in[$1]" "actor_out[$1]" "actor_pid[$1]"
}

# ---- content ----

# pattern BYTES [SEED]: bytes that do not repeat and are the same every time.
pattern() {
    awk -v n="$1" -v seed="${2:-1}" 'BEGIN {
        srand(seed)
        for (i = 0; i < n / 8 + 1; i++) printf "%07x\n", int(rand() * 268435455)
    }' | head -c "$1"
}

# make_stream FILE [START [PAGES [plain]]]: a complete stream, see t/mkstream.c.
make_stream() {
    local file=$1
    shift
    "$top_builddir/t/mkstream" "$@" >"$file" || bail_out "cannot make a stream"
}

same() {
    bounded cmp "$1" "$2"
}

# flip FILE OFFSET: one bit is another.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # an octal escape
    printf "\\$(printf %o $((byte ^ 1)))" |
        dd of="$1" oflag=seek_bytes seek="$2" conv=notrunc status=none
}

# ---- what the daemon says ----

last_error_of() {
    get_xattr "$mnt/$1" user.fdsetfs.last_error
}

# log_has TEXT: some daemon of this story logged it.
log_has() {
    grep -qsF -e "$1" "$dir"/fdsetfs*.log
}

# told CLAIM SET TEXT: the reason is in the xattr, in .ctl/last-error and in the log.
told() {
    local where=() text
    text=$(last_error_of "$2")
    [[ $text == *"$3"* ]] || where+=("xattr: $text")
    text=$(bounded tail -n 1 "$mnt/.ctl/last-error")
    [[ $text == *"$3"* ]] || where+=("last-error: $text")
    log_has "$3" || where+=("it is not in the log")
    if [ "${#where[@]}" -eq 0 ]; then
        pass "$1"
    else
        fail "$1" "expected: $3" "${where[@]}"
    fi
}

# ---- what the daemon holds ----

# Without those of /dev/fuse, of which each thread has one.
count_descriptors() {
    find "/proc/$daemon_pid/fd" -mindepth 1 ! -lname /dev/fuse 2>/dev/null | wc -l
}

descriptors_are_at_most() {
    [ "$(count_descriptors)" -le "$1" ]
}

# resident KIB of the daemon
resident() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$daemon_pid/status"
}

# ends_cleanly: the last claims of a story.
ends_cleanly() {
    ok 'fdsetfs ends with status 0' stop_mount
    is 'no sanitizer complained' "$(cat "$dir"/sanitizer* 2>/dev/null |
        grep -E 'ERROR|runtime error' | head -n 3)" ''
    is 'fdsetfs logged nothing critical' "$(grep -h CRITICAL "$dir"/fdsetfs*.log | head -n 3)" ''
}
