/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/vmcoreinfo.h"
#include "core/memraw.h"
#include "core/vmstate.h"

#include <string.h>

#define FORMAT_ELF 1
#define NOTE_NAME "VMCOREINFO" /* with its NUL: 11 bytes, padded to 12 */
#define NOTE_HEAD (12 + 12)
/* Linux has 4 KiB, QEMU takes 1 MiB. */
#define NOTE_MAX (1024 * 1024)

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

GBytes *fdset_vmcoreinfo_read(const FdsetDevices *devices, const FdsetGpa *gpa)
{
    g_autoptr(FdsetMemview) memory = fdset_memraw_new(gpa, NULL);
    g_autofree guint8 *note = NULL;
    guint64 address, size;
    gsize len;

    if (memory == NULL || !find_note(devices, &address, &size))
        return NULL;
    note = g_malloc0((gsize)size + 4);
    if (fdset_memview_pread(memory, note, (gsize)size, address) != (gssize)size)
        return NULL;
    len = note_length(note, (gsize)size);
    if (len == 0)
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&note), (len + 3) / 4 * 4);
}
