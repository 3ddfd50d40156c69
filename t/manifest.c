/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/keyfile.h"
#include "core/manifest.h"
#include "t/fixture.h"
#include "t/tap.h"

static void add_channel(FdsetManifest *manifest, guint16 number, gboolean direct,
                        const char *directory, guint64 size)
{
    FdsetChannelInfo info = {.number = number,
                             .direct = direct,
                             .directory = (char *)directory,
                             .size = size,
                             .written = size * 3};

    g_ptr_array_add(manifest->channels, fdset_channel_info_copy(&info));
}

/* No field has the value that it would have by default. */
static FdsetManifest *full_manifest(void)
{
    g_autoptr(GError) error = NULL;
    FdsetManifest *manifest;
    FdsetKey key;

    fdset_key_generate(&key, &error);
    g_assert_no_error(error);
    manifest = fdset_manifest_new(2147483647, &key);
    manifest->state = FDSET_STATE_COMPLETE;
    manifest->reason = g_strdup("a reason; with = [signs]\nand two lines, \xc3\xa4");
    manifest->session = manifest->durable = manifest->sealed = TRUE;
    manifest->generation = G_GUINT64_CONSTANT(0xfedcba9876543210);
    manifest->size = (G_GUINT64_CONSTANT(1) << 46) - 1;
    manifest->stream_offset = 67644;
    manifest->data_blocks = 12345678901;
    manifest->mode = 04640;
    manifest->uid = G_MAXUINT32 - 1;
    manifest->gid = 107;
    manifest->mtime = G_GINT64_CONSTANT(-1234567890123456789);
    memset(manifest->sums, 0xa5, sizeof manifest->sums);
    add_channel(manifest, 1, FALSE, NULL, 4097);
    add_channel(manifest, 2, TRUE, "/a dir/with \\ signs; = [x]\t", G_GUINT64_CONSTANT(1) << 45);
    add_channel(manifest, FDSET_CHANNEL_MAX, TRUE, "/latin-1 \xe4", 0);
    return manifest;
}

static void save(const FdsetManifest *manifest, const Dir *dir)
{
    g_autoptr(GError) error = NULL;

    fdset_manifest_save(manifest, dir->fd, "DIR/manifest", TRUE, &error);
    g_assert_no_error(error);
}

static FdsetManifest *load(const Dir *dir)
{
    g_autoptr(GError) error = NULL;
    FdsetManifest *manifest = fdset_manifest_load(dir->fd, 2147483647, "DIR/manifest", &error);

    g_assert_no_error(error);
    return manifest;
}

static void check_channels(const GPtrArray *one, const GPtrArray *other)
{
    g_assert_cmpuint(one->len, ==, other->len);
    for (guint i = 0; i < one->len; i++) {
        const FdsetChannelInfo *a = one->pdata[i], *b = other->pdata[i];

        g_assert_cmpuint(a->number, ==, b->number);
        g_assert_cmpint(a->direct, ==, b->direct);
        g_assert_cmpstr(a->directory, ==, b->directory);
        g_assert_cmpuint(a->size, ==, b->size);
        g_assert_cmpuint(a->written, ==, b->written);
    }
}

static void check_equal(const FdsetManifest *one, const FdsetManifest *other)
{
    g_assert_cmpuint(one->id, ==, other->id);
    g_assert_cmpint(one->state, ==, other->state);
    g_assert_cmpstr(one->reason, ==, other->reason);
    g_assert_cmpint(one->session, ==, other->session);
    g_assert_cmpint(one->durable, ==, other->durable);
    g_assert_cmpint(one->sealed, ==, other->sealed);
    g_assert_cmpuint(one->generation, ==, other->generation);
    g_assert_cmpuint(one->size, ==, other->size);
    g_assert_cmpuint(one->stream_offset, ==, other->stream_offset);
    g_assert_cmpuint(one->data_blocks, ==, other->data_blocks);
    g_assert_cmpuint(one->mode, ==, other->mode);
    g_assert_cmpuint(one->uid, ==, other->uid);
    g_assert_cmpuint(one->gid, ==, other->gid);
    g_assert_cmpint(one->mtime, ==, other->mtime);
    g_assert_cmpmem(&one->key, sizeof one->key, &other->key, sizeof other->key);
    g_assert_cmpstr(one->boot, ==, other->boot);
    g_assert_cmpmem(one->sums, sizeof one->sums, other->sums, sizeof other->sums);
    check_channels(one->channels, other->channels);
}

