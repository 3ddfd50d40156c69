/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/vmcoreinfo.h"
#include "core/memraw.h"
#include "core/vmstate.h"

#include <string.h>

#define FORMAT_ELF 1
#define NOTE_NAME "VMCOREINFO" /* with its NUL: 11 bytes, padded to 12 */
#define NOTE_NAME_AT 12
#define NOTE_HEAD (NOTE_NAME_AT + 12)
/* Linux has 4 KiB, QEMU takes 1 MiB. */
#define NOTE_MAX (1024 * 1024)
#define SEARCH_CHUNK ((gsize)1024 * 1024)
#define SIGN_BYTES (sizeof sign - 1)

/* The name of the note, padded, and how Linux begins what it says. */
static const char sign[] = NOTE_NAME "\0\0OSRELEASE=";

static gboolean get(JsonNode *state, const char *name, guint64 *value)
{
    const char *const path[] = {name, NULL};

    return fdset_vmstate_number(fdset_vmstate_find(state, path), value);
}

static gboolean find_note(const FdsetDevices *devices, guint64 *address, guint64 *size)
{
    g_autoptr(JsonNode) state = fdset_devices_find(devices, "vmcoreinfo", 0);
    guint64 format;

    return get(state, "vmcoreinfo.guest_format", &format) && format == FORMAT_ELF &&
           get(state, "vmcoreinfo.paddr", address) && get(state, "vmcoreinfo.size", size) &&
           *size > NOTE_HEAD && *size <= NOTE_MAX;
}

static guint32 le32(const guint8 *bytes)
{
    return bytes[0] | (guint32)bytes[1] << 8 | (guint32)bytes[2] << 16 | (guint32)bytes[3] << 24;
}

/* Bytes of the note in 'len' bytes, or 0 when it is none. */
static gsize note_length(const guint8 *note, gsize len)
{
    guint64 desc = le32(note + 4);

    if (le32(note) != sizeof NOTE_NAME || memcmp(note + 12, NOTE_NAME, sizeof NOTE_NAME) != 0 ||
        desc > len - NOTE_HEAD)
        return 0;
    return NOTE_HEAD + (gsize)desc;
}

static GBytes *read_note(const FdsetMemview *memory, guint64 address, guint64 size)
{
    g_autofree guint8 *note = g_malloc0((gsize)size + 4);
    gsize len;

    if (fdset_memview_pread(memory, note, (gsize)size, address) != (gssize)size)
        return NULL;
    len = note_length(note, (gsize)size);
    if (len == 0)
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&note), (len + 3) / 4 * 4);
}

/* --- found in memory --- */

/* A note whose name was found there, with what Linux writes first behind it. */
static GBytes *try_found(const FdsetMemview *memory, guint64 name)
{
    guint64 address = name - NOTE_NAME_AT;
    guint8 head[NOTE_HEAD];

    if (name < NOTE_NAME_AT || address % 4 != 0 ||
        fdset_memview_pread(memory, head, sizeof head, address) != sizeof head ||
        le32(head + 4) > NOTE_MAX)
        return NULL;
    return read_note(memory, address, NOTE_HEAD + (guint64)le32(head + 4));
}

static GBytes *search_chunk(const FdsetMemview *memory, guint64 at, const guint8 *chunk, gsize len)
{
    GBytes *note = NULL;

    for (gsize from = 0; note == NULL && from + SIGN_BYTES <= len;) {
        const guint8 *found = memmem(chunk + from, len - from, sign, SIGN_BYTES);

        if (found == NULL)
            break;
        from = (gsize)(found - chunk) + 1;
        note = try_found(memory, at + from - 1);
    }
    return note;
}

/* Everything that is in the file, a chunk at a time; they overlap. */
static GBytes *search(const FdsetMemview *memory)
{
    g_autofree guint8 *chunk = g_malloc(SEARCH_CHUNK);
    guint64 size = fdset_memview_size(memory);
    GBytes *note = NULL;

    for (guint64 at = 0; note == NULL && at + SIGN_BYTES <= size;) {
        gint64 data = fdset_memview_next_data(memory, at);
        gsize len;

        if (data < 0)
            break;
        at = (guint64)data;
        len = (gsize)MIN(SEARCH_CHUNK, size - at);
        if (fdset_memview_pread(memory, chunk, len, at) != (gssize)len)
            break;
        note = search_chunk(memory, at, chunk, len);
        at += len < SEARCH_CHUNK ? len : len - SIGN_BYTES + 1;
    }
    return note;
}

GBytes *fdset_vmcoreinfo_read(const FdsetDevices *devices, const FdsetGpa *gpa,
                              FdsetVmcoreinfoMode mode)
{
    g_autoptr(FdsetMemview) memory =
        mode == FDSET_VMCOREINFO_OFF ? NULL : fdset_memraw_new(gpa, NULL);
    GBytes *note = NULL;
    guint64 address, size;

    if (memory == NULL)
        return NULL;
    if (find_note(devices, &address, &size))
        note = read_note(memory, address, size);
    if (note == NULL && mode == FDSET_VMCOREINFO_SEARCH)
        note = search(memory);
    return note;
}
