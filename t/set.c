/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A set as its users see it: opens, sessions, states. What is saved are real
 * streams, made by streamwriter.h.
 */
#include "config.h"
#include "core/handle.h"
#include "core/store.h"
#include "t/fixture.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE
#define HEADER 67644 /* as in a file of libvirt */
#define DIRECT (O_WRONLY | O_DIRECT)
#define BIG (8 << 20)

static const StreamBlock blocks[] = {
    {.name = "pc.ram", .pages = 40},
    {.name = "vga.vram", .pages = 3},
};

#define MAPPED                                                                                     \
    .capability = "mapped-ram", .pages_align = BLOCK, .blocks = blocks,                            \
    .n_blocks = G_N_ELEMENTS(blocks)

static const StreamShape plain_shape = {MAPPED};
static const StreamShape header_shape = {.start = HEADER, MAPPED};
static const StreamShape unfinished_shape = {.unfinished = TRUE, MAPPED};

/* A store with one set in it. */
typedef struct {
    Dir *dir;
    FdsetPolicy policy;
    FdsetStore *store;
    FdsetSet *set;
    GString *events; /* one letter each; written with the set's lock held */
} World;

static void note_event(gpointer data, FdsetEvent event, guint32 id, const char *text)
{
    static const char letters[] = "SPCDR";

    g_string_append_c(((World *)data)->events, letters[event]);
}

static void world_open(World *world)
{
    g_autoptr(GError) error = NULL;

    world->store = fdset_store_open(world->dir->path, &world->policy, &error);
    g_assert_no_error(error);
    fdset_store_watch(world->store, note_event, world);
    g_assert_cmpint(fdset_store_create(world->store, 7, 0600, 0, 0, &world->set), >=, 0);
}

static World *world_new(const FdsetPolicy *policy)
{
    World *world = g_new0(World, 1);

    world->dir = dir_new();
    world->policy = *policy;
    world->events = g_string_new(NULL);
    world_open(world);
    return world;
}

static void world_close(World *world)
{
    g_clear_pointer(&world->set, fdset_set_unref);
    g_clear_pointer(&world->store, fdset_store_close);
}

static void world_reopen(World *world)
{
    world_close(world);
    world_open(world);
}

static void world_free(World *world)
{
    world_close(world);
    g_string_free(world->events, TRUE);
    dir_free(world->dir);
    g_free(world);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

static const FdsetPolicy defaults;

static FdsetHandle *open_ok(const World *world, int flags)
{
    FdsetHandle *handle = NULL;
    int r = fdset_handle_open(world->set, flags, &handle);

    if (r != 0) {
        g_autofree char *why = fdset_set_last_error(world->set);

        g_error("an open with flags 0x%x gave %d (%s)", (guint)flags, r, why ? why : "no reason");
    }
    return handle;
}

static void open_fails(const World *world, int flags, int errnum)
{
    FdsetHandle *handle = NULL;
    g_autofree char *why = NULL;

    g_assert_cmpint(fdset_handle_open(world->set, flags, &handle), ==, -errnum);
    g_assert_null(handle);
    why = fdset_set_last_error(world->set);
    g_assert_true(g_str_has_prefix(why, "fdset 7: "));
}

static FdsetSetInfo info_of(FdsetSet *set)
{
    FdsetSetInfo info;

    fdset_set_info(set, &info);
    return info;
}

static gboolean is_durable(gpointer set)
{
    return info_of(set).status == FDSET_STATUS_DURABLE;
}

static gboolean is_partial(gpointer set)
{
    return info_of(set).status == FDSET_STATUS_PARTIAL;
}

static void write_ok(FdsetHandle *handle, gconstpointer data, gsize len, guint64 offset)
{
    g_assert_cmpint(fdset_handle_write(handle, data, len, offset), ==, 0);
}

/* As the kernel does: FLUSH at close(2), RELEASE after it. */
static void close_file(FdsetHandle *handle)
{
    fdset_handle_flush(handle);
    fdset_handle_close(handle);
}

/* Blocks in turn through the secondary channels, what is not aligned through main. */
static void write_stream(const StreamFile *file, guint64 start, FdsetHandle *const *handles,
                         guint n)
{
    const GByteArray *bytes = file->bytes;

    for (guint64 at = start; at < bytes->len;) {
        guint64 end = MIN(bytes->len, (at / BLOCK + 1) * BLOCK);
        gboolean whole = at % BLOCK == 0 && end - at == BLOCK;

        write_ok(handles[whole ? at / BLOCK % n : 0], bytes->data + at, end - at, at);
        at = end;
    }
}

/* A whole save as QEMU makes it; 'flags' are those of the secondary channels. */
static void save(const World *world, const StreamFile *file, guint64 start, guint n_secondary,
                 int flags)
{
    FdsetHandle *handles[16];

    handles[0] = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], start), ==, 0);
    for (guint i = 1; i <= n_secondary; i++)
        handles[i] = open_ok(world, flags);
    write_stream(file, start, handles, n_secondary + 1);
    for (guint i = n_secondary + 1; i-- > 0;)
        close_file(handles[i]);
}