static void test_round_trip(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetManifest) manifest = full_manifest();
    g_autoptr(FdsetManifest) back = NULL;

    save(manifest, dir);
    back = load(dir);
    check_equal(manifest, back);
}

static void test_new(void)
{
    g_autoptr(Dir) dir = dir_new();
    FdsetKey key = {{1}};
    g_autoptr(FdsetManifest) manifest = fdset_manifest_new(2147483647, &key);
    g_autofree char *boot = fdset_boot_id();
    g_autoptr(FdsetManifest) back = NULL;

    g_assert_cmpint(manifest->state, ==, FDSET_STATE_PARTIAL);
    g_assert_cmpstr(manifest->boot, ==, boot);
    g_assert_false(manifest->durable || manifest->session);
    save(manifest, dir);
    back = load(dir);
    check_equal(manifest, back);
}

static void test_copy(void)
{
    g_autoptr(FdsetManifest) manifest = full_manifest();
    g_autoptr(FdsetManifest) copy = fdset_manifest_copy(manifest);

    check_equal(manifest, copy);
    g_assert_true(manifest->boot != copy->boot && manifest->reason != copy->reason &&
                  manifest->channels->pdata[1] != copy->channels->pdata[1]);
}

/* Also says that the message names the file, and has 'part'. */
static void check_fails(const Dir *dir, guint32 id, FdsetError code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetManifest) manifest = fdset_manifest_load(dir->fd, id, "DIR/manifest", &error);

    if (manifest)
        g_error("a manifest was loaded, expected the error \"%s\"", part);
    g_assert_error(error, FDSET_ERROR, (int)code);
    g_assert_true(g_str_has_prefix(error->message, "DIR/manifest: "));
    if (!strstr(error->message, part))
        g_error("\"%s\" does not say \"%s\"", error->message, part);
}

static void test_wrong_id(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetManifest) manifest = full_manifest();

    save(manifest, dir);
    check_fails(dir, 7, FDSET_ERROR_CORRUPT, "set 2147483647, expected that of set 7");
}

static void test_missing(void)
{
    g_autoptr(Dir) dir = dir_new();

    check_fails(dir, 7, FDSET_ERROR_NOT_FOUND, "No such file");
}

/* Saves a valid manifest with one key changed (NULL: taken out), checksum and all. */
static void save_changed(const Dir *dir, const char *group, const char *key, const char *value)
{
    g_autoptr(FdsetManifest) manifest = full_manifest();
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) keys = NULL;

    save(manifest, dir);
    keys = fdset_keyfile_load(dir->fd, "manifest", "DIR/manifest", "set", &error);
    g_assert_no_error(error);
    g_key_file_remove_group(keys, "end", NULL);
    if (value)
        g_key_file_set_value(keys, group, key, value);
    else
        g_assert_true(g_key_file_remove_key(keys, group, key, NULL));
    fdset_keyfile_save(keys, dir->fd, "manifest", "DIR/manifest", FALSE, &error);
    g_assert_no_error(error);
}

