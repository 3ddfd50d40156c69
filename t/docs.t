#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What users are told against what the code does: --help, the man page, the
# tables of attributes, control files, states and exit statuses.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"

pod=$top_srcdir/man/fdsetfs.8.pod
[ -x "$fdsetfs" ] || bail_out "$fdsetfs is not built"

# Every list is one word a line, sorted.

# An option too long for its column has a line of its own.
help_options() {
    "$fdsetfs" --help | sed -n -e '/^    [^ ]\{23,\}$/{ s/^ *//p; d }' -e 's/^    \(.\{22\}\).*/\1/p' | tr -s ' ' '\n' |
        grep -v -e '^$' -e '^OPTION' | sort -u
}

# section NAME: of the man page, without its formatting codes.
section() {
    awk -v title="$1" '/^=head[12] / { level = substr($1, 6); text = substr($0, 8) }
        /^=head[12] / && text == title { inside = level; next }
        /^=head[12] / && level <= inside { exit }
        inside' "$pod" | sed 's/[BCFIL]<\([^>]*\)>/\1/g'
}

# items NAME: what the =item lines of a section name.
items() {
    section "$1" | sed -n 's/^=item //p' | tr -s ', ' '\n' | sort -u
}

man_options() {
    items OPTIONS | grep -v '^OPTION'
}

# strings_in FILE PATTERN: what \(\) matches there.
strings_in() {
    sed -n "s/$2/\1/p" "$top_srcdir/$1" | sort -u
}

# words_of_options: NAME and its words from --help, one option a line.
words_of_options() {
    help_options | sed -n 's/^\([a-z]*\)=\([a-z0-9]*|.*\)$/\1 \2/p'
}

takes_its_words() {
    local word
    for word in ${2//|/ }; do
        "$fdsetfs" -o "$1=$word" --version >/dev/null || return 1
    done
}

exit_statuses() {
    sed -n '/^int fdset_error_to_exit/,/^}/s/.*return \([0-9]*\);.*/\1/p' "$top_srcdir/core/error.c"
}

is 'an option in --help is in the man page, and the other way round' \
    "$(help_options)" "$(man_options)"
has 'there are options at all' "$(help_options)" '*--help*rules=qemu|v4*'

while read -r name words; do
    ok "$name takes the words that --help names" takes_its_words "$name" "$words"
    is "$name takes no others" "$("$fdsetfs" -o "$name=nonsense" a b 2>&1 | head -n 1)" \
        "fdsetfs: option $name=nonsense: expected one of: ${words//|/, }"
done < <(words_of_options)
"$fdsetfs" -o rules=nonsense a b 2>/dev/null
is 'an option that makes no sense ends with the status for that' $? 2

is 'every extended attribute is in the man page, and no other' \
    "$(items 'Extended attributes of a set')" \
    "$(strings_in fs/xattr.c '^ *{"\(user\.fdsetfs\.[a-z_]*\)",.*')"
is 'every control file is in the man page, and no other' \
    "$(items 'Files in MOUNTPOINT/.ctl')" \
    "$(strings_in fs/ctl.c '^ *{"\([a-z.-]*\)", *render.*' | sed 's|^|.ctl/|')"
is 'every state is in the man page, and no other' "$(items States)" \
    "$(grep -o '\[FDSET_STATUS_[A-Z]*\] = "[a-z]*"' "$top_srcdir/core/set.c" |
        sed 's/.*"\(.*\)"/\1/' | sort -u)"
is 'every exit status is in the man page, and no other' "$(items 'EXIT STATUS')" \
    "$( (echo 0 && exit_statuses) | sort -u)"

if command -v podchecker >/dev/null; then
    ok 'the man page is valid POD' podchecker -warnings "$pod"
else
    skip 'the man page is valid POD' 'podchecker is not installed'
fi

# ---- fdsetctl ----

fdsetctl=$top_builddir/fs/fdsetctl
pod=$top_srcdir/man/fdsetctl.1.pod