/* The image is these bytes and no more. */
static void check_content(const World *world, const guint8 *bytes, gsize len)
{
    g_autoptr(FdsetHandle) reader = open_ok(world, O_RDONLY);
    guint8 *buf = g_aligned_alloc(1, BLOCK * 17, BLOCK);

    g_assert_cmpuint(info_of(world->set).size, ==, len);
    for (gsize at = 0; at < len;) {
        gconstpointer data;
        gssize got = fdset_handle_read(reader, buf, 16 * BLOCK, at, &data);

        g_assert_cmpint(got, ==, MIN(16 * BLOCK, len - at));
        g_assert_cmpint(memcmp(data, bytes + at, (gsize)got), ==, 0);
        at += (gsize)got;
    }
    g_aligned_free(buf);
}

static void check_file(const World *world, const StreamFile *file)
{
    check_content(world, file->bytes->data, file->bytes->len);
}

static void test_states(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *main;

    g_assert_cmpint(info_of(world->set).status, ==, FDSET_STATUS_PARTIAL);
    main = open_ok(world, O_WRONLY);
    g_assert_cmpint(info_of(world->set).status, ==, FDSET_STATUS_WRITING);
    g_assert_false(info_of(world->set).stable);
    g_assert_cmpint(fdset_handle_truncate(main, 0), ==, 0);
    write_ok(main, file->bytes->data, file->bytes->len, 0);
    close_file(main);
    wait_for(is_durable, world->set);
    g_assert_true(info_of(world->set).stable);
    g_assert_cmpstr(world->events->str, ==, "SCD");
    check_file(world, file);
    world_reopen(world);
    g_assert_cmpint(info_of(world->set).status, ==, FDSET_STATUS_DURABLE);
    check_file(world, file);
}

static void test_partial(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&unfinished_shape);
    g_autofree char *why = NULL;
    g_autofree char *later = NULL;

    save(world, file, 0, 2, O_WRONLY);
    wait_for(is_partial, world->set);
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "fdset 7: "));
    g_assert_nonnull(strstr(why, "interrupted"));
    check_file(world, file);
    world_reopen(world);
    g_assert_true(is_partial(world->set));
    later = fdset_set_last_error(world->set);
    g_assert_cmpstr(later, ==, why);
    check_file(world, file);
}

static void test_no_readers(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(FdsetHandle) main = open_ok(world, O_WRONLY);

    open_fails(world, O_RDONLY, EBUSY);
    open_fails(world, O_RDWR, EACCES);
    open_fails(world, O_WRONLY | O_APPEND, EACCES);
    g_assert_cmpstr(world->events->str, ==, "SRRR");
}

static void test_old_reader(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&unfinished_shape);
    g_autoptr(FdsetHandle) reader = NULL;
    FdsetHandle *main;
    guint8 *buf = g_aligned_alloc(2, BLOCK, BLOCK);
    gconstpointer data;

    save(world, file, 0, 1, O_WRONLY);
    reader = open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, 10);
    main = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, -EBUSY);
    write_ok(main, "0123456789", 10, 3);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, -EBUSY);
    close_file(main);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, 10);
    g_assert_cmpmem(data, 10, "0123456789", 10);
    g_aligned_free(buf);
}

