#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A VMM under a user of its own: who owns what, and who may do what.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"

require_mount
[ "$(id -u)" -eq 0 ] || skip_all 'only root can be several users'
command -v setpriv >/dev/null || skip_all 'setpriv (package util-linux) is not installed'

vmm=54321 other=54322
# Users of their own reach the mount and the program, wherever it was built.
chmod 755 "$dir"
cp "$top_builddir/t/sys" sys
chmod 755 sys

# as USER[:GROUP,...] COMMAND...: t/sys as this user, with a group of the same number.
as() {
    local user=${1%%:*} groups=--clear-groups
    [ "$1" = "$user" ] || groups=--groups=${1#*:}
    shift
    bounded setpriv --reuid="$user" --regid="$user" "$groups" "$dir/sys" "$@"
}

owner_of() {
    stat -c '%u:%g %a' "$1"
}

start_mount
is 'without allow_other nobody else gets in' \
    "$(as $vmm stat "$mnt/.ctl" : open f wronly+creat "$mnt/1")" 'EACCES 13, EACCES 13'
ok 'fdsetfs ends' stop_mount

start_mount -o allow_other
is 'the mount has the mode of the store' "$(owner_of "$mnt")" "$(owner_of "$store")"
is 'which others cannot write to' "$(as $vmm open f wronly+creat "$mnt/1" : stat "$mnt/1")" \
    'EACCES 13, ENOENT 2'
is 'its mode can be changed' "$(sys chmod "$mnt" 1777)" 0
is 'that is the store' "$(owner_of "$store")" '0:0 1777'
is 'others cannot change it' "$(as $vmm chmod "$mnt" 777)" 'EPERM 1'

is 'another user makes a set' \
    "$(as $vmm umask 027 : open f wronly+creat "$mnt/1" 666 : pwrite f 0 5000 a : close f)" '0, 0, 5000, 0'
is 'and owns it, with its mode and umask' "$(owner_of "$mnt/1")" "$vmm:$vmm 640"
is 'channel files are of the daemon' "$(owner_of "$store/1/ch-000")" '0:0 600'
is 'their directory, too' "$(owner_of "$store/1")" '0:0 700'
is 'a mode as QEMU gives it' "$(as $vmm umask 022 : open f wronly+creat "$mnt/2" 600 : close f)" '0, 0, 0'
is 'is kept' "$(owner_of "$mnt/2")" "$vmm:$vmm 600"

is 'its owner reads it' "$(as $vmm open f rdonly "$mnt/1" : pread f 0 9999 a)" '0, 5000'
is 'its owner saves into it again' "$(as $vmm open f wronly+trunc "$mnt/1" : pwrite f 0 100 b : close f)" '0, 100, 0'
is 'a third user may not read it' "$(as $other open f rdonly "$mnt/1")" 'EACCES 13'
is 'nor write it' "$(as $other open f wronly "$mnt/1" : truncate "$mnt/1" 0)" 'EACCES 13, EACCES 13'
is 'its group may read it' "$(as $other:$vmm open f rdonly "$mnt/1" : pread f 0 9999 b)" '0, 100'
is 'and not write it' "$(as $other:$vmm open f wronly "$mnt/1")" 'EACCES 13'
is 'the refusals are the kernel'\''s: there is no incident' "$(last_error_of 1 | grep -c denied)" 0
is 'root may do all' "$(sys open f rdonly "$mnt/1" : pread f 0 9999 b)" '0, 100'
is 'everybody can read what went wrong' "$(as $other open f rdonly "$mnt/.ctl/last-error")" 0

is 'a third user may not change its mode' "$(as $other chmod "$mnt/1" 666)" 'EPERM 1'
is 'its owner may' "$(as $vmm chmod "$mnt/1" 644)" 0
is 'then a third user reads it' "$(as $other open f rdonly "$mnt/1" : pread f 0 9999 b)" '0, 100'
is 'its owner may not give it away' "$(as $vmm chown "$mnt/1" $other $other)" 'EPERM 1'
is 'root may' "$(sys chown "$mnt/1" $other -1)" 0
is 'that changes the owner alone' "$(owner_of "$mnt/1")" "$other:$vmm 644"
is 'the new owner saves into it' "$(as $other open f wronly+trunc "$mnt/1" : pwrite f 0 200 c : close f)" '0, 200, 0'
is 'the old one may not' "$(as $vmm open f wronly "$mnt/1")" 'EACCES 13'
is 'it still owns nothing in the store' "$(owner_of "$store/1/ch-000" 2>/dev/null || owner_of "$(find "$store/1" -name 'ch-*' | head -n 1)")" '0:0 600'

is 'a sticky directory: others cannot remove a set' "$(as $vmm unlink "$mnt/1")" 'EPERM 1'
is 'its owner can' "$(as $other unlink "$mnt/1" : stat "$mnt/1")" '0, ENOENT 2'

# As libvirt does: root makes the file and writes its header, the VMM writes the rest.
start_actor manager
is 'root makes a set for the VMM' \
    "$(act manager open m wronly+creat "$mnt/3"), $(act manager ftruncate m 4096), $(act manager pwrite m 0 100 h), $(act manager close m)" \
    '0, 0, 100, 0'
is 'and gives it away' "$(sys chown "$mnt/3" $vmm $vmm)" 0
is 'root opens it' "$(act manager open m wronly "$mnt/3")" 0
is 'so does the VMM, in one session' "$(as $vmm open s wronly "$mnt/3" : pwrite s 4096 4096 v : close s)" '0, 4096, 0'
is 'root closes it' "$(act manager pwrite m 100 10 h), $(act manager close m)" '10, 0'
end_actor manager
becomes 'the set settles' 3 partial
is 'both have written' "$(sys open f rdonly "$mnt/3" : pread f 0 110 h : pread f 4096 5000 v)" '0, 110, 4096'
is 'its owner stays' "$(owner_of "$mnt/3")" "$vmm:$vmm 600"

ok 'fdsetfs ends' stop_mount
start_mount -o allow_other
is 'a restart keeps owners and modes' "$(owner_of "$mnt/2") $(owner_of "$mnt/3") $(owner_of "$mnt")" \
    "$vmm:$vmm 600 $vmm:$vmm 600 0:0 1777"
is 'and who may read' "$(as $other open f rdonly "$mnt/3")" 'EACCES 13'
ends_cleanly
done_testing