# ctl_help FROM TO: the first column of a part of --help, without its indentation.
ctl_help() {
    "$fdsetctl" --help | sed -n "/^$1/,/^$2/s/^    \(.\{22\}\).*/\1/p"
}

is 'fdsetctl: an option in --help is in the man page, and the other way round' \
    "$(ctl_help options fdsetctl | tr -s ' ' '\n' | grep -e ^- | sort -u)" \
    "$(items OPTIONS | grep -e ^-)"
is 'fdsetctl: every command is in the man page, and no other' \
    "$(ctl_help commands options | sed 's/ .*//' | grep . | sort -u)" \
    "$(section COMMANDS | sed -n 's/^=item \([a-z-]*\).*/\1/p' | sort -u)"
is 'fdsetctl: every exit status is in the man page, and no other' "$(items 'EXIT STATUS')" \
    "$( (echo 0 && exit_statuses) | sort -u)"
while read -r rule; do
    grep -qF "{\"$rule\"," "$top_srcdir/fs/ctl-client-why.c" || gone+=" $rule"
done < <(strings_in core/rules.c '.*EACCES, "\([a-z-]*\)".*' &&
    strings_in core/rules.c '.*EBUSY, "\([a-z-]*\)".*')
is 'fdsetctl why has advice for every rule' "${gone:-}" ''
# Those of descriptors have some of their own and one for all the others.
gone=
while read -r rule; do
    grep -qF "\"$rule\"" "$top_srcdir"/core/{fdrules,set-fds}.c || gone+=" $rule"
done < <(strings_in fs/ctl-client-why.c '^ *{"\(fd-[a-z-]*[a-z]\)",.*')
is 'and none for a rule that is not there' "$gone" ''
has 'rules about descriptors have advice, too' "$(strings_in fs/ctl-client-why.c '^ *{"\(fd-\)",.*')" 'fd-'
if command -v podchecker >/dev/null; then
    ok 'fdsetctl: the man page is valid POD' podchecker -warnings "$pod"
else
    skip 'fdsetctl: the man page is valid POD' 'podchecker is not installed'
fi
words=$(
    PATH=$top_builddir/fs:$PATH
    # shellcheck source=completions/fdsetctl
    . "$top_srcdir/completions/fdsetctl"
    # shellcheck disable=SC2034 # bash's own names
    COMP_WORDS=(fdsetctl w) COMP_CWORD=1
    _fdsetctl
    echo "${COMPREPLY[*]}"
)
is 'bash completes a command' "$words" 'why watch wait'

# ---- the control socket ----

pod=$top_srcdir/man/fdsetfs.8.pod
is 'every command of the control socket is in the man page, and no other' \
    "$(section Commands | sed -n '/^=item/s/{[^}]*}//g; s/^=item //p' | tr -s ', ' '\n' | grep . | sort -u)" \
    "$(strings_in fs/control-command.c '^ *{"\([a-z-]*\)",\{0,1\}.*' | grep -v -e '^fdset-id$' -e '^state$' -e '^timeout$' -e '^opaque$' -e '^fd$')"
is 'every event is in the man page, and no other' "$(items Events)" \
    "$(strings_in fs/events.c '.*\] = "\([A-Z_]*\)".*')"

# ---- files that one document says are there ----

# paths_in FILE: names of the source tree that the text speaks of.
paths_in() {
    # shellcheck disable=SC2016 # backquotes are meant
    grep -oE '`(core|fs|t|scripts|man)/[a-z][a-z0-9_./-]*`' "$top_srcdir/$1" | tr -d '`' | sort -u
}

for document in README.md ARCHITECTURE.md HACKING.md SECURITY.md; do
    gone=
    for path in $(paths_in "$document"); do
        [ -e "$top_srcdir/$path" ] || [ -e "$top_builddir/$path" ] || gone+=" $path"
    done
    is "$document names no file that is not there" "$gone" ''
done

done_testing
