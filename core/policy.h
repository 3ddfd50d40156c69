/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.h - how a store is to be served: the mount options that core/ acts on.
 * Plain data, set before the store is opened and not changed afterwards.
 */
#ifndef FDSET_POLICY_H
#define FDSET_POLICY_H

#include "core/rules.h"

typedef struct {
    FdsetProfile profile;     /* rules=             */
    FdsetDio dio;             /* dio=               */
    gboolean refuse_at_write; /* refuse=write       */
    gboolean no_verify;       /* verify=off         */
    gboolean no_create;       /* create=no          */
    gboolean read_only;       /* ro                 */
    gboolean one_thread;      /* -s: an open must not wait for another request */
    char **channel_dirs;      /* channel-dir=, absolute, NULL-terminated, or NULL; borrowed */
} FdsetPolicy;

#endif
