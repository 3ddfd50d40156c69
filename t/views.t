#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is in a migration file, compared with what QEMU itself says: guest memory
# at its addresses, on both sides of every hole; the registers; the tools that
# read the files. With real files where FDSETFS_SAMPLES names a directory of
# unpacked samples.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"

page=4096
require_mount

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

# refusal FILE [OPTION]...: what fdsetfs says in place of mounting, and its status.
refusal() {
    local file=$1 status
    shift
    bounded "$fdsetfs" -f "$@" "$file" "$mnt" 2>&1 | sed 's/^fdsetfs: //' | head -n 1
    status=${PIPESTATUS[0]}
    echo "status $status"
}

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
        has "$1: file knows vmcore.elf" "$(file -b "$mnt/vmcore.elf")" 'ELF 64-bit LSB core file, x86-64*'
    else
        skip "$1: vmcore.elf" 'readelf or file is not installed'
    fi
    is "$1: no device is left raw" "$(grep -c '"raw"' "$mnt/devices.json")" 0
}

# ---- samples ----

# same_as_dump FILE: the guest's low memory, without the window of VGA.
same_as_dump() {
    same_at "$mnt/mem.raw" 0 "$1" 0 "$video_hole_start" &&
        same_at "$mnt/mem.raw" "$video_hole_end" "$1" "$video_hole_end" \
            $(($(stat -c %s "$1") - video_hole_end))
}

# try_sample NAME FILE [OPTION]...
try_sample() {
    local name=$1 file=$FDSETFS_SAMPLES/$1/$2
    shift 2
    if [ ! -e "$file" ]; then
        skip "$name" 'this sample is not there'
        return
    fi
    show "$file" "$@"
    ok "$name: memory is what QEMU dumped" same_as_dump "${file%/*}/pmem-low.bin"
    if [ -e "${file%/*}/pmem-bios.bin" ]; then
        ok "$name: so is the firmware below 4 GiB" \
            same_at "$mnt/mem.raw" $((0xfffc0000)) "${file%/*}/pmem-bios.bin" 0 262144
    fi
    views_agree "$name"
    hide "$name"
}

try_samples() {
    if [ ! -d "${FDSETFS_SAMPLES:-}" ]; then
        skip 'samples' 'FDSETFS_SAMPLES names no directory'
        return
    fi
    try_sample b-multifd4 mig.bin
    try_sample e3-live-multifd4-stale mig.bin
    try_sample g-blocks mig.bin
    try_sample d2-offset-mapped mig.bin
    try_sample d2-offset-mapped mig.bin -o offset=0x100000
    try_sample n-libvirt lv-sparse-dio.img
    try_sample f-stream mig.bin -o cache-dir=off
}

# ---- what needs no real file ----

try_small() {
    "$top_builddir/t/mkstream" 8192 >small || bail_out 'cannot make a stream'
    show "$dir/small"
    is 'the tree has its files' "$(cd "$mnt" && echo *)" \
        'devices devices.json header info.json mem.lime mem.raw ram vmcore.elf'
    is 'what is in front of the stream is the header' "$(stat -c %s "$mnt/header")" 8192
    is 'a RAM block has its size' "$(stat -c %s "$mnt/ram/pc.ram")" $((300 * page))
    is 'its blocks are those of the pages that are there' "$(stat -c %b "$mnt/ram/pc.ram")" \
        $((200 * page / 512))
    is 'inode numbers do not change' "$(stat -c %i "$mnt/mem.raw")" "$(stat -c %i "$mnt/mem.raw")"
    has 'a view cannot be written' "$( (: >>"$mnt/mem.raw") 2>&1)" '*Read-only file system'
    ok 'cp makes a sparse copy of a block' bounded cp "$mnt/ram/pc.ram" copy
    ok 'the copy is the same' bounded cmp "$mnt/ram/pc.ram" copy
    is 'and no larger: holes are seen' "$(du -k copy | cut -f1)" $((200 * page / 1024))
    hide 'a small file'
    show "$dir/small" -o gpa=pc.ram:0x1000:0x2000:0x200000000
    ok 'an address that the user gives is taken' \
        same_at "$mnt/mem.raw" $((0x200000000)) "$mnt/ram/pc.ram" $((0x1000)) $((0x2000))
    hide 'a small file'
    has 'a range of a block that is not there is refused' \
        "$(refusal "$dir/small" -o gpa=nobody:0:4096:0)" "*no RAM block 'nobody'*status 2"
    has 'an offset without a stream is refused' "$(refusal "$dir/small" -o offset=1)" \
        '*expected 0x5145564d (QEVM)*status 6'
    has 'the options of a file are not for a store' "$(refusal "$dir/mnt" -o offset=1)" \
        '*not a regular file*status 2'
    printf 'nothing' >nothing
    has 'a file without a stream is refused' "$(refusal "$dir/nothing")" '*no QEMU migration stream*status 6'
}

