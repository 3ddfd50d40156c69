#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The commands of the README: how they are called, which QEMU they are content
# with, where they take packages from.
# shellcheck disable=SC2317 # ok calls functions by name
# shellcheck disable=SC2016 # the code of a child, expanded there

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"

scripts=$top_srcdir/scripts

for script in quickstart check bench; do
    has "$script --help says how it is called" "$("$scripts/$script" --help 2>&1)" \
        "usage: scripts/$script*"
    "$scripts/$script" --nonsense >/dev/null 2>&1
    is "$script refuses an option it does not have" $? 2
done
"$scripts/quickstart" --size 63 >/dev/null 2>&1
is 'quickstart refuses a guest that is too small' $? 2

# with_lib CODE: in a bash of its own that has scripts/lib.sh.
with_lib() {
    bash -c "set -euo pipefail; . '$scripts/lib.sh'; $1"
}

# fake NAME: a command in bin/ that runs the code on stdin.
mkdir bin
fake() {
    { echo '#!/bin/bash' && cat; } >"bin/$1"
    chmod +x "bin/$1"
}
PATH=$dir/bin:$PATH

# is_content VERSION: with a QEMU that says so.
is_content() {
    echo "echo 'QEMU emulator version $1 (Debian)'; echo Copyright" | fake fake-qemu
    QEMU=fake-qemu with_lib has_qemu
}

is_not_content() {
    ! is_content "$1"
}

ok 'QEMU 9.1.0 will do' is_content 9.1.0
ok 'QEMU 10.0.2 will do' is_content 10.0.2
ok 'QEMU 7.2.19 is too old' is_not_content 7.2.19
ok 'QEMU 9.0.4 is too old' is_not_content 9.0.4
# libvirt_is_content VERSION: with a libvirtd that says so.
libvirt_is_content() {
    echo "echo '/usr/sbin/libvirtd (libvirt) $1'" | fake fake-libvirtd
    LIBVIRTD=fake-libvirtd with_lib 'is_at_least "$libvirt_oldest" "$(libvirt_version)"'
}
libvirt_is_not_content() {
    ! libvirt_is_content "$1"
}
ok 'libvirt 11.3.0 will do' libvirt_is_content 11.3.0
ok 'libvirt 9.0.0 is too old' libvirt_is_not_content 9.0.0
is 'a machine without QEMU has none' "$(QEMU=no-such-qemu with_lib 'has_qemu || echo none')" none

fake apt-get <<'END_OF_FAKE'
cat <<'END_OF_TARGETS'
http://security.example/debian-security bookworm-security main Debian-Security
http://vendor.example/debian bookworm main Vendor
http://vendor.example/debian bookworm stable Vendor
http://mirror.example/debian bookworm non-free-firmware Debian
http://mirror.example/debian bookworm main Debian
http://mirror.example/debian bookworm main Debian
http://mirror.example/debian bookworm-updates main Debian
http://second.example/debian bookworm main Debian
END_OF_TARGETS
END_OF_FAKE
is 'only mirrors of Debian itself are asked for backports' "$(with_lib 'sites_of bookworm')" \
    $'http://mirror.example/debian\nhttp://second.example/debian'

# offers VERSION: apt says that this is what it would install.
offers() {
    printf 'printf "qemu-system-x86:\\n  Installed: (none)\\n  Candidate: %s\\n"' "$1" | fake apt-cache
    with_lib 'offers qemu-system-x86 "1:$qemu_oldest" && echo yes || echo no'
}

# installed VERSION [BACKPORT]: what apt-get is called with where these are to be had.
installed() {
    printf 'for a; do [ "$a" != -t ] || set -- backports; done
[ "$1" = backports ] && v=%s || v=%s
printf "libvirt-daemon:\\n  Candidate: $v\\n"' "${2:-none}" "$1" | fake apt-cache
    echo 'all=$*; case $all in *indextargets*RELEASE*) echo x-backports ;; *" install "*) echo "install ${all#* install }" ;; esac' |
        fake apt-get
    with_lib 'can_install() { :; }; as_root() { "$@"; }; note() { :; }
        os_release() { [ "$1" = ID ] && echo debian || echo x; }
        install_newer 11.2 libvirt-daemon libvirt-clients 2>&1 || echo none'
}

