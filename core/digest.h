/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * digest.h - the keyed digest of a block, and of the records about blocks.
 *
 * XXH3-128 with a random secret per store, so that a guest cannot craft two
 * blocks that look the same. A block's digest is the first 14 bytes; it is
 * never all zero, because a zero digest in a record means "not yet known".
 */
#ifndef FDSET_DIGEST_H
#define FDSET_DIGEST_H

#include <glib.h>

#define FDSET_BLOCK_SIZE 4096u /* bytes of the image, aligned */
#define FDSET_DIGEST_SIZE 14u
#define FDSET_SUM_SIZE 16u
#define FDSET_KEY_SIZE 192u /* XXH3's own default secret size; its minimum is 136 */

typedef struct {
    guint8 secret[FDSET_KEY_SIZE];
} FdsetKey;

/* A fresh key from the kernel's random generator. FALSE: it gave none. */
gboolean fdset_key_generate(FdsetKey *key, GError **error);

/* As 2 * FDSET_KEY_SIZE hexadecimal digits; caller frees. */
char *fdset_key_to_hex(const FdsetKey *key);
gboolean fdset_key_from_hex(FdsetKey *key, const char *hex);

/* The digest of one block of FDSET_BLOCK_SIZE bytes (zero-padded by the caller). */
void fdset_digest_block(const FdsetKey *key, gconstpointer block, guint8 digest[FDSET_DIGEST_SIZE]);

/* The digest of any bytes; not all zero either. */
void fdset_digest_bytes(const FdsetKey *key, gconstpointer data, gsize len,
                        guint8 sum[FDSET_SUM_SIZE]);

/* TRUE when all 'len' bytes are zero. */
gboolean fdset_bytes_are_zero(gconstpointer data, gsize len);

/* Lower-case hexadecimal, both ways; from_hex is FALSE unless exactly 2 * len digits stand there. */
char *fdset_bytes_to_hex(gconstpointer data, gsize len);
gboolean fdset_bytes_from_hex(gpointer data, gsize len, const char *hex);

#endif
