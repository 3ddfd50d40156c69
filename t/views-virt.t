#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Memory of the virt machines of Arm and RISC-V, compared with what QEMU says.
# They have QEMUs of their own: QEMU_ARM and QEMU_RISCV name others.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"
# shellcheck source=t/views.sh
. "$top_srcdir/t/views.sh"

require_mount
require_qemu

# with QEMU MACHINE CASE...: as try_machine; skipped where there is no such QEMU.
with() {
    local qemu=$1 elf_machine=$2
    shift 2
    if command -v "$qemu" >/dev/null; then
        try_machine "$@"
    else
        skip "$1" "$qemu is not installed"
    fi
}

arm=${QEMU_ARM:-qemu-system-aarch64}
riscv=${QEMU_RISCV:-qemu-system-riscv64}

# ---- registers ----

# registers_in FILE BYTES: head and registers of each NT_PRSTATUS; behind them is whether there
# is a note of floating point registers, which ours has not.
registers_in() {
    bounded "$top_builddir/t/corenotes" "$1" | sed -n 's/^CORE 1 //p' | cut -c "1-$(($2 * 2))"
}

# try_registers CASE QEMU BYTES ADDRESS CODE PATTERN MACHINE-OPTION...: a guest that runs CODE,
# eight bytes as a number, at ADDRESS; PATTERN is what "info registers" tells of it then.
try_registers() {
    local title=$1 qemu=$2 bytes=$3 address=$4 code=$5 pattern=$6 expected
    shift 6
    if ! command -v "$qemu" >/dev/null; then
        skip "$title: registers" "$qemu is not installed"
        return
    fi
    boot machine -smp 2 "$@" -device "loader,addr=$address,data=$code,data-len=8" \
        -device "loader,addr=$address,cpu-num=0"
    set_migration machine mapped-ram
    qmp machine cont >/dev/null
    wait_for 'the guest to run' says_register machine "$pattern" ||
        bail_out "$title: the guest does not run"
    qmp machine stop >/dev/null
    save machine "file:$dir/machine.mig" &&
        qmp machine dump-guest-memory "{\"paging\":false,\"protocol\":\"file:$dir/qemu.elf\",
            \"begin\":$((address)),\"length\":4096}" >/dev/null
    show "$dir/machine.mig"
    expected=$(registers_in qemu.elf "$bytes")
    is "$title: QEMU dumps both CPUs" "$(wc -l <<<"$expected")" 2
    is "$title: vmcore.elf has the registers that QEMU dumps" \
        "$(registers_in "$mnt/vmcore.elf" "$bytes")" "$expected"
    hide "$title"
    quit_vm machine
    rm -f machine.mig qemu.elf
}

says_register() {
    # shellcheck disable=SC2053 # a pattern is meant
    [[ $(ask "$1" 'info registers') == $2 ]]
}

# mov x1, #0x1234; b .
try_registers 'arm64' "$arm" 384 0x50000000 0x14000000d2824681 '*X01=0000000000001234*' \
    -machine virt -cpu cortex-a57 -m 1G
# li a1, 0x123; j .
try_registers 'riscv64' "$riscv" 368 0x80000000 0x0000006f12300593 '*a1 *0000000000000123*' \
    -machine virt -bios none -m 1G

# words_of_note NOTE: the registers of an NT_PRSTATUS, one a line.
words_of_note() {
    cut -c $((112 * 2 + 1))- <<<"$1" | fold -w 16
}

# A CPU in a 32-bit state: QEMU's own dump is one of 32 bits. mov r1, #0x34; b .
try_narrow() {
    local narrow=${QEMU_ARM32:-qemu-system-arm} note
    if ! command -v "$narrow" >/dev/null; then
        skip 'Arm in a 32-bit state: registers' "$narrow is not installed"
        return
    fi
    qemu=$narrow boot machine -machine virt -cpu cortex-a15 -m 1G \
        -device loader,addr=0x50000000,data=0xeafffffee3a01034,data-len=8 \
        -device loader,addr=0x50000000,cpu-num=0
    set_migration machine mapped-ram
    qmp machine cont >/dev/null
    wait_for 'the guest to run' says_register machine '*R01=00000034*R15=50000004*' ||
        bail_out 'Arm in a 32-bit state: the guest does not run'
    qmp machine stop >/dev/null
    save machine "file:$dir/machine.mig"
    show "$dir/machine.mig"
    note=$(registers_in "$mnt/vmcore.elf" 384)
    is 'Arm in a 32-bit state: r1 is x1' "$(words_of_note "$note" | sed -n 2p)" 3400000000000000
    is 'Arm in a 32-bit state: r15 is pc' "$(words_of_note "$note" | sed -n 33p)" 0400005000000000
    hide 'Arm in a 32-bit state'
    quit_vm machine
    rm -f machine.mig
}
try_narrow

# ---- memory ----

with "$arm" 'ARM aarch64' 'arm virt, 2 GiB' '0x50000000 0xbffffff8' 3 \
    -machine virt -cpu cortex-a57 -m 2G
with "$arm" 'ARM aarch64' 'arm virt, 5 GiB in two NUMA nodes' \
    '0x50000000 0xbffffff8 0xc0000000 0x17ffffff8' 4 -machine virt -cpu cortex-a57 -m 5G \
    -object memory-backend-ram,id=m1,size=3G -object memory-backend-ram,id=m0,size=2G \
    -numa node,memdev=m0 -numa node,memdev=m1
with "$riscv" 'UCB RISC-V' 'riscv virt, 2 GiB' '0x80000000 0xfffffff8' 4 \
    -machine virt -bios none -m 2G
with "$riscv" 'UCB RISC-V' 'riscv virt, 5 GiB of a named backend' '0x80000000 0x1bffffff8' 4 \
    -machine virt,memory-backend=mem -bios none -m 5G -object memory-backend-ram,id=mem,size=5G
done_testing
