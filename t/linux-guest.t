#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A Linux guest, saved through the mount while it works: the tools that people use on a crashed
# kernel start on what is shown of it, and tell what QEMU and the guest tell.
# Needs Debian's cloud kernel and a static busybox, as scripts/check unpacks them:
# FDSETFS_GUEST names a directory with boot/vmlinuz-*-cloud-amd64, lib/modules and
# bin/busybox, or they are looked for in build/guest of the sources and in / . The
# rest of the guest is a few lines of shell, made here.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"

boot_limit=240                      # seconds; 8 s on an idle machine, with TCG
cpus=2
saved_registers=(rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags
    cs ss ds es fs gs fs_base gs_base)

look=$mnt/7.d                       # where the views are

require_mount
require_qemu

# ---- the guest ----

# find_guest: sets kernel, module and busybox.
find_guest() {
    local root
    for root in ${FDSETFS_GUEST:+"$FDSETFS_GUEST"} "$top_srcdir/build/guest" ''; do
        kernel=$(find "$root/boot" -maxdepth 1 -name 'vmlinuz-*-cloud-amd64' 2>/dev/null |
            sort -V | tail -n 1)
        module=$(find "$root/lib/modules/" -name 'qemu_fw_cfg.ko' \
            -path "*/${kernel##*/vmlinuz-}/*" 2>/dev/null | head -n 1)
        busybox=$root/bin/busybox
        [ -n "$kernel" ] && [ -n "$module" ] && is_static "$busybox" && return
    done
    return 1
}

is_static() {
    [ -x "$1" ] && file -bL "$1" | grep -q 'statically linked'
}

