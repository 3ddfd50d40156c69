/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics.h - .ctl/metrics: the counters in Prometheus' text format (version
 * 0.0.4), from a table of metrics with a function each. Base units: bytes and
 * seconds; a counter's name ends in _total.
 */
#ifndef FS_METRICS_H
#define FS_METRICS_H

#include "fs/ops.h"

/* The whole text; caller frees. */
char *fs_metrics_render(FsContext *context);

#endif
