/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h - the command line of fdsetfs, as mount(8) and people give it.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include "core/policy.h"
#include "core/inspection.h"
#include "core/vmcoreinfo.h"
#include "fs/fuse.h"

typedef struct {
    char *store;      /* as given: a store, or a migration file */
    char *mountpoint; /* as given */
    gboolean foreground;
    gboolean debug;
    gboolean help;
    gboolean version;
    FdsetPolicy policy;
    GPtrArray *channel_dirs;  /* what policy.channel_dirs points into */
    char *control;            /* control=: absolute path; NULL: in the store */
    gboolean no_control;      /* control=off */
    GArray *control_uids;     /* control-uid=, of uid_t */
    gboolean has_offset;      /* offset=, of the stream in a file */
    guint64 offset;           /* the same */
    char *cache_dir;          /* cache-dir=, absolute; NULL: the user's */
    gboolean no_cache;        /* cache-dir=off */
    GPtrArray *gpa;           /* owned strings; gpa=, as given */
    GBytes *domain_xml;       /* owned, or NULL; what is in the file of domain-xml= */
    FdsetVmcoreinfoMode vmcoreinfo;
    FdsetByteOrder bitmap;    /* bitmap= */
    struct fuse_args session; /* what is left for libfuse */
} FsOptions;

/*
 * Parses the command line. Errors: FDSET_ERROR_USAGE, saying which option and
 * what it takes. With help or version set, the operands may be missing.
 */
FsOptions *fs_options_parse(int argc, char **argv, GError **error);
void fs_options_free(FsOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsOptions, fs_options_free)

/* The text of --help; static. */
const char *fs_options_help(void);

#endif