static void test_writer_reads_not(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    FdsetHandle *reader;
    gconstpointer data;
    char buf[1];

    g_assert_cmpint(fdset_handle_read(main, buf, 1, 0, &data), ==, -EBADF);
    close_file(main);
    reader = open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_handle_write(reader, buf, 1, 0), ==, -EBADF);
    g_assert_cmpint(fdset_handle_truncate(reader, 0), ==, -EBADF);
    close_file(reader);
}

static void test_complete_is_final(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);

    save(world, file, 0, 3, DIRECT);
    open_fails(world, O_WRONLY, EACCES);
    open_fails(world, O_WRONLY | O_TRUNC, EACCES);
    g_assert_cmpint(fdset_set_truncate(world->set, 5), ==, -EACCES);
    wait_for(is_durable, world->set);
    open_fails(world, O_WRONLY, EACCES);
    check_file(world, file);
}

static void test_header(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&header_shape);
    FdsetHandle *main;

    save(world, file, HEADER, 2, DIRECT);
    wait_for(is_durable, world->set);
    g_assert_cmpuint(info_of(world->set).stream_offset, ==, HEADER);
    open_fails(world, DIRECT, EACCES);
    open_fails(world, O_WRONLY | O_TRUNC, EACCES);
    main = open_ok(world, O_WRONLY);
    g_assert_true(info_of(world->set).stable);
    open_fails(world, O_WRONLY, EBUSY);
    memcpy(file->bytes->data, "LibvirtQemudSave", 16);
    write_ok(main, file->bytes->data, 16, 0);
    write_ok(main, "x", 1, HEADER - 1);
    file->bytes->data[HEADER - 1] = 'x';
    g_assert_cmpint(fdset_handle_write(main, "x", 1, HEADER), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(main, "xy", 2, HEADER - 1), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(main, "x", 1, G_MAXUINT64), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(main, "xy", 2, G_MAXUINT64), ==, -EACCES);
    g_assert_cmpint(fdset_handle_truncate(main, HEADER), ==, -EACCES);
    g_assert_cmpint(fdset_handle_truncate(main, 0), ==, -EACCES);
    check_file(world, file); /* readers go on meanwhile */
    close_file(main);
    wait_for(is_durable, world->set);
    g_assert_cmpuint(info_of(world->set).stream_offset, ==, HEADER);
    check_file(world, file);
    world_reopen(world);
    g_assert_true(is_durable(world->set));
    check_file(world, file);
}

/* A manager writes its header and closes, then the VMM saves behind it, into the same block. */
static void test_sessions_follow(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&header_shape);
    FdsetHandle *manager = open_ok(world, O_WRONLY | O_TRUNC);

    memset(file->bytes->data, 'h', HEADER);
    write_ok(manager, file->bytes->data, HEADER, 0);
    close_file(manager);
    save(world, file, HEADER, 3, DIRECT);
    wait_for(is_durable, world->set);
    g_assert_cmpuint(info_of(world->set).stream_offset, ==, HEADER);
    g_assert_cmpuint(info_of(world->set).n_channels, ==, 5);
    check_file(world, file);
}

static void test_stream_found(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *copy = open_ok(world, O_WRONLY);

    write_ok(copy, file->bytes->data, file->bytes->len, 0); /* cp: no truncation at all */
    close_file(copy);
    wait_for(is_durable, world->set);
    g_assert_cmpuint(info_of(world->set).stream_offset, ==, 0);
}

static void test_retry(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) unfinished = stream_file_new(&unfinished_shape);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);

    save(world, unfinished, 0, 4, O_WRONLY);
    g_assert_true(dir_has(world->dir, "7/ch-004"));
    save(world, file, 0, 2, DIRECT);
    wait_for(is_durable, world->set);
    for (guint i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("7/ch-%03u", i);

        g_assert_cmpint(dir_has(world->dir, name), ==, i >= 5);
    }
    g_assert_cmpuint(info_of(world->set).n_channels, ==, 3);
    check_file(world, file);
    world_reopen(world);
    check_file(world, file);
}

