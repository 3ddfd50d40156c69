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
# shellcheck source=t/views.sh
. "$top_srcdir/t/views.sh"

require_mount

# refusal FILE [OPTION]...: what fdsetfs says in place of mounting, and its status.
refusal() {
    local file=$1 status
    shift
    bounded "$fdsetfs" -f "$@" "$file" "$mnt" 2>&1 | sed '/-INFO: /d; s/^fdsetfs: //' | head -n 1
    status=${PIPESTATUS[0]}
    echo "status $status"
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
    local file
    "$top_builddir/t/mkstream" 8192 >small || bail_out 'cannot make a stream'
    show "$dir/small"
    is 'the tree has its files' "$(cd "$mnt" && echo *)" \
        'devices devices.json header info.json mem.lime mem.raw ram vmcore.elf'
    is 'what is in front of the stream is the header' "$(stat -c %s "$mnt/header")" 8192
    is 'a RAM block has its size' "$(stat -c %s "$mnt/ram/pc.ram")" $((300 * page))
    is 'its blocks are those of the pages that are there' "$(stat -c %b "$mnt/ram/pc.ram")" \
        $((200 * page / 512))
    # mkstream leaves the old bytes of absent pages, of which page 1 is the first, in their place.
    ok 'a page that became zero is zeros' same_at "$mnt/ram/pc.ram" "$page" /dev/zero 0 "$page"
    is 'though the file still has what it was' \
        "$(dd if=small bs=1 skip=$((1024 * 1024 + page)) count="$page" status=none | tr -d '\0' | wc -c)" "$page"
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
    "$top_builddir/t/mkstream" 0 100 plain >one && cp -p one other || bail_out 'cannot make a stream'
    for file in one other; do
        show "$dir/$file" -o "cache-dir=$dir/cache"
        hide "$file, in the streaming format,"
    done
    is 'files of one size and time have an index each' "$(find cache -name '*.pages' | wc -l)" 2
    has 'a range of a block that is not there is refused' \
        "$(refusal "$dir/small" -o gpa=nobody:0:4096:0)" "*no RAM block 'nobody'*status 2"
    has 'an offset without a stream is refused' "$(refusal "$dir/small" -o offset=1)" \
        '*expected 0x5145564d (QEVM)*status 6'
    has 'the options of a file are not for a store' "$(refusal "$dir/mnt" -o offset=1)" \
        '*not a regular file*status 2'
    has 'nor is this one' "$(refusal "$dir/mnt" -o vmcoreinfo=search)" '*not a regular file*status 2'
    printf 'nothing' >nothing
    has 'a file without a stream is refused' "$(refusal "$dir/nothing")" '*no QEMU migration stream*status 6'
}

# hostile NAME SHOWN: a RAM block of this name is one file, which lies in ram/.
hostile() {
    local shown
    "$top_builddir/t/mkstream" 0 100 mapped "$1" >hostile || bail_out 'cannot make a stream'
    show "$dir/hostile"
    shown=$(cd "$mnt/ram" && find . -mindepth 1 -printf '%y %P\n')
    is "a block called $(printf %q "$1") stays in its directory" "$shown" "f $2"
    is 'and is read whole' "$(bounded cat "$mnt/ram/$2" | wc -c)" $((100 * page))
    hide 'it'
}

try_names() {
    hostile .. '%2E.'
    hostile ../../../etc/passwd '%2E.%2F..%2F..%2Fetc%2Fpasswd'
    hostile /dev/null '%2Fdev%2Fnull'
    hostile a/b 'a%2Fb'
    hostile $'\n\e[31m' '%0A%1B[31m'
    hostile $'\xff\xfe' '%FF%FE'
    hostile 'a%2Fb' 'a%252Fb'
}

# A libvirt header whose format is zstd or lzop, little-endian, then what is no such data.
try_compressed() {
    local format
    for format in 5 4; do
        { printf 'LibvirtQemudSave\2\0\0\0\020\0\0\0\1\0\0\0'"\\$format"'\0\0\0'
            head -c 60 /dev/zero
            printf '<domain/>\0'
            head -c 4096 /dev/zero
        } >"compressed.$format"
    done
    has 'a compressed image that is damaged is refused' \
        "$(refusal "$dir/compressed.5" -o cache-dir=off)" '*zstd data at 0x*is damaged*status 6'
    has 'a compressed image that cannot be unpacked is refused, and the tool is named' \
        "$(refusal "$dir/compressed.4")" '*compressed with lzop*lzop -dc*status 7'
}

