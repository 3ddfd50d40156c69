/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * section.h - the sections a stream is made of, and where one of unknown
 * length ends.
 *
 * A type byte, then be32 section id; START and FULL add u8 length and name,
 * be32 instance and be32 version (QEMU migration/savevm.c, save_section_header;
 * reference 1.2). A footer, 0x7e and the id, ends each. Only the reader of a
 * section's body knows its length: the ram section tells it itself, a device's
 * stands in the description (vmdesc.h), and for all others the footer is
 * searched for, accepted where something that can follow comes behind it.
 */
#ifndef FDSET_SECTION_H
#define FDSET_SECTION_H

#include "core/reader.h"

enum {
    FDSET_SECTION_EOF = 0x00,
    FDSET_SECTION_START = 0x01,
    FDSET_SECTION_PART = 0x02,
    FDSET_SECTION_END = 0x03,
    FDSET_SECTION_FULL = 0x04,
    FDSET_SECTION_SUBSECTION = 0x05,
    FDSET_SECTION_VMDESCRIPTION = 0x06,
    FDSET_SECTION_CONFIGURATION = 0x07,
    FDSET_SECTION_COMMAND = 0x08,
    FDSET_SECTION_FOOTER = 0x7e,
};

/* 4096 vCPUs have four or five each; the rest is for devices. */
#define FDSET_SECTIONS_MAX 65536

#define FDSET_SECTION_FOOTER_BYTES 5

/* A START or FULL section. */
typedef struct {
    guint8 type;
    guint32 id;
    char *name; /* owned; "timer", "0000:00:01.0/vga"; any bytes but NUL */
    guint32 instance_id;
    guint32 version;
    guint64 offset;   /* absolute, of the body */
    guint64 length;   /* bytes of the body, without the footer */
    gint64 device;    /* its number in the description, or -1 */
    gboolean exact;   /* the length is the format's or the description's, not searched for */
} FdsetSection;

/* What can follow the end of a section at this point of a stream. */
typedef struct {
    const char *next_name;     /* of the next device described, NULL when there is none */
    guint32 next_instance_id;  /* of the same */
    gboolean described;        /* there is a description: no other device can follow */
    guint64 eof;               /* absolute, where the EOF marker has to be */
    GHashTable *started;       /* borrowed: FdsetSection of type START seen so far, by id */
} FdsetSectionContext;

/* Reads what follows the type byte 'type', START or FULL. Errors: FORMAT, TRUNCATED. */
FdsetSection *fdset_section_read(FdsetReader *reader, guint8 type, GError **error);

/* Whether the footer of section 'id' comes next, and moves behind it; FALSE leaves the cursor. */
gboolean fdset_section_skip_footer(FdsetReader *reader, guint32 id);

/* Whether something that can follow a section stands at the cursor, which stays. */
gboolean fdset_section_can_follow(FdsetReader *reader, const FdsetSectionContext *context);

/*
 * Moves the cursor to the footer of section 'id', searching from the cursor for
 * at most 'limit' bytes. Error: TRUNCATED when there is none to the end of the
 * source, LIMIT when there is none within the limit, SYSTEM.
 */
gboolean fdset_section_find_footer(FdsetReader *reader, guint32 id, guint64 limit,
                                   const FdsetSectionContext *context, GError **error);

void fdset_section_free(FdsetSection *section);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetSection, fdset_section_free)

#endif