/* A retry behind a header keeps the channel that has the header, and only that. */
static void test_retry_keeps_header(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&header_shape);
    FdsetHandle *manager = open_ok(world, O_WRONLY | O_TRUNC);

    memset(file->bytes->data, 'h', HEADER);
    write_ok(manager, file->bytes->data, HEADER, 0);
    close_file(manager);
    for (guint i = 0; i < 3; i++) {
        FdsetHandle *main = open_ok(world, O_WRONLY);

        g_assert_cmpint(fdset_handle_truncate(main, HEADER), ==, 0);
        write_ok(main, "a save that is cancelled", 24, 500000);
        close_file(main);
    }
    save(world, file, HEADER, 1, O_WRONLY);
    wait_for(is_durable, world->set);
    check_file(world, file);
    g_assert_cmpuint(info_of(world->set).n_channels, <=, 4);
    world_reopen(world);
    check_file(world, file);
}

static void test_second_vmm(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *handles[3];
    g_autoptr(FdsetHandle) second = NULL;
    g_autofree char *why = NULL;

    handles[0] = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], 0), ==, 0);
    write_ok(handles[0], file->bytes->data, 100, 0);
    second = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(second, 0), ==, -EBUSY);
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "another number"));
    g_assert_cmpint(fdset_handle_write(second, "x", 1, 0), ==, -EBUSY);
    g_assert_cmpint(fdset_handle_truncate(second, 0), ==, -EBUSY);
    g_assert_cmpint(fdset_handle_sync(second), ==, 0);
    g_assert_cmpint(fdset_handle_seek(second, 0, TRUE), ==, -EBADF);
    open_fails(world, O_WRONLY | O_TRUNC, EBUSY);
    /* It does not count: the first secondary channels may be unlike it. */
    handles[1] = open_ok(world, DIRECT);
    handles[2] = open_ok(world, DIRECT);
    write_stream(file, 0, handles, 3);
    for (guint i = 0; i < 3; i++)
        close_file(handles[i]);
    wait_for(is_durable, world->set);
    check_file(world, file);
}

/* Its channels are refused, too, by truncation, also when they wrote before. */
static void test_secondary_truncates(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    FdsetHandle *secondary;

    write_ok(main, "main", 4, 0);
    secondary = open_ok(world, DIRECT);
    write_ok(secondary, "more", 4, 4);
    g_assert_cmpint(fdset_handle_truncate(secondary, 0), ==, -EBUSY);
    write_ok(secondary, "MORE", 4, 4); /* it goes on: it is no second VMM's main channel */
    close_file(secondary);
    close_file(main);
    check_content(world, (const guint8 *)"mainMORE", 8);
}

static void test_take_over(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *first = open_ok(world, O_WRONLY);
    FdsetHandle *second = open_ok(world, O_WRONLY);

    g_assert_cmpint(fdset_handle_truncate(second, 0), ==, 0);
    g_assert_cmpint(fdset_handle_truncate(first, 0), ==, -EBUSY);
    write_ok(second, file->bytes->data, file->bytes->len, 0);
    close_file(first);
    close_file(second);
    wait_for(is_durable, world->set);
    check_file(world, file);
}

static void test_no_take_over(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *first = open_ok(world, O_WRONLY);
    FdsetHandle *direct = open_ok(world, DIRECT);
    FdsetHandle *late = NULL;

    g_assert_cmpint(fdset_handle_truncate(direct, 0), ==, -EBUSY);
    write_ok(first, "x", 1, 0);
    late = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(late, 0), ==, -EBUSY);
    g_assert_cmpint(fdset_handle_truncate(first, 0), ==, 0);
    close_file(late);
    close_file(direct);
    close_file(first);
}

