#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which names there are: decimal numbers and .ctl, and nothing else ever.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/mount.sh
. "$top_srcdir/t/mount.sh"

require_mount
start_mount

names() {
    (cd "$mnt" && bounded find . -mindepth 1 -printf '%P\n' | sort)
}

nothing=$(printf '%s\n' .ctl .ctl/last-error .ctl/metrics .ctl/progress .ctl/stats.json)
is 'a new store has no sets' "$(names)" "$nothing"

for name in abc 007 00 -1 +1 ' 1' 1x 0x1 2147483648 99999999999999999999 1.5 1.d; do
    is "no file is called \"$name\"" "$(sys stat "$mnt/$name")" 'ENOENT 2'
    is "\"$name\" cannot be made" "$(sys open f wronly+creat "$mnt/$name")" 'EINVAL 22'
    is "\"$name\" cannot be opened" "$(sys open f rdonly "$mnt/$name")" 'ENOENT 2'
    is "\"$name\" cannot be removed" "$(sys unlink "$mnt/$name")" 'ENOENT 2'
done
is 'none of them came into being' "$(names)" "$nothing"
is 'nor is there anything new in the store' "$(ls -A "$store")" $'control\nlock\nstore'

for name in 0 7 10 9 2147483647; do
    is "$name can be made" "$(sys open f wronly+creat "$mnt/$name" : close f)" '0, 0'
done
is 'sets are listed in the order of their numbers' \
    "$(bounded ls -U "$mnt" | paste -sd ' ')" '0 7 9 10 2147483647'
is 'a name in a set is none' "$(sys stat "$mnt/7/x")" 'ENOTDIR 20'

is 'O_EXCL refuses a set that is there' "$(sys open f wronly+creat+excl "$mnt/7")" 'EEXIST 17'
is 'O_EXCL makes one that is not' "$(sys open f wronly+creat+excl "$mnt/8" : close f)" '0, 0'
is 'without O_CREAT there must be a set' "$(sys open f wronly "$mnt/11")" 'ENOENT 2'
is 'a set cannot be made by reading' "$(sys open f rdonly+creat "$mnt/12" : close f)" '0, 0'

is '.ctl is read-only' "$(sys open f wronly "$mnt/.ctl/last-error")" 'EACCES 13'
is 'nothing can be made in .ctl' "$(sys open f wronly+creat "$mnt/.ctl/7")" 'EACCES 13'
is 'nothing can be removed from .ctl' "$(sys unlink "$mnt/.ctl/last-error")" 'EPERM 1'
is '.ctl cannot be removed' "$(sys rmdir "$mnt/.ctl")" 'EPERM 1'
is '.ctl cannot be truncated' "$(sys truncate "$mnt/.ctl/last-error" 0)" 'EPERM 1'
is '.ctl cannot be made again' "$(sys open f wronly+creat "$mnt/.ctl")" 'EISDIR 21'
is '.ctl keeps its mode' "$(sys chmod "$mnt/.ctl" 777)" 'EPERM 1'

before=$(names)
is 'mkdir is refused' "$(sys mkdir "$mnt/20")" 'EPERM 1'
is 'symlink is refused' "$(sys symlink 7 "$mnt/20")" 'EPERM 1'
is 'link is refused' "$(sys link "$mnt/7" "$mnt/20")" 'EPERM 1'
is 'rename is refused' "$(sys rename "$mnt/7" "$mnt/20")" 'EPERM 1'
is 'rename onto another set is refused' "$(sys rename "$mnt/7" "$mnt/8")" 'EPERM 1'
is 'rename out of the mount is refused' "$(sys rename "$mnt/7" "$dir/20")" 'EXDEV 18'
is 'mknod is refused' "$(sys mknod "$mnt/20")" 'EPERM 1'
is 'mkfifo is refused' "$(sys mkfifo "$mnt/20")" 'EPERM 1'
is 'rmdir of a set is refused' "$(sys rmdir "$mnt/7")" 'ENOTDIR 20'
is 'all is as it was' "$(names)" "$before"

is 'a set has one link' "$(stat -c %h "$mnt/7")" 1
is 'its st_ino does not depend on the look-up' "$(stat -c %i "$mnt/7")" "$(stat -c %i "$mnt/7")"
is 'its st_ino is the one that readdir tells' \
    "$(bounded ls -Ui "$mnt" | awk '$2 == 7 { print $1 }')" "$(stat -c %i "$mnt/7")"
is 'other sets have other ones' \
    "$(bounded ls -Ui "$mnt" | awk '{ print $1 }' | sort -u | wc -l)" "$(bounded ls "$mnt" | wc -l)"
is 'statfs tells of the disk that holds the store' \
    "$(bounded stat -f -c '%b %S' "$mnt")" "$(stat -f -c '%b %S' "$store")"

# ---- unlink ----

in_store() {
    find "$store" -mindepth 1 -maxdepth 1 -name "$1" | wc -l
}

gone_from_store() {
    [ "$(in_store '.removed-*')" -eq 0 ]
}

pattern 100000 >data
ok 'a set is written' bounded cp data "$mnt/30"
is 'an idle set can be removed' "$(sys unlink "$mnt/30")" 0
is 'it is gone' "$(sys stat "$mnt/30")" 'ENOENT 2'
is 'so is its directory' "$(in_store 30)" 0
ok 'its space is given back' wait_for 'the files to go' gone_from_store

ok 'a set is written again' bounded cp data "$mnt/30"
start_actor reader
is 'it can be opened for reading' "$(act reader open r rdonly "$mnt/30")" 0
is 'it can be removed while it is read' "$(sys unlink "$mnt/30")" 0
is 'its reader still has all of it' "$(act reader pread r 0 200000)" 100000
is 'the number can be used again at once' \
    "$(sys open f wronly+creat "$mnt/30" : pwrite f 0 10 : close f)" '0, 10, 0'
is 'the reader still has the old one' "$(act reader pread r 0 200000)" 100000
is 'the new one is another file' "$(stat -c %s "$mnt/30")" 10
is 'the reader closes it' "$(act reader close r)" 0
ok 'then the old files go' wait_for 'the files to go' gone_from_store
end_actor reader

start_actor writer
is 'a set is being written' "$(act writer open w wronly+creat "$mnt/31")" 0
is 'it can be removed meanwhile' "$(sys unlink "$mnt/31")" 0
is 'its writer goes on' "$(act writer pwrite w 0 5000)" 5000
is 'without a complaint' "$(act writer ftruncate w 4096)" 0
is 'the number is free' "$(sys stat "$mnt/31")" 'ENOENT 2'
is 'the writer closes it' "$(act writer close w)" 0
ok 'its files go' wait_for 'the files to go' gone_from_store
end_actor writer
is 'what was never there cannot be removed' "$(sys unlink "$mnt/31")" 'ENOENT 2'
ends_cleanly

start_mount -o create=no
is 'create=no: no set comes into being' "$(sys open f wronly+creat "$mnt/40")" 'ENOENT 2'
has 'create=no: the reason is in .ctl/last-error' "$(bounded tail -n 1 "$mnt/.ctl/last-error")" \
    '*fdset 40: no such set, and create=no: mount with create=yes'
is 'create=no: a set that is there can be opened' \
    "$(sys open f wronly+creat "$mnt/9" : close f)" '0, 0'
ends_cleanly
done_testing
