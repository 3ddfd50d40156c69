#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a real libvirt writes into the header of a save image tells where NUMA
# nodes and DIMMs lie: compared with what QEMU says of the guest.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"
# shellcheck source=t/views.sh
. "$top_srcdir/t/views.sh"
# shellcheck source=t/libvirt.sh
. "$top_srcdir/t/libvirt.sh"

require_mount
require_qemu
require_libvirt

# A guest with two nodes of different size and two DIMMs; libvirt and QEMU choose their places.
start_numa_guest() {
    cat >virt/guest.xml <<END_OF_XML
<domain type='qemu'>
  <name>guest</name>
  <maxMemory slots='4' unit='MiB'>4096</maxMemory>
  <memory unit='MiB'>608</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <cpu><numa>
    <cell id='0' cpus='0' memory='64' unit='MiB'/><cell id='1' cpus='1' memory='160' unit='MiB'/>
  </numa></cpu>
  <devices>
    <emulator>$(command -v "$qemu")</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='$virt/boot.img'/><target dev='sda' bus='sata'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='$virt/serial'/></serial>
    <memory model='dimm'><target><size unit='MiB'>256</size><node>1</node></target></memory>
    <memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>
  </devices>
</domain>
END_OF_XML
    v define "$virt/guest.xml" && v start guest && adopt && wait_for "the guest" guest_prints
}

# ask NAME COMMAND: of the guest's QEMU, in the place of the one of views.sh.
ask() {
    v qemu-monitor-command guest --hmp "$2"
}

start_libvirt
ok 'a guest of libvirt with nodes and DIMMs works' start_numa_guest
expected=$(pieces_of_qemu guest)
has 'the DIMMs are behind the firmware' "$expected" '*-0x118000000'
v suspend guest
ok 'its memory is taken for comparison' guest_memory_to before
ok 'libvirt saves it' v save --image-format sparse guest "$virt/image"
store=$virt/image
start_mount
is 'there is memory just where QEMU had it' "$(pieces_of_view)" "$expected"
ok 'and in it what there was' same_at "$mnt/mem.raw" $((1 << 20)) before.memory $((1 << 20)) \
    $(((guest_memory - 1) << 20))
for how in "the domain's NUMA cells" "a memory device in the XML in libvirt's header"; do
    has "info.json tells: $how" "$(cat "$mnt/info.json")" "*$how*"
done
has 'and has nothing to note' "$(cat "$mnt/info.json")" '*"notes" : \[\]*'
ok 'it is shown no more, and fdsetfs ends with status 0' stop_mount
done_testing
