# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# lib.sh - what quickstart and check share: saying what is going on, installing
# what is missing, building. Sourced with "set -euo pipefail". It never asks.

top_srcdir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
qemu_oldest=9.1
libvirt_oldest=11.2                 # image format sparse, --parallel-channels
install=yes                         # --no-install sets it to no
progress_interval=5                 # seconds between signs of life
export LC_ALL=C

say() {
    printf '\n== %s\n' "$*"
}

note() {
    printf '   %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# ---- commands that take a while ----

# progress: passes a failing test on at once and, every few seconds, the last line that came.
progress() {
    local line last='' next=$((SECONDS + progress_interval)) status
    while :; do
        status=0
        IFS= read -r -t 1 line || status=$?
        case $status,$line in
            0,FAIL:* | 0,ERROR:* | 0,XPASS:*) note "$line" ;;
            0,*) last=$line ;;
            *) [ "$status" -gt 128 ] || break ;;
        esac
        [ "$SECONDS" -ge "$next" ] || continue
        printf '   %4d s  %.90s\n' "$SECONDS" "$last"
        next=$((SECONDS + progress_interval))
    done
}

# logged LOG COMMAND...: what it prints goes to LOG; the status is the command's.
logged() {
    local log=$1
    shift
    "$@" 2>&1 </dev/null | tee "$log" | progress
}

# ---- packages ----

has_command() {
    command -v "$1" >/dev/null
}

has_library() {
    pkg-config --exists "$1" 2>/dev/null
}

has_header() {
    [ -e "/usr/include/$1" ]
}

# has_python_module MODULE: of Debian's own Python, whatever stands before it in PATH.
has_python_module() {
    /usr/bin/python3 -c "import $1" 2>/dev/null
}

# PACKAGE PROBE ARGUMENT: the package is missing when the probe fails.
# shellcheck disable=SC2034 # for the scripts
build_needs=(
    'gcc has_command gcc'
    'libc6-dev has_header stdio.h'
    'make has_command make'
    'autoconf has_command autoconf'
    'automake has_command automake'
    'pkg-config has_command pkg-config'
    'libfuse3-dev has_library fuse3'
    'fuse3 has_command fusermount3'
    'libglib2.0-dev has_library gio-unix-2.0'
    'libjson-glib-dev has_library json-glib-1.0'
    'libxxhash-dev has_library libxxhash'
    'libseccomp-dev has_library libseccomp'
    'libzstd-dev has_library libzstd'
    'liblzma-dev has_library liblzma'
    'libbz2-dev has_header bzlib.h'
    'perl has_command pod2man'
)
# shellcheck disable=SC2034 # for the scripts
mount_needs=('attr has_command getfattr')