static void test_refuse_at_write(void)
{
    const FdsetPolicy policy = {.dio = FDSET_DIO_ON, .refuse_at_write = TRUE};
    g_autoptr(World) world = world_new(&policy);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *handles[2];
    FdsetHandle *refused;

    handles[0] = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], 0), ==, 0);
    refused = open_ok(world, O_WRONLY);
    handles[1] = open_ok(world, DIRECT);
    open_fails(world, O_RDONLY, EBUSY);
    g_assert_cmpint(fdset_handle_write(refused, "x", 1, 0), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(refused, "x", 1, 0), ==, -EACCES);
    g_assert_cmpint(fdset_handle_truncate(refused, 0), ==, -EACCES);
    write_stream(file, 0, handles, 2);
    close_file(refused);
    close_file(handles[1]);
    close_file(handles[0]);
    wait_for(is_durable, world->set);
    check_file(world, file);
}

static void test_alike(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    FdsetHandle *direct = open_ok(world, DIRECT);
    FdsetHandle *more;

    open_fails(world, O_WRONLY, EACCES); /* after a short wait: it may be expelled yet */
    write_ok(direct, "x", 1, 0);
    open_fails(world, O_WRONLY, EACCES);
    more = open_ok(world, DIRECT);
    close_file(more);
    close_file(direct);
    more = open_ok(world, O_WRONLY); /* now the first one */
    write_ok(more, "x", 1, 0);
    open_fails(world, DIRECT, EACCES);
    close_file(more);
    close_file(main);
}

static gpointer close_in_thread(gpointer handle)
{
    fdset_handle_close(handle);
    return NULL;
}

/* The other main channel, which made the conflict, goes away while the open waits. */
static void test_conflict_resolves(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    FdsetHandle *other = open_ok(world, O_WRONLY);
    FdsetHandle *direct;
    GThread *thread;

    write_ok(main, "x", 1, 0);
    thread = g_thread_new("close", close_in_thread, other);
    direct = open_ok(world, DIRECT);
    g_thread_join(thread);
    close_file(direct);
    close_file(main);
}

static void test_dio(gconstpointer on)
{
    const FdsetPolicy policy = {.dio = on ? FDSET_DIO_ON : FDSET_DIO_OFF};
    g_autoptr(World) world = world_new(&policy);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    FdsetHandle *secondary;

    open_fails(world, on ? O_WRONLY : DIRECT, EACCES);
    secondary = open_ok(world, on ? DIRECT : O_WRONLY);
    close_file(secondary);
    close_file(main);
}

static void test_many_channels(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *handles[256];

    handles[0] = open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], 0), ==, 0);
    for (guint i = 1; i < 256; i++)
        handles[i] = open_ok(world, O_WRONLY);
    open_fails(world, O_WRONLY, EACCES);
    write_stream(file, 0, handles, 256);
    close_file(handles[255]);
    handles[255] = open_ok(world, O_WRONLY);
    open_fails(world, O_WRONLY, EACCES);
    for (guint i = 256; i-- > 0;)
        close_file(handles[i]);
    wait_for(is_durable, world->set);
    check_file(world, file);
    world_reopen(world);
    check_file(world, file);
}

/* cp file MOUNT/7 && cmp file MOUNT/7: RELEASE comes after close(2) has returned. */
static void test_open_after_close(void)
{
    g_autoptr(World) world = world_new(&defaults);

    for (guint i = 0; i < 40; i++) {
        FdsetHandle *writer = open_ok(world, O_WRONLY | O_TRUNC);
        FdsetHandle *reader;
        GThread *thread;

        write_ok(writer, &i, sizeof i, 0);
        fdset_handle_flush(writer);
        thread = g_thread_new("release", close_in_thread, writer);
        reader = open_ok(world, O_RDONLY);
        g_thread_join(thread);
        close_file(reader);
        check_content(world, (const guint8 *)&i, sizeof i);
    }
}

