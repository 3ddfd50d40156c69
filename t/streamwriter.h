/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * streamwriter.h - writes small migration streams for tests, byte by byte as
 * QEMU would, and remembers where each field lies, so that a test can damage
 * exactly one. Written from the reference, not with the parser's code.
 */
#ifndef FDSET_STREAMWRITER_H
#define FDSET_STREAMWRITER_H

#include "core/source.h"

typedef struct {
    const char *name;
    guint64 pages;    /* target pages */
    gboolean shared;  /* left out; needs ignore_shared */
    guint64 address;  /* guest-physical, written with ignore_shared */
    guint64 huge_page; /* written when not 0; streaming only */
} StreamBlock;

/* What the stream looks like; all zero but 'blocks' is the streaming format as of today. */
typedef struct {
    guint64 start;          /* zeros before the stream */
    const char *machine;    /* its name; NULL: "pc-q35-10.0" */
    const char *capability; /* "mapped-ram" or "fixed-ram"; NULL for streaming */
    gboolean ignore_shared;
    gboolean big_endian;    /* bitmap words as a big-endian host writes them */
    guint page_bits;        /* 0: pages of 4096, not said in the stream */
    guint64 pages_align;    /* of pages_offset; 0: 1 MiB as QEMU */
    const StreamBlock *blocks;
    gsize n_blocks;
    gboolean uuid, flush_words, no_configuration, no_footers, no_vmdesc;
    gboolean early;         /* a described FULL section before ram, as virtio-mem has */
    gboolean foreign;       /* an iterable section that nobody describes, beside ram */
    gboolean wrong_sizes;   /* the description's sizes of one device are too small */
    gboolean resent;        /* pages of the first block are sent again, see put_resent() */
    gboolean compressed;    /* ... one of them compressed */
    gboolean unfinished;    /* ends behind the first ram PART */
    const char *json;       /* in the place of the description */
    guint64 note;           /* guest address of a VMCOREINFO note, told by a device; 0: none */
    guint32 note_len;       /* its bytes */
} StreamShape;

typedef struct {
    GByteArray *bytes;
    GHashTable *marks; /* name -> offset in bytes */
    GBytes *view;      /* of the last source made */
} StreamFile;

StreamFile *stream_file_new(const StreamShape *shape);

/* The offset of a field: "magic", "pc.ram:length", "eof", ... see streamwriter.c. */
guint64 stream_file_at(const StreamFile *file, const char *mark);

void stream_file_put_be32(StreamFile *file, guint64 offset, guint32 value);
void stream_file_put_be64(StreamFile *file, guint64 offset, guint64 value);

/* A source over the first 'size' bytes (all of them when larger), called "test". */
void stream_file_source(StreamFile *file, guint64 size, FdsetSource *source);

/* Whether page 'page' of a block is written, and the byte that it is full of. */
gboolean stream_page_present(guint64 page);
guint8 stream_page_byte(const char *block, guint64 page);

void stream_file_free(StreamFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamFile, stream_file_free)

#endif
