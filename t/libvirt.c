/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/libvirt.h"
#include "t/tap.h"

#define HEADER 92
#define DATA 4096
#define COOKIE 1000

/* The numbers of the header's u32 fields. */
enum { FIELD_VERSION, FIELD_DATA_LEN, FIELD_WAS_RUNNING, FIELD_FORMAT, FIELD_COOKIE_OFFSET };

typedef struct {
    guint8 bytes[HEADER + DATA + 8];
    GBytes *view;
    FdsetSource source;
} Image;

static void put(Image *image, int field, guint32 value)
{
    memcpy(image->bytes + 16 + (gsize)field * 4, &value, sizeof value);
}

static void set_up(Image *image)
{
    memset(image, 0, sizeof *image);
    memcpy(image->bytes, "LibvirtQemudSave", 16);
    put(image, FIELD_VERSION, 2);
    put(image, FIELD_DATA_LEN, DATA);
    put(image, FIELD_WAS_RUNNING, 1);
    put(image, FIELD_FORMAT, FDSET_LIBVIRT_SPARSE);
    put(image, FIELD_COOKIE_OFFSET, COOKIE);
    memcpy(image->bytes + HEADER, "<domain/>", 9);
    memcpy(image->bytes + HEADER + COOKIE, "<cookie/>", 9);
    memcpy(image->bytes + HEADER + DATA, "QEVM\0\0\0\3", 8);
    image->view = g_bytes_new_static(image->bytes, sizeof image->bytes);
    fdset_source_init_memory(&image->source, image->view, "test");
}

static void tear_down(Image *image)
{
    g_bytes_unref(image->view);
}

static void check_good(Image *image, gboolean swapped)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetLibvirt) libvirt = fdset_libvirt_read(&image->source, &error);
    guint64 offset, len;

    g_assert_no_error(error);
    g_assert_true(fdset_libvirt_is_finished(libvirt));
    g_assert_cmpint(fdset_libvirt_is_swapped(libvirt), ==, swapped);
    g_assert_true(fdset_libvirt_was_running(libvirt));
    g_assert_cmpint(fdset_libvirt_format(libvirt), ==, FDSET_LIBVIRT_SPARSE);
    g_assert_cmpuint(fdset_libvirt_stream_offset(libvirt), ==, HEADER + DATA);
    fdset_libvirt_xml(libvirt, &offset, &len);
    g_assert_cmpuint(offset, ==, HEADER);
    g_assert_cmpuint(len, ==, 9);
    g_assert_true(fdset_libvirt_cookie(libvirt, &offset, &len));
    g_assert_cmpuint(offset, ==, HEADER + COOKIE);
    g_assert_cmpuint(len, ==, 9);
}

static void test_header(void)
{
    Image image;

    set_up(&image);
    g_assert_true(fdset_libvirt_probe(&image.source));
    check_good(&image, FALSE);
    tear_down(&image);
}

static void test_swapped(void)
{
    Image image;

    set_up(&image);
    for (gsize i = 16; i < HEADER; i += 4) {
        guint32 value;

        memcpy(&value, image.bytes + i, sizeof value);
        value = GUINT32_SWAP_LE_BE(value);
        memcpy(image.bytes + i, &value, sizeof value);
    }
    check_good(&image, TRUE);
    tear_down(&image);
}

static void test_unfinished_without_cookie(void)
{
    g_autoptr(FdsetLibvirt) libvirt = NULL;
    guint64 offset, len;
    Image image;

    set_up(&image);
    memcpy(image.bytes, "LibvirtQemudPart", 16);
    put(&image, FIELD_COOKIE_OFFSET, 0);
    put(&image, FIELD_WAS_RUNNING, 0);
    g_assert_true(fdset_libvirt_probe(&image.source));
    libvirt = fdset_libvirt_read(&image.source, NULL);
    g_assert_nonnull(libvirt);
    g_assert_false(fdset_libvirt_is_finished(libvirt));
    g_assert_false(fdset_libvirt_was_running(libvirt));
    g_assert_false(fdset_libvirt_cookie(libvirt, &offset, &len));
    tear_down(&image);
}

static void test_formats(void)
{
    static const char *const names[] = {"raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse"};

    for (guint32 format = 0; format < G_N_ELEMENTS(names); format++) {
        g_autoptr(FdsetLibvirt) libvirt = NULL;
        Image image;

        set_up(&image);
        put(&image, FIELD_FORMAT, format);
        libvirt = fdset_libvirt_read(&image.source, NULL);
        g_assert_nonnull(libvirt);
        g_assert_cmpuint(fdset_libvirt_format(libvirt), ==, format);
        g_assert_cmpstr(fdset_libvirt_format_name(fdset_libvirt_format(libvirt)), ==,
                        names[format]);
        tear_down(&image);
    }
}

