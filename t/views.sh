# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# views.sh - what stories about the content of migration files share: showing a
# file, comparing its views with each other and with what QEMU says. Sourced
# after lib.sh and qemu.sh.
# shellcheck disable=SC2154 # from those
# shellcheck disable=SC2317 # ok calls functions by name

page=4096
elf_machine=x86-64                  # as file(1) calls it
view_options=()                     # for the file of try_machine

# ---- showing a file ----

# show FILE [OPTION]...: at $mnt.
show() {
    store=$1
    shift
    start_mount "$@"
}

hide() {
    ok "${1:-it} is shown no more, and fdsetfs ends with status 0" stop_mount
}

# ---- the views of memory ----

# same_at FILE OFFSET FILE OFFSET BYTES
same_at() {
    bounded cmp -i "$2:$4" -n "$5" "$1" "$3"
}

# loads: offset, address and size of each PT_LOAD.
loads() {
    readelf -lW "$mnt/vmcore.elf" | awk '$1 == "LOAD" { print $2, $4, $5, $6 }'
}

# Both ends of each piece, 64 KiB at most.
elf_agrees() {
    local offset address size memory part
    while read -r offset address size memory; do
        [ "$size" = "$memory" ] || return 1
        [ $((offset % page)) -eq 0 ] || return 1
        part=$((size < 65536 ? size : 65536))
        same_at "$mnt/vmcore.elf" $((offset)) "$mnt/mem.raw" $((address)) "$part" || return 1
        same_at "$mnt/vmcore.elf" $((offset + size - part)) \
            "$mnt/mem.raw" $((address + size - part)) "$part" || return 1
    done < <(loads)
    [ -n "$offset" ] || [ "$(loads | wc -l)" -gt 0 ]
}

le64_at() {
    printf '%d' "$(od -An -v -tu8 -j "$2" -N 8 "$1" | tr -d ' ')"
}

# Header by header to the very end.
lime_agrees() {
    local at=0 size first last part ranges=0
    size=$(stat -c %s "$mnt/mem.lime")
    while [ "$at" -lt "$size" ]; do
        [ "$(bytes_at "$mnt/mem.lime" "$at" 8)" = 454d694c01000000 ] || return 1
        first=$(le64_at "$mnt/mem.lime" $((at + 8)))
        last=$(le64_at "$mnt/mem.lime" $((at + 16)))
        part=$((last - first + 1 < 65536 ? last - first + 1 : 65536))
        same_at "$mnt/mem.lime" $((at + 32)) "$mnt/mem.raw" "$first" "$part" || return 1
        at=$((at + 32 + last - first + 1))
        ranges=$((ranges + 1))
    done
    [ "$at" -eq "$size" ] && [ "$ranges" -gt 0 ]
}

readelf_is_content() {
    readelf -hlnW "$mnt/vmcore.elf" >elf.out 2>elf.err && [ ! -s elf.err ] &&
        ! grep -qiE 'warning|error|corrupt' elf.out
}

has_readers() {
    command -v readelf >/dev/null && command -v file >/dev/null
}

# views_agree CASE: the three files of memory hold the same, and tools take them.
views_agree() {
    ok "$1: mem.lime is LiME and holds the same as mem.raw" lime_agrees
    if has_readers; then
        ok "$1: each PT_LOAD holds the same as mem.raw" elf_agrees
        ok "$1: readelf has nothing to complain about" readelf_is_content
        has "$1: file knows vmcore.elf" "$(file -b "$mnt/vmcore.elf")" "ELF 64-bit LSB core file, $elf_machine*"
    else
        skip "$1: vmcore.elf" 'readelf or file is not installed'
    fi
    is "$1: no device is left raw" "$(grep -c '"raw"' "$mnt/devices.json")" 0
}

# ---- QEMU ----

# boot NAME [QEMU-OPTION]...: it waits before its first instruction.
boot() {
    local name=$1 pid
    shift
    rm -f "$name.qmp"
    spawn pid "$name.log" "$qemu" -accel tcg -nodefaults -no-user-config -display none -S \
        -qmp "unix:$name.qmp,server=on,wait=off" "$@"
    vm_pid[$name]=$pid
}

# ask NAME COMMAND: of the human monitor.
ask() {
    qmp "$1" human-monitor-command "{\"command-line\":\"$2\"}" |
        sed -e 's/^"//' -e 's/"$//' -e 's/\\r//g' -e 's/\\n/\n/g' -e 's/\\"/"/g'
}

# mapped NAME: first and last address of each piece of RAM and ROM, as the CPU sees it.
mapped() {
    ask "$1" 'info mtree -f' |
        awk '/^FlatView/ { inside = 0 } /AS "cpu-memory-0"/ { inside = 1 }
            inside && /, (ram|rom|romd)\): / && !/vram|vga.rom/ { split($1, a, "-"); print "0x" a[1], "0x" a[2] }'
}

# joined: of pieces on stdin, first address and end each, those without a gap are one.
joined() {
    local first end from=-1 to=-1
    while read -r first end; do
        if [ $((first)) -ne "$to" ]; then
            [ "$from" -lt 0 ] || printf '0x%x-0x%x ' "$from" "$to"
            from=$((first))
        fi
        to=$((end))
    done
    printf '0x%x-0x%x\n' "$from" "$to"
}

# pieces_of_qemu NAME
pieces_of_qemu() {
    mapped "$1" | while read -r first last; do
        echo "$first" $((last + 1))
    done | joined
}

pieces_of_view() {
    loads | while read -r _ address size _; do
        echo "$address" $((address + size))
    done | joined
}

# sides_agree NAME: the first and the last page of each piece.
sides_agree() {
    local first last at pieces=0
    while read -r first last; do
        for at in $((first)) $((last + 1 - page)); do
            qmp "$1" pmemsave "{\"val\":$at,\"size\":$page,\"filename\":\"$dir/side\"}" >/dev/null ||
                return 1
            same_at "$mnt/mem.raw" "$at" side 0 "$page" || return 1
        done
        pieces=$((pieces + 1))
    done < <(mapped "$1")
    [ "$pieces" -ge "${2:-2}" ]
}

# marks ADDRESS...: options that put a number of its own there.
marks() {
    local address
    for address; do
        printf -- '-device loader,addr=%d,data=%d,data-len=8 ' $((address)) $((address + 0x5a17))
    done
}

# mark_is_there ADDRESS: in mem.raw.
mark_is_there() {
    [ "$(le64_at "$mnt/mem.raw" $(($1)))" -eq $(($1 + 0x5a17)) ]
}

# try_machine CASE "ADDRESS..." PIECES QEMU-OPTION...: with marks at the addresses.
try_machine() {
    local title=$1 addresses=$2 pieces=$3 address words
    shift 3
    # shellcheck disable=SC2086 # several words
    read -ra words < <(marks $addresses)
    boot machine "${words[@]}" "$@"
    set_migration machine mapped-ram
    ok "$title: it can be saved" save machine "file:$dir/machine.mig"
    show "$dir/machine.mig" ${view_options[@]+"${view_options[@]}"}
    for address in $addresses; do
        ok "$title: what lies at $address is there" mark_is_there "$address"
    done
    is "$title: there is memory just where QEMU has it" "$(pieces_of_view)" \
        "$(pieces_of_qemu machine)"
    ok "$title: memory is right on both sides of every hole" sides_agree machine "$pieces"
    views_agree "$title"
    [ "${also:-}" != sparse ] || try_sparse "$title" "$addresses"
    hide "$title"
    quit_vm machine
    rm -f machine.mig
}