if command -v dpkg >/dev/null; then
    is 'a package of QEMU 7.2 is not taken' "$(offers '1:7.2+dfsg-7+deb12u18')" no
    is 'a package of QEMU 10 from backports is' "$(offers '1:10.0.2+ds-2+deb13u1~bpo12+1')" yes
    is 'no package is none' "$(offers '(none)')" no
    is 'what is new enough comes from the distribution' "$(installed 11.3.0-3)" \
        'install libvirt-daemon libvirt-clients'
    is 'or else from its backports, all of it' "$(installed 9.0.0-4+deb12u2 11.3.0-2~bpo12+1)" \
        'install -t x-backports libvirt-daemon libvirt-clients'
    is 'or not at all' "$(installed 9.0.0-4+deb12u2 9.0.0-5)" none
else
    skip 'which packages are taken' 'this machine has no dpkg'
fi

is 'what is there is not missing' \
    "$(with_lib 'missing "bash has_command bash" "nothing has_command no-such-command"')" nothing

fake apt-get <<'END_OF_FAKE'
echo called >apt-was-called
END_OF_FAKE
is 'nothing is installed where nothing is missing' \
    "$(with_lib 'install_missing "bash has_command bash"' && ls apt-was-called 2>&1)" \
    "   every package is there
ls: cannot access 'apt-was-called': No such file or directory"
ok 'nothing is installed with --no-install' \
    with_lib 'install=no; ! (install_missing "nothing has_command no-such-command"); [ ! -e apt-was-called ]'

mkdir results
printf ':test-result: %s\n' PASS XFAIL FAIL SKIP FAIL ERROR >results/a.trs
printf ':test-result: %s\n' PASS ERROR >results/b.trs
printf ':test-result: %s\n' ERROR >results/c.trs
printf ':test-result: %s\n' PASS >results/d.trs
is 'passed, failed and skipped tests are counted' "$(with_lib 'count_results results')" '4 4 1'
mkdir nothing
is 'no tests are none' "$(with_lib 'count_results nothing')" '0 0 0'
is 'the tests that failed are found' "$(with_lib "tests_with 'FAIL|XPASS|ERROR' results")" \
    $'results/a.trs\nresults/b.trs\nresults/c.trs'
is 'and named on one line' "$(with_lib 'names_of_failures results')" 'a.t b.t c.t'

# ---- the end of a story ----

# The number of a process of ours that has ended is somebody else's now.
spares_another() {
    local pid status=1
    sleep 60 &
    pid=$!
    own "$pid"
    born[$pid]=1
    send KILL "$pid" || { has_ended "$pid" && look_at "$pid" && status=0; }
    born[$pid]=${process[19]}
    end_process "$pid"
    return "$status"
}
ok 'a process that has the number of one of ours is not killed' spares_another
ends_its_own() {
    local pid
    spawn pid own.log sleep 60
    is_running "$pid" && end_process "$pid" && has_ended "$pid" && [ -z "${born[$pid]:-}" ]
}
ok 'one of ours is' ends_its_own

is 'the status of a command survives its log' \
    "$(with_lib 'logged log bash -c "echo out; exit 7" || echo $?; cat log')" $'7\nout'

if command -v shellcheck >/dev/null; then
    for script in "$scripts"/{lib.sh,bench-views.sh,guest.sh,quickstart,check,bench}; do
        ok "shellcheck has nothing to say about ${script##*/}" \
            shellcheck -S warning -x -P "$top_srcdir" "$script"
    done
else
    skip 'shellcheck has nothing to say' 'shellcheck is not installed'
fi

done_testing
