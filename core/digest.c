/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/digest.h"
#include "core/error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>
#ifdef HAVE_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* the widest vectors this CPU has, at run time */
#endif

gboolean fdset_key_generate(FdsetKey *key, GError **error)
{
    if (getrandom(key->secret, sizeof key->secret, 0) == (ssize_t)sizeof key->secret)
        return TRUE;
    fdset_error_set_errno(error, errno, "no random bytes for the store's secret");
    return FALSE;
}

char *fdset_key_to_hex(const FdsetKey *key)
{
    return fdset_bytes_to_hex(key->secret, sizeof key->secret);
}

gboolean fdset_key_from_hex(FdsetKey *key, const char *hex)
{
    return fdset_bytes_from_hex(key->secret, sizeof key->secret, hex);
}

void fdset_digest_bytes(const FdsetKey *key, gconstpointer data, gsize len,
                        guint8 sum[FDSET_SUM_SIZE])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical,
                             XXH3_128bits_withSecret(data, len, key->secret, FDSET_KEY_SIZE));
    memcpy(sum, canonical.digest, FDSET_SUM_SIZE);
    if (fdset_bytes_are_zero(sum, FDSET_DIGEST_SIZE))
        sum[0] = 1;
}

void fdset_digest_block(const FdsetKey *key, gconstpointer block, guint8 digest[FDSET_DIGEST_SIZE])
{
    guint8 sum[FDSET_SUM_SIZE];

    fdset_digest_bytes(key, block, FDSET_BLOCK_SIZE, sum);
    memcpy(digest, sum, FDSET_DIGEST_SIZE);
}

gboolean fdset_bytes_are_zero(gconstpointer data, gsize len)
{
    const guint8 *bytes = data;

    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

char *fdset_bytes_to_hex(gconstpointer data, gsize len)
{
    GString *hex = g_string_sized_new(2 * len);

    for (gsize i = 0; i < len; i++)
        g_string_append_printf(hex, "%02x", ((const guint8 *)data)[i]);
    return g_string_free(hex, FALSE);
}

gboolean fdset_bytes_from_hex(gpointer data, gsize len, const char *hex)
{
    if (strlen(hex) != 2 * len)
        return FALSE;
    for (gsize i = 0; i < len; i++) {
        int high = g_ascii_xdigit_value(hex[2 * i]);
        int low = g_ascii_xdigit_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return FALSE;
        ((guint8 *)data)[i] = (guint8)(high << 4 | low);
    }
    return TRUE;
}