static void test_field_edges(void)
{
    static const struct {
        int field;
        guint32 value;
        int code;
        const char *words;
    } cases[] = {
        {FIELD_VERSION, 0, FDSET_ERROR_VERSION, "version of the libvirt header at 0x10 is 0"},
        {FIELD_VERSION, 3, FDSET_ERROR_VERSION, "is 50331648, expected 1 or 2"},
        {FIELD_FORMAT, 7, FDSET_ERROR_UNSUPPORTED, "format of the libvirt header at 0x1c is 7"},
        {FIELD_FORMAT, G_MAXUINT32, FDSET_ERROR_UNSUPPORTED, "expected 0 (raw) to 6 (sparse)"},
        {FIELD_DATA_LEN, 0, FDSET_ERROR_FORMAT, "expected room for the domain's XML"},
        {FIELD_DATA_LEN, DATA + 9, FDSET_ERROR_TRUNCATED, "expected no more than the file has"},
        {FIELD_DATA_LEN, G_MAXUINT32, FDSET_ERROR_TRUNCATED, "expected no more than the file has"},
        {FIELD_DATA_LEN, COOKIE, FDSET_ERROR_FORMAT, "cookie offset of the libvirt header at 0x20"},
        {FIELD_COOKIE_OFFSET, DATA, FDSET_ERROR_FORMAT, "expected less than the data length"},
        {FIELD_COOKIE_OFFSET, G_MAXUINT32, FDSET_ERROR_FORMAT,
         "expected less than the data length"},
        {FIELD_COOKIE_OFFSET, 9, FDSET_ERROR_FORMAT,
         "domain XML at 0x5c has no end within 9 bytes"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(FdsetLibvirt) libvirt = NULL;
        g_autoptr(GError) error = NULL;
        Image image;

        set_up(&image);
        put(&image, cases[i].field, cases[i].value);
        libvirt = fdset_libvirt_read(&image.source, &error);
        g_assert_null(libvirt);
        g_assert_error(error, FDSET_ERROR, cases[i].code);
        if (strstr(error->message, cases[i].words) == NULL)
            g_error("expected '%s' in '%s'", cases[i].words, error->message);
        tear_down(&image);
    }
}

static void test_magic(void)
{
    g_autoptr(GError) error = NULL;
    Image image;

    set_up(&image);
    image.bytes[15] = 'X';
    g_assert_false(fdset_libvirt_probe(&image.source));
    g_assert_null(fdset_libvirt_read(&image.source, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT);
    tear_down(&image);
}

static void test_cut(void)
{
    Image image;

    set_up(&image);
    for (guint64 size = 0; size < HEADER + DATA; size++) {
        g_autoptr(FdsetLibvirt) libvirt = NULL;
        g_autoptr(GError) error = NULL;

        image.source.size = size;
        libvirt = fdset_libvirt_read(&image.source, &error);
        g_assert_null(libvirt);
        g_assert_error(error, FDSET_ERROR, FDSET_ERROR_TRUNCATED);
    }
    tear_down(&image);
}

static gssize endless_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    const Image *image = opaque;

    memset(buf, 'x', len);
    if (offset == 0)
        memcpy(buf, image->bytes, MIN(len, HEADER));
    return (gssize)len;
}

static void test_endless_xml(void)
{
    g_autoptr(FdsetLibvirt) libvirt = NULL;
    g_autoptr(GError) error = NULL;
    Image image;

    set_up(&image);
    put(&image, FIELD_DATA_LEN, 0xf0000000);
    put(&image, FIELD_COOKIE_OFFSET, 0);
    image.source = (FdsetSource){endless_pread, &image, G_GUINT64_CONSTANT(1) << 40, "test"};
    libvirt = fdset_libvirt_read(&image.source, &error);
    g_assert_null(libvirt);
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT);
    tear_down(&image);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/libvirt/a header is read", test_header);
    g_test_add_func("/libvirt/a header of the other byte order is read", test_swapped);
    g_test_add_func("/libvirt/an unfinished file without cookie is read",
                    test_unfinished_without_cookie);
    g_test_add_func("/libvirt/formats 0 to 6 have names", test_formats);
    g_test_add_func("/libvirt/each field is checked at its edges", test_field_edges);
    g_test_add_func("/libvirt/another magic is refused", test_magic);
    g_test_add_func("/libvirt/a header cut anywhere is refused", test_cut);
    g_test_add_func("/libvirt/endless XML is refused", test_endless_xml);
    return g_test_run();
}