# missing NEED...: the packages whose probes fail, one a line.
missing() {
    local need package probe argument
    for need; do
        read -r package probe argument <<<"$need"
        "$probe" "$argument" || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# run_apt COMMAND...: apt-get as root, which never asks; a lock of somebody else is waited for.
run_apt() {
    note "apt-get $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}

# can_install: or says why not.
can_install() {
    if [ "$install" = no ]; then
        note 'nothing is installed because of --no-install'
    elif ! has_command apt-get; then
        note 'this machine has no apt-get: please install that yourself'
    elif [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
        note 'not root, and no sudo that works without a password: please install that yourself'
    else
        return 0
    fi
    return 1
}

apt_is_updated=
update_apt() {
    [ -z "$apt_is_updated" ] || return 0
    run_apt update || note 'apt-get update failed; trying with the lists that are there'
    apt_is_updated=yes
}

# install_missing NEED...
install_missing() {
    local packages
    mapfile -t packages < <(missing "$@")
    if [ "${#packages[@]}" -eq 0 ]; then
        note 'every package is there'
        return
    fi
    note "missing: ${packages[*]}"
    can_install || die "missing: ${packages[*]}"
    update_apt
    run_apt install "${packages[@]}"
    mapfile -t packages < <(missing "$@")
    [ "${#packages[@]}" -eq 0 ] || die "installed, and still not usable: ${packages[*]}"
}

# ---- what a stable Debian has in its backports only ----

# is_at_least OLDEST VERSION
is_at_least() {
    [ -n "$2" ] && printf '%s\n' "$1" "$2" | sort -C -V
}

qemu_version() {
    "${QEMU:-qemu-system-x86_64}" --version 2>/dev/null |
        sed -n 's/.*version \([0-9][0-9.]*\).*/\1/p'
}

has_qemu() {
    is_at_least "$qemu_oldest" "$(qemu_version)"
}

libvirt_version() {
    "${LIBVIRTD:-/usr/sbin/libvirtd}" --version 2>/dev/null |
        sed -n 's/.* \([0-9][0-9.]*\)$/\1/p'
}

# has_libvirt: the daemon with its driver for QEMU, and virsh.
has_libvirt() {
    local drivers
    drivers=$(compgen -G '/usr/lib*/*/libvirt/connection-driver/libvirt_driver_qemu.so' ||
        compgen -G '/usr/lib*/libvirt/connection-driver/libvirt_driver_qemu.so')
    [ -n "$drivers" ] && has_command virsh && is_at_least "$libvirt_oldest" "$(libvirt_version)"
}

# offers PACKAGE VERSION [APT-OPTION...]: apt would install one that is new enough.
offers() {
    local version package=$1 oldest=$2
    shift 2
    version=$(apt-cache "$@" policy "$package" | sed -n 's/^ *Candidate: //p')
    [ -n "$version" ] && [ "$version" != '(none)' ] &&
        dpkg --compare-versions "$version" ge "$oldest~"
}

os_release() {
    sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release
}

# apt_targets FIELD...: of each index of packages apt knows, separated by blanks.
apt_targets() {
    local format
    # shellcheck disable=SC2016 # for apt to expand
    format=$(printf ' $(%s)' "$@")
    apt-get indextargets --format "${format# }" 'Created-By: Packages'
}

has_suite() {
    apt_targets RELEASE | grep -x "$1" >/dev/null || apt_targets CODENAME | grep -x "$1" >/dev/null
}

# sites_of CODENAME: where apt gets Debian itself from; a third party's packages for it do not count.
sites_of() {
    apt_targets SITE CODENAME COMPONENT LABEL |
        awk -v codename="$1" '$2 == codename && $3 == "main" && $4 == "Debian" && !seen[$1]++ { print $1 }'
}

# add_suite SUITE CODENAME: from the mirror that apt already uses; a source file of our own.
add_suite() {
    local file=/etc/apt/sources.list.d/fdsetfs-backports.list site
    for site in $(sites_of "$2"); do
        note "adding $file: deb $site $1 main"
        printf '# Added by scripts of fdsetfs, for QEMU >= %s and libvirt >= %s.\ndeb %s %s main\n' \
            "$qemu_oldest" "$libvirt_oldest" "$site" "$1" | as_root tee "$file" >/dev/null
        as_root chmod 644 "$file"
        run_apt update -o APT::Update::Error-Mode=any -o Dir::Etc::sourcelist="$file" \
            -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0 && return
        note "$site does not have $1; taking $file back"
        as_root rm -f "$file"
    done
    return 1
}

# install_newer VERSION PACKAGE...: all of one suite, where the first is that new.
install_newer() {
    local codename suite oldest=$1
    shift
    can_install || return 1
    update_apt
    if offers "$1" "$oldest"; then
        run_apt install "$@"
        return
    fi
    codename=$(os_release VERSION_CODENAME)
    suite=$codename-backports
    [ "$(os_release ID)" = debian ] || return 1
    if ! has_suite "$suite"; then
        note "$codename has no $1 >= ${oldest#*:} and $suite is not configured"
        add_suite "$suite" "$codename" || return 1
    fi
    offers "$1" "$oldest" -t "$suite" || return 1
    run_apt install -t "$suite" "$@"
}

# need_qemu: true when there is one that is new enough, in the end.
need_qemu() {
    if has_qemu; then
        note "QEMU $(qemu_version) is there"
        return
    fi
    note "QEMU: $(qemu_version || echo none), needed: $qemu_oldest or later"
    install_newer "1:$qemu_oldest" qemu-system-x86 || return 1
    has_qemu
}

has_other_qemus() {
    is_at_least "$qemu_oldest" "$(QEMU=qemu-system-aarch64 qemu_version)" &&
        is_at_least "$qemu_oldest" "$(QEMU=qemu-system-riscv64 qemu_version)"
}

# need_other_qemus: the same for the machines of Arm and RISC-V.
need_other_qemus() {
    has_other_qemus ||
        install_newer "1:$qemu_oldest" qemu-system-arm qemu-system-riscv || return 1
    has_other_qemus
}

# need_libvirt: the same.
need_libvirt() {
    if has_libvirt; then
        note "libvirt $(libvirt_version) is there"
        return
    fi
    note "libvirt: $(libvirt_version || echo none), needed: $libvirt_oldest or later"
    install_newer "$libvirt_oldest" libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients || return 1
    has_libvirt
}

# ---- building ----

# run_autoreconf: once for all build directories.
run_autoreconf() {
    [ ! -e "$top_srcdir/config.status" ] ||
        die "$top_srcdir is configured itself; run \"make distclean\" there first"
    mkdir -p "$top_srcdir/build"
    note 'autoreconf -fi'
    (cd "$top_srcdir" && logged build/autoreconf.log autoreconf -fi)
}

# build NAME [CONFIGURE-OPTION]...: in build/NAME.
build() {
    local where=$top_srcdir/build/$1
    shift
    mkdir -p "$where"
    note "configure${*:+ $*}"
    (cd "$where" && logged configure.log "$top_srcdir/configure" "$@") || return 1
    note "make -j$(nproc)"
    logged "$where/make.log" make -C "$where" "-j$(nproc)"
}

# ---- results of tests ----

# count_results DIR: how many passed, failed and were skipped, from automake's .trs files. A test
# that has failures also ends with a status, which is an ERROR there and not one more failure.
count_results() {
    # shellcheck disable=SC2016 # for awk to expand
    find "$1" -name '*.trs' -print0 | xargs -0 awk '
        $1 != ":test-result:" { next }
        $2 == "PASS" || $2 == "XFAIL" { passed++ }
        $2 == "FAIL" || $2 == "XPASS" { fails[FILENAME]++ }
        $2 == "ERROR" { errors[FILENAME]++ }
        $2 == "SKIP" { skipped++ }
        END {
            for (file in fails) { failed += fails[file]; delete errors[file] }
            for (file in errors) failed += errors[file]
            print passed + 0, failed + 0, skipped + 0
        }' /dev/null
}

# names_of_failures DIR: the tests that failed there, on one line.
names_of_failures() {
    local trs names=()
    while IFS= read -r trs; do
        trs=${trs#"$1/"}
        names+=("${trs%.trs}.t")
    done < <(tests_with 'FAIL|XPASS|ERROR' "$1")
    printf '%s' "${names[*]}"
}

# tests_with RESULT DIR: the .trs files that have one that matches.
tests_with() {
    find "$2" -name '*.trs' -exec awk -v result="^($1)\$" \
        '$1 == ":test-result:" && $2 ~ result { print FILENAME; nextfile }' {} + | sort
}
