/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/digest.h"
#include "t/fixture.h"
#include "t/tap.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static FdsetKey a_key(void)
{
    g_autoptr(GError) error = NULL;
    FdsetKey key;

    fdset_key_generate(&key, &error);
    g_assert_no_error(error);
    return key;
}

static void test_keys_differ(void)
{
    FdsetKey one = a_key(), other = a_key();

    g_assert_true(memcmp(&one, &other, sizeof one) != 0);
    g_assert_false(fdset_bytes_are_zero(one.secret + FDSET_KEY_SIZE - 16, 16));
}

static void test_key_round_trip(void)
{
    FdsetKey key = a_key(), back = {{0}};
    g_autofree char *hex = fdset_key_to_hex(&key);

    g_assert_cmpuint(strlen(hex), ==, 2 * FDSET_KEY_SIZE);
    g_assert_true(fdset_key_from_hex(&back, hex));
    g_assert_cmpmem(&key, sizeof key, &back, sizeof back);
}

static void test_bad_hex(void)
{
    static const char *const bad[] = {"",       "0",      "001",    "00112",  "001122 ",
                                      "0011 2", "0x1122", "00112g", "-01122", "00112233"};
    guint8 bytes[3];

    g_assert_true(fdset_bytes_from_hex(bytes, 3, "00AbfF"));
    g_assert_cmpmem(bytes, 3, "\x00\xab\xff", 3);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(fdset_bytes_from_hex(bytes, 3, bad[i]));
}

/* The canonical (big-endian) XXH3-128, so that a store is the same on every host. */
static void test_is_xxh3(void)
{
    FdsetKey key = a_key();
    Random random = random_new();
    guint8 block[FDSET_BLOCK_SIZE], digest[FDSET_DIGEST_SIZE];
    XXH128_canonical_t expected;

    for (guint i = 0; i < 100; i++) {
        random_fill(&random, block, sizeof block);
        XXH128_canonicalFromHash(
            &expected, XXH3_128bits_withSecret(block, sizeof block, key.secret, FDSET_KEY_SIZE));
        fdset_digest_block(&key, block, digest);
        g_assert_cmpmem(digest, FDSET_DIGEST_SIZE, expected.digest, FDSET_DIGEST_SIZE);
    }
}

static void test_every_bit_counts(void)
{
    FdsetKey key = a_key();
    guint8 block[FDSET_BLOCK_SIZE] = {0}, digest[FDSET_DIGEST_SIZE], other[FDSET_DIGEST_SIZE];

    fdset_digest_block(&key, block, digest);
    for (guint bit = 0; bit < 8 * FDSET_BLOCK_SIZE; bit++) {
        block[bit / 8] ^= (guint8)(1 << bit % 8);
        fdset_digest_block(&key, block, other);
        block[bit / 8] ^= (guint8)(1 << bit % 8);
        g_assert_true(memcmp(digest, other, sizeof digest) != 0);
    }
}

static void test_key_counts(void)
{
    FdsetKey key = a_key(), other = key;
    guint8 block[FDSET_BLOCK_SIZE] = {0}, one[FDSET_DIGEST_SIZE], two[FDSET_DIGEST_SIZE];

    other.secret[100] ^= 1;
    fdset_digest_block(&key, block, one);
    fdset_digest_block(&other, block, two);
    g_assert_true(memcmp(one, two, sizeof one) != 0);
}

static void test_never_zero(void)
{
    FdsetKey key = a_key();
    guint8 block[FDSET_BLOCK_SIZE] = {0}, digest[FDSET_DIGEST_SIZE], sum[FDSET_SUM_SIZE];

    fdset_digest_block(&key, block, digest);
    fdset_digest_bytes(&key, block, 0, sum);
    g_assert_false(fdset_bytes_are_zero(digest, sizeof digest));
    g_assert_false(fdset_bytes_are_zero(sum, sizeof sum));
}

static void test_are_zero(void)
{
    guint8 bytes[100] = {0};

    g_assert_true(fdset_bytes_are_zero(bytes, 0));
    for (gsize len = 1; len <= sizeof bytes; len++) {
        g_assert_true(fdset_bytes_are_zero(bytes, len));
        for (gsize i = 0; i < len; i++) {
            bytes[i] = 0x80;
            g_assert_false(fdset_bytes_are_zero(bytes, len));
            bytes[i] = 0;
        }
    }
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/digest/two generated keys differ", test_keys_differ);
    g_test_add_func("/digest/a key survives its hexadecimal form", test_key_round_trip);
    g_test_add_func("/digest/what is not exactly the hexadecimal digits is refused", test_bad_hex);
    g_test_add_func("/digest/a block's digest is the canonical XXH3-128", test_is_xxh3);
    g_test_add_func("/digest/every bit of a block counts", test_every_bit_counts);
    g_test_add_func("/digest/the key counts", test_key_counts);
    g_test_add_func("/digest/a digest is never all zero", test_never_zero);
    g_test_add_func("/digest/one byte that is not zero is seen anywhere", test_are_zero);
    return g_test_run();
}
