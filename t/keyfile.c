/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/keyfile.h"
#include "t/fixture.h"
#include "t/tap.h"

static void save(const Dir *dir)
{
    g_autoptr(GKeyFile) keys = fdset_keyfile_new("thing");
    g_autoptr(GError) error = NULL;

    g_key_file_set_string(keys, "thing", "name", "va\nlue [end] \\ ");
    g_key_file_set_integer(keys, "more", "number", 42);
    fdset_keyfile_save(keys, dir->fd, "file", "DIR/file", FALSE, &error);
    g_assert_no_error(error);
}

static GKeyFile *load(const Dir *dir, GError **error)
{
    return fdset_keyfile_load(dir->fd, "file", "DIR/file", "thing", error);
}

/* Loading must fail with this code and a message that names the file; 'part' stands in it. */
static void check_fails(const Dir *dir, FdsetError code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) keys = load(dir, &error);

    g_assert_error(error, FDSET_ERROR, (int)code);
    g_assert_null(keys);
    g_assert_true(g_str_has_prefix(error->message, "DIR/file: "));
    g_assert_nonnull(strstr(error->message, part));
}

static void test_round_trip(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) keys = NULL;
    g_autofree char *name = NULL;

    save(dir);
    keys = load(dir, &error);
    g_assert_no_error(error);
    name = g_key_file_get_string(keys, "thing", "name", NULL);
    g_assert_cmpstr(name, ==, "va\nlue [end] \\ ");
    g_assert_cmpint(g_key_file_get_integer(keys, "more", "number", NULL), ==, 42);
    g_assert_false(dir_has(dir, "file.new"));
}

static void test_missing(void)
{
    g_autoptr(Dir) dir = dir_new();

    check_fails(dir, FDSET_ERROR_NOT_FOUND, "No such file");
}

static void test_damage_anywhere(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GBytes) bytes = NULL;
    g_autofree guint8 *copy = NULL;
    gsize len;

    save(dir);
    bytes = dir_read(dir, "file");
    len = g_bytes_get_size(bytes);
    copy = g_memdup2(g_bytes_get_data(bytes, NULL), len);
    for (gsize i = 0; i < 8 * len; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GKeyFile) keys = NULL;

        copy[i / 8] ^= (guint8)(1 << i % 8);
        dir_write(dir, "file", copy, len);
        keys = load(dir, &error);
        if (keys)
            g_error("bit %" G_GSIZE_FORMAT " of byte %" G_GSIZE_FORMAT " was flipped unseen", i % 8,
                    i / 8);
        /* "format=1" turns into "format=3", which is no damage to speak of. */
        if (!g_error_matches(error, FDSET_ERROR, FDSET_ERROR_VERSION))
            g_assert_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT);
        copy[i / 8] ^= (guint8)(1 << i % 8);
    }
}

static void test_truncation(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GBytes) bytes = NULL;

    save(dir);
    bytes = dir_read(dir, "file");
    for (gsize len = 0; len < g_bytes_get_size(bytes); len++) {
        dir_write(dir, "file", g_bytes_get_data(bytes, NULL), len);
        check_fails(dir, FDSET_ERROR_CORRUPT, "damaged");
    }
}

static void test_appended(void)
{
    static const char *const tails[] = {"\n", "x", "[thing]\nname=other\n", "\n[new]\nkey=1\n",
                                        "# a comment\n"};
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GBytes) bytes = NULL;

    save(dir);
    bytes = dir_read(dir, "file");
    for (gsize i = 0; i < G_N_ELEMENTS(tails); i++) {
        g_autofree char *text =
            g_strdup_printf("%.*s%s", (int)g_bytes_get_size(bytes),
                            (const char *)g_bytes_get_data(bytes, NULL), tails[i]);

        dir_write(dir, "file", text, strlen(text));
        check_fails(dir, FDSET_ERROR_CORRUPT, "damaged");
    }
}

static void test_newer(void)
{
    static const char newer[] = "[thing]\nformat=2\nkey=1\n\n[end]\nsha256=abc\n";
    static const char without_end[] = "[thing]\nformat=7\n";
    g_autoptr(Dir) dir = dir_new();

    dir_write(dir, "file", newer, strlen(newer));
    check_fails(dir, FDSET_ERROR_VERSION, "format 2");
    check_fails(dir, FDSET_ERROR_VERSION, "newer version");
    dir_write(dir, "file", without_end, strlen(without_end));
    check_fails(dir, FDSET_ERROR_VERSION, "format 7");
}

static void test_no_format(void)
{
    static const char *const texts[] = {"[thing]\nkey=1\n", "[other]\nformat=1\n",
                                        "[thing]\nformat=0\n", "[thing]\nformat=-1\n",
                                        "[thing]\nformat=one\n"};
    g_autoptr(Dir) dir = dir_new();

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        dir_write(dir, "file", texts[i], strlen(texts[i]));
        check_fails(dir, FDSET_ERROR_CORRUPT, "\"format\" in group [thing]");
    }
}

static void test_huge(void)
{
    g_autoptr(Dir) dir = dir_new();

    save(dir);
    dir_truncate(dir, "file", G_GUINT64_CONSTANT(1) << 40);
    check_fails(dir, FDSET_ERROR_LIMIT, "expected at most");
}

static void test_keeps_old(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GKeyFile) keys = fdset_keyfile_new("thing");
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) old = NULL;
    g_autofree char *path = dir_path(dir, "file.new");

    save(dir);
    /* A directory where the new file should be: it cannot be written. */
    g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    g_assert_false(fdset_keyfile_save(keys, dir->fd, "file", "DIR/file", TRUE, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM);
    g_assert_true(g_str_has_prefix(error->message, "DIR/file: "));
    g_clear_error(&error);
    old = load(dir, &error);
    g_assert_no_error(error);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/keyfile/what is saved is loaded", test_round_trip);
    g_test_add_func("/keyfile/a missing file is not found", test_missing);
    g_test_add_func("/keyfile/damage to any bit is found", test_damage_anywhere);
    g_test_add_func("/keyfile/truncation at any byte is found", test_truncation);
    g_test_add_func("/keyfile/text behind the checksum is found", test_appended);
    g_test_add_func("/keyfile/a newer format says so whatever its checksum", test_newer);
    g_test_add_func("/keyfile/a file without a valid format is damaged", test_no_format);
    g_test_add_func("/keyfile/a huge file is not read", test_huge);
    g_test_add_func("/keyfile/a failed save leaves the old file", test_keeps_old);
    return g_test_run();
}