/* With one thread nobody else could answer the RELEASE that is waited for. */
static void test_one_thread(void)
{
    const FdsetPolicy policy = {.one_thread = TRUE};
    g_autoptr(World) world = world_new(&policy);
    FdsetHandle *writer = open_ok(world, O_WRONLY);

    write_ok(writer, "x", 1, 0);
    fdset_handle_flush(writer);
    open_fails(world, O_RDONLY, EBUSY);
    fdset_handle_close(writer);
    check_content(world, (const guint8 *)"x", 1);
}

/* Sessions end faster than they are made durable: the last one counts, and is not damaged. */
static void test_quick_sessions(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&header_shape);

    save(world, file, HEADER, 1, O_WRONLY);
    for (guint round = 0; round < 10; round++) {
        for (guint i = 0; i < 8; i++) {
            FdsetHandle *main = open_ok(world, O_WRONLY);

            file->bytes->data[i] = (guint8)(round * 8 + i);
            write_ok(main, file->bytes->data, HEADER, 0);
            close_file(main);
        }
        wait_for(is_durable, world->set);
        world_reopen(world);
        g_assert_cmpint(info_of(world->set).status, ==, FDSET_STATUS_DURABLE);
        check_file(world, file);
    }
    g_assert_null(strchr(world->events->str, 'P'));
}

/* The next session ends while the one before it is still being synced. */
static void test_slow_sync(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autofree guint8 *bytes = g_malloc0(BIG);
    Random random = random_new();

    for (guint round = 0; round < 4; round++) {
        random_fill(&random, bytes, BIG);
        for (guint i = 0; i < 4; i++) {
            FdsetHandle *main = open_ok(world, O_WRONLY);

            bytes[0]++;
            write_ok(main, bytes, i == 0 ? BIG : 1, 0);
            close_file(main);
        }
        world_reopen(world);
        g_assert_cmpint(info_of(world->set).status, ==, FDSET_STATUS_PARTIAL);
        check_content(world, bytes, BIG);
    }
}

static void test_truncate_by_path(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main;

    g_assert_cmpint(fdset_set_truncate(world->set, 10000), ==, 0);
    g_assert_cmpuint(info_of(world->set).size, ==, 10000);
    main = open_ok(world, O_WRONLY);
    write_ok(main, "x", 1, 0);
    g_assert_cmpint(fdset_set_truncate(world->set, 5), ==, -EBUSY);
    close_file(main);
    g_assert_cmpint(fdset_set_truncate(world->set, 1), ==, 0);
    check_content(world, (const guint8 *)"x", 1);
}

static void test_attributes(void)
{
    g_autoptr(World) world = world_new(&defaults);
    const guint32 mode = 0100640, uid = 12, gid = 34;
    const gint64 mtime = G_GINT64_CONSTANT(1700000000123456000);
    FdsetSetInfo info;

    g_assert_cmpint(fdset_set_change(world->set, &mode, &uid, NULL, &mtime), ==, 0);
    g_assert_cmpint(fdset_set_change(world->set, NULL, NULL, &gid, NULL), ==, 0);
    for (guint i = 0; i < 2; i++) {
        info = info_of(world->set);
        g_assert_cmpuint(info.mode, ==, 0640);
        g_assert_cmpuint(info.uid, ==, 12);
        g_assert_cmpuint(info.gid, ==, 34);
        g_assert_cmpint(info.mtime, ==, mtime);
        world_reopen(world);
    }
}

static void test_seek_and_sync(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    FdsetHandle *reader;

    write_ok(main, "x", 1, 5 * BLOCK);
    g_assert_cmpint(fdset_handle_sync(main), ==, 0);
    g_assert_cmpint(fdset_handle_seek(main, 0, TRUE), ==, 5 * BLOCK);
    close_file(main);
    reader = open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_handle_sync(reader), ==, 0);
    g_assert_cmpint(fdset_handle_seek(reader, 0, TRUE), ==, 5 * BLOCK);
    g_assert_cmpint(fdset_handle_seek(reader, 5 * BLOCK, FALSE), ==, 5 * BLOCK + 1);
    g_assert_cmpint(fdset_handle_seek(reader, 5 * BLOCK + 1, FALSE), ==, -ENXIO);
    close_file(reader);
}

