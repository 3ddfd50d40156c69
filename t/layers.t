#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The layers hold: t/ and scripts/ -> fs/ -> core/, and core/ knows no libfuse.
# Each header says all it needs, each source file its licence.
# shellcheck disable=SC2317 # ok calls functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"

makefile=$top_builddir/Makefile
[ -r "$makefile" ] || bail_out "no Makefile in $top_builddir"

# configured NAME: a variable as configure found it.
configured() {
    sed -n "s/^$1 = //p" "$makefile"
}

# includes LAYER PATTERN: the lines that include something of it.
includes() {
    grep -nE "^ *# *include *[<\"]$2" "$top_srcdir/$1"/*.[ch] | sed "s|^$top_srcdir/||"
}

is 'core/ includes nothing of libfuse' "$(includes core '(fuse|.*/fuse)')" ''
is 'core/ includes nothing of fs/ or t/' "$(includes core '(fs|t)/')" ''
is 'fs/ includes nothing of t/' "$(includes fs 't/')" ''
is 'the objects of core/ ask nothing of libfuse' \
    "$(nm -u "$top_builddir/core/libcore.a" | grep -w 'U fuse_[a-z_]*')" ''
is 'core/ is built without the flags of libfuse' \
    "$(grep -n FUSE "$top_srcdir/core/Makemodule.am")" ''

is 'json-glib gets no text but through core/jsontext.c' \
    "$(grep -nE 'json_(from_string|parser_)' "$top_srcdir"/{core,fs}/*.c | grep -v /core/jsontext.c:)" ''

read -ra cc <<<"$(configured CC) $(configured CORE_CFLAGS)"
read -ra fuse_flags <<<"$(configured FUSE_CFLAGS)"

# compiles_alone HEADER [FLAG]...: twice in one file, so that its guard is seen, too.
compiles_alone() {
    local header=$1
    shift
    printf '#include "config.h"\n#include "%s"\n#include "%s"\n' "$header" "$header" >alone.c
    "${cc[@]}" "$@" -Wall -Wextra -Wno-unused-parameter -Werror -fsyntax-only \
        -I"$top_builddir" -I"$top_srcdir" -DG_LOG_DOMAIN='"test"' alone.c
}

for header in "$top_srcdir"/core/*.h; do
    header=core/${header##*/}
    ok "$header compiles alone" compiles_alone "$header"
done
for header in "$top_srcdir"/fs/*.h; do
    header=fs/${header##*/}
    ok "$header compiles alone" compiles_alone "$header" "${fuse_flags[@]}"
done

# sources: everything that somebody wrote, not what was built beside it.
sources() {
    local file
    for file in "$top_srcdir"/{core,fs,t,scripts}/*; do
        case $file in
            *.c | *.h | *.sh | *.t | */scripts/*) ;;
            *) continue ;;
        esac
        [ -f "$file" ] && LC_ALL=C grep -qI . "$file" && echo "$file"
    done
    ls "$top_srcdir"/man/*.pod
}

without_licence() {
    local file
    for file in $(sources); do
        case $file in
            *.trs | *.log | *Makemodule.am) continue ;;
        esac
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later' ||
            echo "${file#"$top_srcdir/"}"
    done
}

has 'there are sources at all' "$(sources)" '*core/rules.c*fs/ops.c*t/lib.sh*'
is 'every source file names its licence' "$(without_licence)" ''

done_testing