# The guest tells where things are, then works on its memory for good.
make_initramfs() {
    mkdir -p root/bin root/proc root/dev root/tmp
    cp "$busybox" root/bin/busybox && cp "$module" root/module.ko
    cat >root/init <<'END_OF_INIT'
#!/bin/busybox sh
PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t tmpfs tmp /tmp
mount -t devtmpfs dev /dev
insmod /module.ko && echo "module: loaded"
echo "banner: $(sed -n 's/^\([0-9a-f]*\) . linux_banner$/\1/p' /proc/kallsyms)"
echo "version: $(cat /proc/version)"
echo "release: $(uname -r)"
echo "ready:"
while :; do
    head -c 4000000 /dev/urandom >/tmp/work
    echo "works:"
done
END_OF_INIT
    chmod +x root/init
    (cd root && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >initramfs
}

boot_linux() {
    local pid
    spawn pid linux.log "$qemu" -accel tcg -machine q35 -m 256 -smp "$cpus" -nodefaults \
        -no-user-config -display none -kernel "$kernel" -initrd initramfs \
        -append 'console=ttyS0 quiet panic=-1 pti=off' -device vmcoreinfo -no-reboot \
        -chardev file,id=serial,path=linux.serial -serial chardev:serial \
        -qmp unix:linux.qmp,server=on,wait=off
    vm_pid[linux]=$pid
    wait_limit=$boot_limit wait_for 'Linux to start' is_ready || bail_out 'Linux does not start'
}

is_ready() {
    guest_says linux works: || has_ended "${vm_pid[linux]}"
}

# told KEY: what the guest printed behind it.
told() {
    tr -d '\r' <linux.serial | sed -n "s/^$1: *//p" | head -n 1
}

# ---- what QEMU says ----

# ask COMMAND: of the human monitor.
ask() {
    qmp linux human-monitor-command "{\"command-line\":\"$1\"}" |
        sed -e 's/^"//' -e 's/"$//' -e 's/\\r//g' -e 's/\\n/\n/g' -e 's/\\"/"/g'
}

# registers_of_qemu: CPU, register and number in hex without leading zeros, a line for each.
registers_of_qemu() {
    ask 'info registers -a' | awk '
        function put(name, value) { sub(/^0+/, "", value); print cpu, name, value == "" ? 0 : value }
        /^CPU#/ { cpu = substr($1, 5) + 0 }
        /^[A-Z]S =/ {
            put(tolower(substr($1, 1, 2)), substr($2, 2))
            if ($1 ~ /^[FG]S/) put(tolower($1) "_base", $3)
        }
        /^(R[A-Z0-9]+ ?=)/ {
            gsub(/ =/, "=")
            for (i = 1; i <= NF; i++)
                if (split($i, part, "=") == 2 && part[1] ~ /^R/)
                    put(part[1] == "RFL" ? "eflags" : tolower(part[1]), part[2])
        }' | sort
}

# control_register CPU NAME
control_register() {
    ask 'info registers -a' | tr ' ' '\n' | awk -F= -v cpu="$1" -v name="$2" '
        /^CPU#/ { here = substr($1, 5) + 0 }
        here == cpu && $1 == name { print "0x" $2; exit }'
}

# ---- what tools say ----

registers_of_gdb() {
    local cpu name commands=()
    for ((cpu = 0; cpu < cpus; cpu++)); do
        commands+=(-ex "thread $((cpu + 1))")
        for name in "${saved_registers[@]}"; do
            commands+=(-ex "echo register $cpu $name=" -ex "output/x \$$name" -ex 'echo \n')
        done
    done
    bounded gdb -nx -batch -ex "core-file $look/vmcore.elf" "${commands[@]}" 2>gdb.err |
        sed -n 's/^register \(.*\)=0x\([0-9a-f]*\)$/\1 \2/p' | sort
}

# notes_of FILE: the content of its PT_NOTE.
notes_of() {
    local offset size
    read -r offset size < <(readelf -lW "$1" | awk '$1 == "NOTE" { print $2, $5 }')
    bounded dd if="$1" iflag=skip_bytes,count_bytes skip=$((offset)) count=$((size)) status=none
}

same_notes() {
    qmp linux dump-guest-memory \
        "{\"paging\":false,\"protocol\":\"file:$dir/qemu.elf\",\"begin\":0,\"length\":4096}" &&
        notes_of qemu.elf >qemu.notes && notes_of "$look/vmcore.elf" >our.notes &&
        cmp qemu.notes our.notes && [ -s our.notes ]
}

has_note() {
    if bounded "$top_builddir/t/corenotes" "$1" | grep -q '^VMCOREINFO 0 '; then
        echo yes
    else
        echo no
    fi
}

# section_of NAME: offset and length of a device's section in the file, in hex.
section_of() {
    sed -n "s/.*\"name\":\"$1\".*\"offset\":\"\([^\"]*\)\",\"length\":\"\([^\"]*\)\".*/\1 \2/p" \
        "$look/devices.json"
}

# forget_vmcoreinfo: the device's section becomes that of one which the guest never wrote to.
forget_vmcoreinfo() {
    local offset length
    read -r offset length <<<"$section"
    bounded dd if=/dev/zero of=linux.mig bs=1 seek=$((offset)) count=$((length)) conv=notrunc \
        status=none
}

has_drgn() {
    command -v drgn >/dev/null
}

# ask_drgn EXPRESSION: of "prog", which has loaded the core.
ask_drgn() {
    bounded /usr/bin/python3 - "$look/vmcore.elf" "$1" <<'END_OF_PYTHON' 2>&1
import re
import sys
import drgn
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
# As fdsetfs(8) says: where the walk through the page tables starts, which kdump maps, but no QEMU.
info = open(sys.argv[1], 'rb').read(1 << 20)
table = int(re.search(rb'SYMBOL\(swapper_pg_dir\)=(\w+)', info)[1], 16)
physical = table - 0xffffffff80000000 + int(re.search(rb'NUMBER\(phys_base\)=(\S+)', info)[1])
prog.add_memory_segment(table, 4096, lambda a, n, o, p: prog.read(physical + o, n, True), False)
print(eval(sys.argv[2]))
END_OF_PYTHON
}

readelf_is_content() {
    readelf -hlW "$look/vmcore.elf" >elf.out 2>elf.err && [ ! -s elf.err ] &&
        ! grep -qiE 'warning|error|corrupt' elf.out
}

# headers_are_near: the program headers end in the first 8 KiB, and each PT_LOAD is a whole one.
headers_are_near() {
    readelf -hW "$look/vmcore.elf" | awk -F: '
        /Start of program headers/ { start = $2 + 0 }
        /Size of program headers/ { size = $2 + 0 }
        /Number of program headers/ { number = $2 + 0 }
        END { exit !(number > 1 && start + size * number <= 8192) }' &&
        readelf -lW "$look/vmcore.elf" | awk '
            $1 == "LOAD" { n++; bad += $5 != $6 || $2 !~ /000$/ || $4 !~ /000$/ }
            END { exit n == 0 || bad > 0 }'
}

# banner_in FILE CPU: address and text, through the page tables of that CPU.
banner_in() {
    bounded "$top_builddir/t/pagetable" "$look/$1" "$(control_register "$2" CR3)" \
        "0x$(told banner)" 512 2>&1
}

# ---- the story ----

for tool in cpio file readelf; do
    command -v "$tool" >/dev/null || skip_all "$tool is not installed"
done
find_guest ||
    skip_all 'no Debian cloud kernel and static busybox (FDSETFS_GUEST; scripts/check unpacks them)'

make_initramfs || bail_out 'cannot make an initramfs'
boot_linux
has 'the guest tells where its banner is' "$(told banner)" 'ffffffff????????'
start_mount
set_migration linux mapped-ram multifd=2
ok 'Linux can be saved through the mount while it works' save linux "file:$mnt/7"
is 'it stands still now' "$(run_state linux)" postmigrate
expected=$(registers_of_qemu)
ok 'what is inside the set is there soon' wait_for '7.d' test -e "$look/vmcore.elf"

has 'file knows vmcore.elf' "$(file -b "$look/vmcore.elf")" 'ELF 64-bit LSB core file, x86-64*'
ok 'readelf has nothing to complain about' readelf_is_content
ok 'the headers are where kdump tools look for them, and pieces are whole pages' headers_are_near
is 'QEMU tells all registers of each CPU' "$(wc -l <<<"$expected")" \
    $((cpus * ${#saved_registers[@]}))
if command -v gdb >/dev/null; then
    is 'gdb shows the registers of each CPU that QEMU tells' "$(registers_of_gdb)" "$expected"
else
    skip 'gdb shows the registers of each CPU that QEMU tells' 'gdb is not installed'
fi
ok "the notes are those of QEMU's own dump, byte for byte: CPUs and VMCOREINFO" same_notes

where=$(ask "gva2gpa 0x$(told banner)" | sed -n 's/^gpa: //p')
has 'QEMU tells the physical address of the banner' "$where" '0x*'
for ((cpu = 0; cpu < cpus; cpu++)); do
    for view in mem.raw vmcore.elf mem.lime; do
        is "$view has the banner at the address of kallsyms, through the page tables of CPU $cpu" \
            "$(banner_in "$view" "$cpu")" "$where $(told version)"
    done
done

if command -v crash >/dev/null; then
    is 'crash tells the release' "$(bounded crash --osrelease "$look/vmcore.elf")" "$(told release)"
else
    skip 'crash tells the release' 'crash is not installed'
fi
if command -v makedumpfile >/dev/null; then
    ok 'makedumpfile reads the log of the kernel' \
        bounded makedumpfile --dump-dmesg "$look/vmcore.elf" dmesg
    has 'and there is what the kernel said first' "$(head -n 1 dmesg)" "*$(told version)"
    ok 'makedumpfile packs the pages that are in use' \
        bounded makedumpfile -c -d 31 "$look/vmcore.elf" packed
    is 'crash tells the release of that' "$(bounded crash --osrelease packed)" "$(told release)"
    rm -f packed
else
    skip 'makedumpfile reads the log of the kernel' 'makedumpfile is not installed'
fi
if has_drgn; then
    has 'drgn knows that it is a Linux kernel' "$(ask_drgn prog.flags)" '*IS_LINUX_KERNEL*'
    has 'drgn knows the architecture' "$(ask_drgn prog.platform)" '*X86_64*'
    is 'drgn reads physical memory' \
        "$(ask_drgn "prog.read($where, 14, True).decode()")" 'Linux version '
    is 'drgn reads the banner at its virtual address' \
        "$(ask_drgn "prog.read(0x$(told banner), 14).decode()")" 'Linux version '
else
    skip 'drgn knows that it is a Linux kernel' 'drgn is not installed'
fi
section=$(section_of vmcoreinfo)
ok 'the set can be copied' bounded cp --sparse=always "$mnt/7" linux.mig
ok 'it is shown no more, and fdsetfs ends with status 0' stop_mount

# As if QEMU had no such device: the note is still where the guest has it.
forget_vmcoreinfo
store=$dir/linux.mig
look=$mnt
start_mount
is 'without its device VMCOREINFO is not looked for' "$(has_note "$look/vmcore.elf")" no
stop_mount
start_mount -o vmcoreinfo=search
is 'vmcoreinfo=search finds it in memory' "$(has_note "$look/vmcore.elf")" yes
ok 'and the notes are the same' same_notes
stop_mount
quit_vm linux
done_testing