static void test_missing_field(void)
{
    static const char *const fields[] = {
        "id",   "state", "session",    "durable", "size", "uid",    "stream-offset", "data-blocks",
        "mode", "gid",   "generation", "mtime",   "boot", "secret", "sums",          "format"};
    g_autoptr(Dir) dir = dir_new();

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        save_changed(dir, "set", fields[i], NULL);
        check_fails(dir, 2147483647, FDSET_ERROR_CORRUPT, fields[i]);
    }
    save_changed(dir, "channel 0", "size", NULL);
    check_fails(dir, 2147483647, FDSET_ERROR_CORRUPT, "size");
    save_changed(dir, "channel 1", "direct", NULL);
    check_fails(dir, 2147483647, FDSET_ERROR_CORRUPT, "direct");
}

static void test_invalid_field(void)
{
    static const struct {
        const char *group, *key, *value, *said;
    } bad[] = {
        {"set", "id", "7", "set 7"},
        {"set", "id", "4294967303", "id"},
        {"set", "id", "seven", "id"},
        {"set", "state", "finished", "finished"},
        {"set", "session", "maybe", "session"},
        {"set", "durable", "2", "durable"},
        {"set", "size", "-1", "size"},
        {"set", "size", "70368744177665", "size"}, /* one behind the largest image */
        {"set", "size", "18446744073709551615", "size"},
        {"set", "size", "12x", "size"},
        {"set", "stream-offset", "99999999999999999999", "stream-offset"},
        {"set", "mode", "4294967296", "mode"},
        {"set", "uid", "4294967296", "uid"},
        {"set", "gid", "-1", "gid"},
        {"set", "mtime", "now", "mtime"},
        {"set", "boot", "\xff", "boot"},
        {"set", "secret", "00", "secret"},
        {"set", "sums", "zz", "sums"},
        {"set", "sealed", "possibly", "sealed"},
        {"channel 0", "size", "a", "size"},
        {"channel 0", "direct", "perhaps", "direct"},
        {"channel 0", "written", "-5", "written"},
        {"channel 0", "directory", "relative/path", "directory"},
        {"channel 65535", "size", "1", "channel 65535"},
        {"channel -1", "size", "1", "channel -1"},
        {"channel x", "size", "1", "channel x"},
        {"channel ", "size", "1", "channel "},
        {"channel 01", "direct", "true", "channel 01"},
    };
    g_autoptr(Dir) dir = dir_new();

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        save_changed(dir, bad[i].group, bad[i].key, bad[i].value);
        check_fails(dir, 2147483647, FDSET_ERROR_CORRUPT, bad[i].said);
    }
}

/* Messages carry paths, and paths any bytes. */
static void test_reason(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetManifest) manifest = full_manifest();
    g_autoptr(FdsetManifest) back = NULL;

    g_free(manifest->reason);
    manifest->reason = g_strdup("/srv/\xe4/7: cut off");
    save(manifest, dir);
    back = load(dir);
    g_assert_nonnull(back->reason);
    g_assert_true(g_str_has_suffix(back->reason, "/7: cut off"));
}

static void test_valid_change(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetManifest) manifest = NULL;

    save_changed(dir, "set", "uid", "123");
    manifest = load(dir);
    g_assert_cmpuint(manifest->uid, ==, 123);
}

static void test_damage(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetManifest) manifest = full_manifest();

    save(manifest, dir);
    dir_flip_byte(dir, "manifest", 40);
    check_fails(dir, 2147483647, FDSET_ERROR_CORRUPT, "damaged");
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/manifest/every field survives a save and a load", test_round_trip);
    g_test_add_func("/manifest/a reason survives whatever path it names", test_reason);
    g_test_add_func("/manifest/a new one is partial and of this boot", test_new);
    g_test_add_func("/manifest/a copy has everything of its own", test_copy);
    g_test_add_func("/manifest/that of another set is refused", test_wrong_id);
    g_test_add_func("/manifest/a missing file is not found", test_missing);
    g_test_add_func("/manifest/a field that is missing is named", test_missing_field);
    g_test_add_func("/manifest/a field that is invalid is named", test_invalid_field);
    g_test_add_func("/manifest/an entry changed together with its checksum is taken",
                    test_valid_change);
    g_test_add_func("/manifest/damage is found", test_damage);
    return g_test_run();
}