/* A full disk: the write says so, the set lives, and goes on when there is room again. */
static void test_full(void)
{
    g_autoptr(World) world = world_new(&defaults);
    g_autoptr(StreamFile) file = stream_file_new(&plain_shape);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    g_autofree char *why = NULL;
    int r;

    write_ok(main, file->bytes->data, 5000, 0);
    file_size_limit(9000);
    r = fdset_handle_write(main, file->bytes->data + 5000, 50000, 5000);
    file_size_unlimit();
    g_assert_cmpint(r, ==, -EFBIG);
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "ch-000"));
    g_assert_nonnull(strstr(why, "offset 5000"));
    write_ok(main, file->bytes->data + 5000, file->bytes->len - 5000, 5000);
    close_file(main);
    wait_for(is_durable, world->set);
    check_file(world, file);
}

#define N_PLAYERS 4

typedef struct {
    World *world;
    guint64 seed;
    guint opened[2]; /* readers, writers */
} Player;

static void check_errno(gint64 r, const char *what)
{
    static const int known[] = {EACCES, EBUSY, ENXIO};

    if (r >= 0)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (r == -known[i])
            return;
    g_error("%s gave %" G_GINT64_FORMAT, what, r);
}

static void use_handle(FdsetHandle *handle, Random *random, guint8 *buf)
{
    guint64 offset = random_below(random, 20 * BLOCK);
    gsize len = 1 + (gsize)random_below(random, 3 * BLOCK);
    gboolean writer = fdset_handle_is_writer(handle);
    gconstpointer data;

    switch (random_below(random, 6)) {
    case 0:
        check_errno(fdset_handle_sync(handle), "a sync");
        break;
    case 1:
        if (writer)
            check_errno(fdset_handle_truncate(handle, offset), "a truncation");
        break;
    case 2:
        fdset_handle_flush(handle);
        break;
    default:
        if (writer)
            check_errno(fdset_handle_write(handle, buf, len, offset), "a write");
        else
            check_errno(fdset_handle_read(handle, buf, len, offset, &data), "a read");
    }
}

static void look_at(FdsetSet *set, Random *random)
{
    const guint32 mode = 0600;
    g_autofree char *why = fdset_set_last_error(set);

    info_of(set);
    if (random_below(random, 4) == 0)
        g_assert_cmpint(fdset_set_change(set, &mode, NULL, NULL, NULL), ==, 0);
}

static gpointer play(gpointer data)
{
    static const int flags[] = {O_RDONLY, O_WRONLY, O_WRONLY, DIRECT, O_WRONLY | O_TRUNC};
    Player *player = data;
    Random random = {player->seed};
    guint8 *buf = g_aligned_alloc0(6, BLOCK, BLOCK);

    for (guint i = 0; i < 60; i++) {
        FdsetHandle *handle = NULL;
        int r = fdset_handle_open(player->world->set,
                                  flags[random_below(&random, G_N_ELEMENTS(flags))], &handle);

        check_errno(r, "an open");
        look_at(player->world->set, &random);
        if (r < 0)
            continue;
        player->opened[fdset_handle_is_writer(handle)]++;
        for (guint64 n = random_below(&random, 8); n > 0; n--)
            use_handle(handle, &random, buf);
        fdset_handle_flush(handle);
        fdset_handle_close(handle);
    }
    g_aligned_free(buf);
    return NULL;
}

static void test_threads(void)
{
    g_autoptr(World) world = world_new(&defaults);
    Random random = random_new();
    Player players[N_PLAYERS];
    GThread *threads[N_PLAYERS];
    guint opened[2] = {0};

    for (guint i = 0; i < N_PLAYERS; i++) {
        players[i] = (Player){.world = world, .seed = random_next(&random)};
        threads[i] = g_thread_new("play", play, &players[i]);
    }
    for (guint i = 0; i < N_PLAYERS; i++) {
        g_thread_join(threads[i]);
        opened[0] += players[i].opened[0];
        opened[1] += players[i].opened[1];
    }
    g_assert_cmpuint(opened[0], >, 0);
    g_assert_cmpuint(opened[1], >, 0);
    close_file(open_ok(world, O_RDONLY)); /* waits until it has settled */
    g_assert_true(is_partial(world->set));
    world_reopen(world);
    g_assert_true(is_partial(world->set));
}