# A libvirt header: version 2, 9 bytes behind it, format 5, little-endian.
try_compressed() {
    {
        printf 'LibvirtQemudSave\2\0\0\0\11\0\0\0\0\0\0\0\5\0\0\0'
        head -c 60 /dev/zero
        printf '<domain/\0not read'
    } >compressed
    has 'a compressed image is refused, and the tool that unpacks it is named' \
        "$(refusal "$dir/compressed")" '*compressed with zstd*zstd -dc*status 7'
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
            inside && /, (ram|rom)\): / && !/vram|vga.rom/ { split($1, a, "-"); print "0x" a[1], "0x" a[2] }'
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
    show "$dir/machine.mig"
    for address in $addresses; do
        ok "$title: what lies at $address is there" mark_is_there "$address"
    done
    ok "$title: memory is right on both sides of every hole" sides_agree machine "$pieces"
    views_agree "$title"
    [ "${also:-}" != sparse ] || try_sparse "$title" "$addresses"
    hide "$title"
    quit_vm machine
    rm -f machine.mig
}

# A copy in which even the zeros of the bitmaps are holes: nothing is lost with them.
try_sparse() {
    local blocks address
    blocks=$(stat -c %b "$mnt/mem.raw")
    hide "$1"
    ok "$1: it can be copied sparse" bounded cp --sparse=always machine.mig sparse.mig
    show "$dir/sparse.mig"
    is "$1, sparse: as many blocks are there" "$(stat -c %b "$mnt/mem.raw")" "$blocks"
    ok "$1, sparse: cp finds the data by its holes" bounded cp --sparse=auto "$mnt/mem.raw" copy
    for address in $2; do
        ok "$1, sparse: the copy has what lies at $address" \
            same_at "$mnt/mem.raw" $((address)) copy $((address)) 8
        ok "$1, sparse: what lies at $address is there" mark_is_there "$address"
    done
    rm -f sparse.mig copy
}

# registers_of_qemu NAME: rax 0x..., one a line, sorted. A 32-bit guest.
registers_of_qemu() {
    ask "$1" 'info registers' | grep -oE '\b(E[A-Z]{2}|E(IP|FL))=[0-9a-f]+' |
        tr 'A-Z=' 'a-z ' | while read -r name value; do
            case $name in
                efl) name=eflags ;;
                *) name=r${name#e} ;;
            esac
            printf '%s %d\n' "$name" "0x$value"
        done | sort
}

registers_of_gdb() {
    # shellcheck disable=SC2016 # for gdb
    bounded gdb -nx -batch -ex "core-file $mnt/vmcore.elf" -ex 'p/d $eflags' \
        -ex 'info registers rax rbx rcx rdx rsi rdi rbp rsp rip' 2>/dev/null |
        awk '/^\$1 = / { print "eflags", $3 } /^r[a-z]+ / { print $1, $2 }' |
        while read -r name value; do
            printf '%s %d\n' "$name" "$value"
        done | sort
}

try_registers() {
    local expected
    start_source source -smp 2
    qmp source stop >/dev/null
    set_migration source mapped-ram multifd=2
    ok 'a guest that runs can be saved' save source "file:$dir/source.mig"
    show "$dir/source.mig"
    ok 'a guest that ran: memory is right on both sides of every hole' sides_agree source 4
    views_agree 'a guest that ran'
    if command -v gdb >/dev/null; then
        expected=$(registers_of_qemu source)
        has 'QEMU tells the registers' "$expected" '*eflags *rax *rip *rsp *'
        is 'gdb shows the registers that QEMU tells' "$(registers_of_gdb)" "$expected"
        is 'gdb sees a thread for each CPU' "$(bounded gdb -nx -batch -ex "core-file $mnt/vmcore.elf" \
            -ex 'info threads' 2>/dev/null | grep -cE '^[* ] [0-9]+ ')" 2
    else
        skip 'gdb shows the registers that QEMU tells' 'gdb is not installed'
    fi
    hide 'a guest that ran'
    quit_vm source
}

try_samples
try_small
try_compressed
if command -v "$qemu" >/dev/null; then
    require_qemu
    try_registers
    try_machine 'pc, 3.5 GiB' '0x1000 0xbffffff8 0x100000000 0x11ffffff8' 5 -machine pc -m 3584M
    try_machine 'pc, 5 GiB' '0xbffffff8 0x100000000 0x17ffffff8' 5 -machine pc -m 5G
    try_machine 'pc, 3.5 GiB, 2 GiB of it low' '0x7ffffff8 0x100000000' 5 \
        -machine pc,max-ram-below-4g=2G -m 3584M
    try_machine 'q35, 2 GiB' '0x1000 0x7ffffff8' 4 -machine q35 -m 2G
    also=sparse try_machine 'q35, 5 GiB' '0x7ffffff8 0x100000000 0x1bffffff8' 5 -machine q35 -m 5G
    try_machine 'microvm, 4 GiB' '0xbffffff8 0x100000000 0x13ffffff8' 5 -machine microvm -m 4G
    try_machine 'two NUMA nodes across the hole' '0x5ffffff8 0x60000000 0x7ffffff8 0x100000000' 5 \
        -machine q35 -m 3G -object memory-backend-ram,id=m1,size=1536M \
        -object memory-backend-ram,id=m0,size=1536M -numa node,memdev=m0 -numa node,memdev=m1
else
    skip 'machines' "$qemu is not installed"
fi
done_testing
