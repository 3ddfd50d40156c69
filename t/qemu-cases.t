#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# QEMU's own eleven file-migration cases through the mount, on sets of the store.
# shellcheck disable=SC2317 # ok and wait_for call functions by name

# shellcheck source=t/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/qemu.sh
. "$top_srcdir/t/qemu.sh"
# shellcheck source=t/qemu-cases.sh
. "$top_srcdir/t/qemu-cases.sh"

require_mount
require_qemu
require_direct_io
start_mount
try_all_cases
ok 'fdsetfs ends cleanly after all of it' stop_mount
done_testing
