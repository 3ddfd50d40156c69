# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# libvirt.sh - a libvirt of a story's own: one daemon, started by hand, with
# sockets, configuration and logs in the private directory ("virt") and a domain
# "guest" that boots our own guest under TCG. Sourced after lib.sh, mount.sh and
# qemu.sh. As root the daemon runs as another user, in session mode: what it does
# on the mount is what an unprivileged manager may do.
# shellcheck disable=SC2154,SC2034 # from lib.sh, and for the story

virt=$dir/virt
libvirtd=${LIBVIRTD:-/usr/sbin/libvirtd}
libvirtd_pid=
in_virt=()                          # before a command: as libvirt's user, in its private world
mount_options=()                    # for start_mount, so that this user may use it

require_libvirt() {
    local version
    [ -x "$libvirtd" ] && command -v virsh >/dev/null || skip_all "libvirt is not installed"
    version=$("$libvirtd" --version | sed -n 's/.* \([0-9][0-9.]*\)$/\1/p')
    printf '11.2\n%s\n' "$version" | sort -C -V || skip_all "libvirt $version is older than 11.2"
    in_virt=(env HOME="$virt" XDG_RUNTIME_DIR="$virt/run" XDG_CONFIG_HOME="$virt/conf"
        XDG_CACHE_HOME="$virt/cache" XDG_DATA_HOME="$virt/data" LIBVIRT_AUTOSTART=0)
    [ "$(id -u)" -ne 0 ] || become_another
    on_failure+=(diag_libvirt)
}

become_another() {
    command -v setpriv >/dev/null || skip_all "setpriv (package util-linux) is not installed"
    in_virt+=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    mount_options=(-o allow_other)
    chmod 755 "$dir"
    chown 65534:65534 "$store"
}

diag_libvirt() {
    diag_file "log of libvirt" libvirtd.log
    diag_file "log of the guest's QEMU" virt/cache/libvirt/qemu/log/guest.log
}

# v COMMAND...: virsh.
v() {
    bounded "${in_virt[@]}" virsh -q -c "qemu+unix:///session?socket=$virt/run/libvirt/libvirt-sock" "$@" </dev/null
}

libvirt_answers() {
    v uri >/dev/null 2>&1 || has_ended "$libvirtd_pid"
}

# start_libvirt [LINE]...: lines of qemu.conf besides our own.
start_libvirt() {
    mkdir -p virt/{run,conf/libvirt,cache,data}
    printf '%s\n' 'security_driver = "none"' 'stdio_handler = "file"' 'namespaces = []' "$@" \
        >virt/conf/libvirt/qemu.conf
    "$top_builddir/t/bootsector" virt/boot.img && truncate -s 1M virt/boot.img ||
        bail_out "no boot sector"
    chmod 700 virt/run
    [ "$(id -u)" -ne 0 ] || chown -R 65534:65534 virt
    spawn libvirtd_pid libvirtd.log "${in_virt[@]}" "$libvirtd"
    wait_for "libvirt to answer" libvirt_answers && is_running "$libvirtd_pid" ||
        bail_out "libvirtd does not start: $(tail -n 1 libvirtd.log)"
}

# adopt: the guest's QEMU is no child of ours, and yet has to end with us.
adopt() {
    own "$(cat virt/run/libvirt/qemu/run/guest.pid)"
}

guest_prints() {
    grep -qsF AB virt/serial
}

# start_guest: returns when it works.
start_guest() {
    cat >virt/guest.xml <<END_OF_XML
<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>$guest_memory</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>$(command -v "$qemu")</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='$virt/boot.img'/><target dev='sda' bus='sata'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='$virt/serial'/></serial>
    <video><model type='vga'/></video>
  </devices>
</domain>
END_OF_XML
    v define "$virt/guest.xml" && v start guest && adopt && wait_for "the guest" guest_prints
}

serial_grows() {
    [ "$(stat -c %s virt/serial)" -gt "$1" ]
}

guest_lives() {
    wait_for "the guest to print" serial_grows "$(stat -c %s virt/serial)"
}

# guest_state: running, paused, shut off.
guest_state() {
    v domstate guest
}

# guest_memory_to NAME: of the paused guest, to NAME.memory, for same_memory.
guest_memory_to() {
    v qemu-monitor-command guest "{\"execute\":\"pmemsave\",\"arguments\":
        {\"val\":0,\"size\":$((guest_memory << 20)),\"filename\":\"$virt/memory\"}}" >/dev/null &&
        mv virt/memory "$1.memory"
}

# saved_magic FILE: whether libvirt has marked it as finished.
saved_magic() {
    bounded head -c 16 "$1" | tr -d '\0'
}

# save_to SET OPTION...: paused, so that its memory can be compared.
save_to() {
    local set=$1
    shift
    v suspend guest && guest_memory_to before && v save "$@" guest "$mnt/$set"
}

# restore_file FILE OPTION...: paused.
restore_file() {
    local file=$1
    shift
    v restore --paused "$@" "$file" && adopt && guest_memory_to after
}

# restore_from SET OPTION...
restore_from() {
    local set=$1
    shift
    restore_file "$mnt/$set" "$@"
}
