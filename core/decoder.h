/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decoder.h - compressed formats, each as the same three functions over the
 * library that there is for it.
 */
#ifndef FDSET_DECODER_H
#define FDSET_DECODER_H

#include "core/libvirt.h"

typedef enum {
    FDSET_DECODER_MORE,    /* goes on with more input or more room  */
    FDSET_DECODER_END,     /* a member has ended; another may follow */
    FDSET_DECODER_DAMAGED, /* no data of this format                */
} FdsetDecoderResult;

/* Input and output of one step; 'used' and 'made' are results, bytes. */
typedef struct {
    const guint8 *in;
    gsize in_len;
    gsize used;
    guint8 *out;
    gsize out_len;
    gsize made;
} FdsetDecoderStep;

typedef struct {
    FdsetLibvirtFormat format;
    guint8 magic[6];
    gsize magic_len;
    /* NULL: this build has no library for it. The state for one member. */
    gpointer (*start)(void);
    FdsetDecoderResult (*step)(gpointer state, FdsetDecoderStep *step);
    void (*end)(gpointer state);
} FdsetDecoder;

/* NULL for a format that is not compressed. */
const FdsetDecoder *fdset_decoder_find(FdsetLibvirtFormat format);

/* The formats; a table that ends with one that has no magic. */
const FdsetDecoder *fdset_decoders(void);

#endif