/* One handle used by many threads at once, as QEMU uses a descriptor and its copies. */
static gpointer write_share(gpointer data)
{
    FdsetHandle *handle = data;
    guint8 buf[100];

    memset(buf, 'w', sizeof buf);
    for (guint64 i = 0; i < 100; i++) {
        write_ok(handle, buf, sizeof buf, i * sizeof buf);
        fdset_handle_flush(handle);
    }
    return NULL;
}

static void test_shared_handle(void)
{
    g_autoptr(World) world = world_new(&defaults);
    FdsetHandle *main = open_ok(world, O_WRONLY);
    g_autofree guint8 *expected = g_malloc(10000);
    GThread *threads[3];

    for (guint i = 0; i < 3; i++)
        threads[i] = g_thread_new("write", write_share, main);
    for (guint i = 0; i < 3; i++)
        g_thread_join(threads[i]);
    close_file(main);
    memset(expected, 'w', 10000);
    check_content(world, expected, 10000);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/set/a save is writing, then complete, then durable", test_states);
    g_test_add_func("/set/an interrupted save is partial, with its reason", test_partial);
    g_test_add_func("/set/a source set refuses O_RDONLY while it is written", test_no_readers);
    g_test_add_func("/set/a reader of an earlier time gets EBUSY meanwhile", test_old_reader);
    g_test_add_func("/set/a writer does not read and a reader does not write",
                    test_writer_reads_not);
    g_test_add_func("/set/a complete set without a header is final", test_complete_is_final);
    g_test_add_func("/set/only the header of a complete set may be rewritten", test_header);
    g_test_add_func("/set/a VMM saves behind the header of its manager", test_sessions_follow);
    g_test_add_func("/set/a file that was copied in is complete", test_stream_found);
    g_test_add_func("/set/a second try drops the files of the first", test_retry);
    g_test_add_func("/set/a second try keeps the header", test_retry_keeps_header);
    g_test_add_func("/set/a second VMM's truncation is EBUSY and it no longer counts",
                    test_second_vmm);
    g_test_add_func("/set/a secondary channel's truncation is EBUSY", test_secondary_truncates);
    g_test_add_func("/set/the first truncation makes the main channel", test_take_over);
    g_test_add_func("/set/no direct or late channel becomes the main one", test_no_take_over);
    g_test_add_func("/set/refuse=write fails the first write instead", test_refuse_at_write);
    g_test_add_func("/set/dio=auto wants all secondary channels alike", test_alike);
    g_test_add_func("/set/a conflict that goes away is no conflict", test_conflict_resolves);
    g_test_add_data_func("/set/dio=on wants O_DIRECT", "on", test_dio);
    g_test_add_data_func("/set/dio=off does not want O_DIRECT", NULL, test_dio);
    g_test_add_func("/set/255 secondary channels are open at once and no more", test_many_channels);
    g_test_add_func("/set/an open right after a close never sees EBUSY", test_open_after_close);
    g_test_add_func("/set/with one thread an open does not wait", test_one_thread);
    g_test_add_func("/set/sessions that follow quickly leave a durable set", test_quick_sessions);
    g_test_add_func("/set/a session that ends while another is synced leaves no damage",
                    test_slow_sync);
    g_test_add_func("/set/truncate by path is a session of its own", test_truncate_by_path);
    g_test_add_func("/set/mode, owner and time survive a restart", test_attributes);
    g_test_add_func("/set/seek and sync work on both sides", test_seek_and_sync);
    g_test_add_func("/set/a full disk fails the write and not the set", test_full);
    g_test_add_func("/set/threads do everything at once", test_threads);
    g_test_add_func("/set/threads share one handle", test_shared_handle);
    return g_test_run();
}
