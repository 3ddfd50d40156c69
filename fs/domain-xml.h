/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domain-xml.h - the file of the option domain-xml; what is in it is core/domain.h's. */
#ifndef FS_DOMAIN_XML_H
#define FS_DOMAIN_XML_H

#include <glib.h>

/* All of a regular file of bounded size; the caller unrefs. Errors: SYSTEM, USAGE. */
GBytes *fs_domain_xml_read(const char *path, GError **error);

#endif