# ---- QEMU ----

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

# ---- memory that was plugged in ----

dimms=(-machine q35 -m 1G,slots=4,maxmem=8G
    -object memory-backend-ram,id=memdimm0,size=512M -object memory-backend-ram,id=memdimm1,size=512M
    -device pc-dimm,memdev=memdimm0,addr=0x180000000 -device pc-dimm,memdev=memdimm1,addr=0x100000000)
dimm_marks='0x100000000 0x11ffffff8 0x180000000 0x19ffffff8'

# domain_of_dimms: as libvirt has it in the header of a save image: without aliases.
domain_of_dimms() {
    cat <<'END_OF_XML'
<domain type='qemu'>
  <name>dimms</name>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <memory model='dimm'>
      <target><size unit='KiB'>524288</size><node>0</node></target>
      <address type='dimm' slot='0' base='0x180000000'/>
    </memory>
    <memory model='dimm'>
      <target><size unit='MiB'>512</size></target>
      <address type='dimm' slot='1' base='0x100000000'/>
    </memory>
  </devices>
</domain>
END_OF_XML
}

# libvirt_header BYTES: so many in all, with that domain; format 6 is sparse.
libvirt_header() {
    local length=$(($1 - 92)) i
    printf 'LibvirtQemudSave\2\0\0\0'
    for ((i = 0; i < 4; i++)); do
        # shellcheck disable=SC2059 # an octal number
        printf "\\$(printf %o $((length >> 8 * i & 255)))"
    done
    printf '\0\0\0\0\6\0\0\0'
    head -c 60 /dev/zero
    domain_of_dimms
    head -c $((length - $(domain_of_dimms | wc -c))) /dev/zero
}

try_dimms() {
    local words address
    domain_of_dimms >dimms.xml
    view_options=(-o "domain-xml=$dir/dimms.xml")
    try_machine 'DIMMs and their XML' "$dimm_marks" 7 "${dimms[@]}"
    view_options=()
    # shellcheck disable=SC2086 # several words
    read -ra words < <(marks $dimm_marks)
    boot machine "${words[@]}" "${dimms[@]}"
    set_migration machine mapped-ram
    libvirt_header 65536 >machine.mig
    ok 'a machine with DIMMs can be saved behind a header' save machine \
        "file:$dir/machine.mig,offset=0x10000"
    show "$dir/machine.mig"
    for address in $dimm_marks; do
        ok "DIMMs and the XML in libvirt's header: what lies at $address is there" \
            mark_is_there "$address"
    done
    has "info.json tells that it is from the header" "$(cat "$mnt/info.json")" \
        "*a memory device in the XML in libvirt's header*"
    hide 'that file'
    printf x | bounded dd of=machine.mig bs=1 seek=92 conv=notrunc status=none
    show "$dir/machine.mig"
    has 'a header without good XML is noted' "$(cat "$mnt/info.json")" \
        "*the XML in libvirt's header: expected the XML of a domain*"
    has 'a DIMM whose address nothing tells is noted, and has none' "$(cat "$mnt/info.json")" \
        "*RAM block 'memdimm0' is not placed*"
    is 'memory ends with what is known' "$(stat -c %s "$mnt/mem.raw")" $((0x100000000))
    hide 'that file'
    has 'XML that is none is refused as an option' \
        "$(refusal "$dir/machine.mig" -o domain-xml=machine.log)" \
        '*option domain-xml: expected the XML of a domain*status 2'
    has 'and so is a directory' "$(refusal "$dir/machine.mig" -o "domain-xml=$dir")" \
        '*expected a regular file*status 2'
    quit_vm machine
    rm -f machine.mig
}

try_samples
try_small
try_names
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
    # What is not plugged is not saved: there is nothing to mark, but a place for it.
    try_machine 'virtio-mem' '0x1000' 6 -machine q35 -m 1G,maxmem=8G \
        -object memory-backend-ram,id=vm0,size=1G \
        -device virtio-mem-pci,memdev=vm0,requested-size=1G
    try_dimms
else
    skip 'machines' "$qemu is not installed"
fi
done_testing
