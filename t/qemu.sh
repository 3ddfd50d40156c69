# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# qemu.sh - virtual machines for stories that migrate through a file. Sourced
# after lib.sh. A machine has a name; its files in the private directory are
# NAME.qmp, NAME.serial and NAME.log. Guests run our own boot sector under TCG.
# shellcheck disable=SC2154 # from lib.sh

qemu=${QEMU:-qemu-system-x86_64}
guest_memory=64                     # MiB
video_hole_start=$((0xa0000))       # not memory: VGA and SMRAM
video_hole_end=$((0xc0000))
stream_magic=5145564d               # "QEVM"

declare -A vm_pid=()

require_qemu() {
    local version
    command -v "$qemu" >/dev/null || skip_all "$qemu is not installed"
    version=$("$qemu" --version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p')
    printf '9.1\n%s\n' "$version" | sort -C -V || skip_all "QEMU $version is older than 9.1"
    on_failure+=(diag_machines)
}

# A disk that has no direct I/O cannot show it.
require_direct_io() {
    dd if=/dev/zero of=direct bs=4096 count=1 oflag=direct status=none 2>/dev/null ||
        skip_all "no direct I/O in $dir (set TMPDIR)"
    rm -f direct
}

diag_machines() {
    local name
    for name in ${vm_pid[@]+"${!vm_pid[@]}"}; do
        diag_file "log of QEMU $name" "$name.log"
    done
}

# ---- a machine ----

# start_vm NAME [QEMU-OPTION]...: boots NAME.img, or else the common guest.
start_vm() {
    local name=$1 pid disk=boot.img
    shift
    [ ! -e "$name.img" ] || disk=$name.img
    [ -e "$disk" ] || "$top_builddir/t/bootsector" "$disk" || bail_out "no boot sector"
    rm -f "$name.serial" "$name.qmp"
    spawn pid "$name.log" "$qemu" -name "$name" -accel tcg -machine q35 -m "$guest_memory" \
        -nodefaults -no-user-config -display none -device VGA \
        -drive "if=none,id=boot,format=raw,file=$disk,file.locking=off" -device ide-hd,drive=boot,cyls=1,heads=1,secs=1 \
        -chardev "file,id=serial,path=$name.serial" -serial chardev:serial \
        -qmp "unix:$name.qmp,server=on,wait=off" "$@"
    vm_pid[$name]=$pid
}

# start_source NAME [QEMU-OPTION]...: returns when the guest works.
start_source() {
    start_vm "$@"
    wait_for "the guest of $1" guest_says "$1" AB || bail_out "the guest of $1 does not start"
}

# start_destination NAME [QEMU-OPTION]...: paused, waits for migrate_incoming.
start_destination() {
    start_vm "$@" -incoming defer -S
}

quit_vm() {
    local pid=${vm_pid[$1]}
    qmp "$1" quit >/dev/null 2>&1
    end_process "$pid"
    unset "vm_pid[$1]"
}

# qmp NAME ARGUMENTS...: see t/qmp --help.
qmp() {
    local name=$1
    shift
    if ! is_running "${vm_pid[$name]}"; then
        printf 'QEMU %s has died\n' "$name" >&2
        return 1
    fi
    "$top_builddir/t/qmp" --timeout "$wait_limit" "$name.qmp" "$@"
}

run_state() {
    qmp "$1" query-status | sed -n 's/.*"status":"\([a-z-]*\)".*/\1/p'
}

# guest_says NAME TEXT: the serial port has printed it.
guest_says() {
    grep -qsF "$2" "$1.serial"
}

guest_progress() {
    stat -c %s "$1.serial" 2>/dev/null || echo 0
}

guest_went_beyond() {
    [ "$(guest_progress "$1")" -gt "$2" ] || has_ended "${vm_pid[$1]}"
}

# is_alive NAME: the guest prints now.
is_alive() {
    wait_for "the guest of $1 to print" guest_went_beyond "$1" "$(guest_progress "$1")" &&
        is_running "${vm_pid[$1]}"
}

# ---- migration ----

# set_migration NAME [mapped-ram] [multifd=CHANNELS] [direct-io] [PARAMETER=NUMBER]...: what is
# not named is off, or without a limit.
set_migration() {
    local name=$1 word mapped=false multifd=false
    local -A parameters=([direct-io]=false [max-bandwidth]=$((1 << 40)))
    shift
    for word; do
        # shellcheck disable=SC2034 # set_parameters takes the array
        case $word in
            mapped-ram) mapped=true ;;
            multifd=*) multifd=true parameters[multifd-channels]=${word#*=} ;;
            direct-io) parameters[direct-io]=true ;;
            *=*) parameters[${word%%=*}]=${word#*=} ;;
            *) bail_out "set_migration: $word?" ;;
        esac
    done
    qmp "$name" migrate-set-capabilities "{\"capabilities\":[
        {\"capability\":\"pause-before-switchover\",\"state\":false},
        {\"capability\":\"mapped-ram\",\"state\":$mapped},
        {\"capability\":\"multifd\",\"state\":$multifd}]}" >/dev/null &&
        set_parameters "$name" parameters
}

# set_parameters NAME ARRAY: an associative array of numbers and booleans.
set_parameters() {
    local -n values=$2
    local key json=
    for key in "${!values[@]}"; do
        json+=,\"$key\":${values[$key]}
    done
    qmp "$1" migrate-set-parameters "{${json#,}}" >/dev/null
}

# start_migration NAME URI
start_migration() {
    qmp "$1" migrate "{\"uri\":\"$2\"}" >/dev/null
}

# wait_migration NAME [STATUS[,STATUS]]
wait_migration() {
    qmp "$1" --wait-migration "${2:-completed}" >/dev/null
}

# save NAME URI: whole, to the end.
save() {
    start_migration "$1" "$2" && wait_migration "$1"
}

migration_status() {
    qmp "$1" query-migrate | sed -n 's/.*"status":"\([a-z-]*\)".*/\1/p'
}

migration_ram() {
    qmp "$1" query-migrate | sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p"
}

rounds_reach() {
    [ "$(migration_ram "$1" dirty-sync-count)" -ge "$2" ]
}

# set_capability NAME CAPABILITY true|false
set_capability() {
    qmp "$1" migrate-set-capabilities \
        "{\"capabilities\":[{\"capability\":\"$2\",\"state\":$3}]}" >/dev/null
}

goes_round() {
    [ "$(migration_status "$1")" = pre-switchover ] || rounds_reach "$1" 4
}

# start_endless NAME URI: a live save that goes round and round over changing memory until
# end_live; returns in the fourth round. The first round must take QEMU longer than the 100 ms
# after which it knows the bandwidth, or it ends there. Where a round finds less changed than
# 1 ms of writing, as may happen on a busy machine, the save stops before its last step.
start_endless() {
    set_capability "$1" pause-before-switchover true &&
        qmp "$1" migrate-set-parameters '{"downtime-limit":1,"max-bandwidth":134217728}' \
            >/dev/null &&
        start_migration "$1" "$2" &&
        wait_for "a fourth round" goes_round "$1"
}

# is_saving NAME: in the middle of start_endless and end_live.
is_saving() {
    [[ $(migration_status "$1") == @(active|pre-switchover) ]]
}

# end_live NAME: lets a live save come to its end.
end_live() {
    qmp "$1" migrate-set-parameters '{"downtime-limit":60000}' >/dev/null &&
        wait_migration "$1" pre-switchover &&
        qmp "$1" migrate-continue '{"state":"pre-switchover"}' >/dev/null &&
        wait_migration "$1"
}

# save_live NAME URI: whole, while the guest works.
save_live() {
    start_endless "$1" "$2" && end_live "$1"
}

# restore NAME URI: into a destination; returns when the memory is there, still paused.
restore() {
    qmp "$1" migrate-incoming "{\"uri\":\"$2\"}" >/dev/null && wait_migration "$1"
}

# ---- comparing ----

# dump NAME: guest memory to NAME.memory. The machine must not run.
dump() {
    qmp "$1" pmemsave "{\"val\":0,\"size\":$((guest_memory << 20)),\"filename\":\"$1.memory\"}" \
        >/dev/null
}

# same_memory NAME NAME: of two dumps, but for the video hole.
same_memory() {
    cmp -n "$video_hole_start" "$1.memory" "$2.memory" &&
        cmp -i "$video_hole_end" "$1.memory" "$2.memory"
}

# bytes_at FILE OFFSET COUNT: in hex.
bytes_at() {
    bounded od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# fill_header FILE BYTES: a manager's own bytes in front of the stream.
fill_header() {
    head -c "$2" /dev/zero | tr '\0' X | bounded dd of="$1" bs="$2" iflag=fullblock status=none
}

# header_is_intact FILE BYTES: they are all there, and the stream follows.
header_is_intact() {
    [ "$(bounded head -c "$2" "$1" | tr -d X | wc -c)" -eq 0 ] &&
        [ "$(bytes_at "$1" "$2" 4)" = "$stream_magic" ]
}

# ---- other memory ----

# random_guest NAME MIB [SEED]: what NAME will boot fills this much of its memory
# with numbers that no zero-page check and no deduplication can make smaller. It
# needs 8 MiB more. The guest prints A when it is done.
random_guest() {
    "$top_builddir/t/bootsector" --run 1 --fill "$2" --seed "${3:-1}" "$1.img"
}
