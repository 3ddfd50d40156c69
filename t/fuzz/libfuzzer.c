/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entry of libFuzzer: the target is the one whose name the environment gives. */
#include "config.h"
#include "t/fuzz/targets.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const FuzzTarget *target;
    const char *name = g_getenv("FUZZ_TARGET");

    if (!target)
        target = name ? fuzz_target_find(name) : NULL;
    if (!target) {
        fprintf(stderr, "FUZZ_TARGET names no target\n");
        exit(2);
    }
    target->run(data, size);
    return 0;
}
