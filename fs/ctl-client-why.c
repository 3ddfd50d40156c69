/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* why: the last refusals and failures, and what to do about them. */
#include "config.h"
#include "core/error.h"
#include "fs/ctl-client-command.h"
#include "fs/ctl-client-table.h"

#include <stdio.h>
#include <string.h>

/*
 * What helps, by the rule that was broken (core/rules.c and others that report).
 * A name that ends in '-' is for all rules that begin so and stand not above it.
 */
static const struct {
    const char *rule;
    const char *advice;
} advices[] = {
    {"read-write", "QEMU opens what it saves to with O_WRONLY. Something else opened the file: cp, "
                   "dd and fdsetctl import work, an editor or a loop device does not."},
    {"append", "Use > and not >> in a shell; a VMM's log option does not belong on this mount."},
    {"read-truncate", "The program truncates what it only reads: open it without O_TRUNC."},
    {"being-written", "fdsetctl wait N returns when it can be read."},
    {"settling", "The stream is parsed once after a save: try again in a moment."},
    {"header-busy", "One manager at a time rewrites a header: wait until it has closed the file."},
    {"sealed", "fdsetctl reset N makes it empty, fdsetctl rm N removes it; its content is lost."},
    {"complete", "fdsetctl reset N makes it empty, fdsetctl rm N removes it; its content is lost. "
                 "Or save into another number."},
    {"complete-truncate", "fdsetctl reset N first; its content is lost. Or save into another "
                          "number."},
    {"header", "Only the bytes in front of the stream may be rewritten in a complete set."},
    {"main-direct",
     "The first open of a session must be plain. With QEMU, direct-io needs multifd "
     "and applies to its channels only; a manager opens the plain descriptor first."},
    {"foreign-truncate", "Two VMMs save into one set: give each its own number."},
    {"too-many-channels", "Lower multifd-channels, or close what holds the set open (fdsetctl show "
                          "N lists the channels)."},
    {"secondary-without-direct", "Set migration parameter direct-io on, or mount with dio=auto."},
    {"secondary-with-direct", "Set migration parameter direct-io off, or mount with dio=auto."},
    {"secondary-unlike-direct", "All multifd channels are alike: was another program's open taken "
                                "for a channel? fdsetctl show N lists them."},
    {"secondary-unlike-plain", "All multifd channels are alike: was another program's open taken "
                               "for a channel? fdsetctl show N lists them."},
    {"second-reader", "rules=v4 lets one reader in. Mount with rules=qemu for QEMU 9.1 and later."},
    {"v4-reader-direct", "Mount with rules=qemu for QEMU 9.1 and later."},
    {"reader-with-direct", "Set migration parameter direct-io off, or mount with dio=auto."},
    {"create", "Make the set first, or mount with create=yes."},
    {"fd-is-destination", "For a VMM to save to: fdsetctl add-fd M FILE, under another number M, "
                          "or remove-fd N first."},
    {"fd-is-source", "For a VMM to restore from: fdsetctl remove-fd N, then add-fd --destination N "
                     "with the same FILEs."},
    {"fd-none", "The manager took its descriptors back: fdsetctl add-fd N FILE hands new ones "
                "over."},
    {"fd-no-direct", "fdsetctl add-fd --direct N FILE opens one of its descriptors with O_DIRECT."},
    {"fd-no-direct-reader", "fdsetctl add-fd --destination --direct N FILE hands over both."},
    {"fd-no-match-direct", "fdsetctl add-fd --direct N FILE opens one of its descriptors with "
                           "O_DIRECT. Or set migration parameter direct-io off."},
    {"fd-no-match-direct-reader", "fdsetctl add-fd --destination --direct N FILE hands over both. "
                                  "Or set migration parameter direct-io off."},
    {"fd-missing-file", "fdsetctl add-fd --destination N with every FILE of the save: they are "
                        "known again by their inodes."},
    {"fd-own-mount", "A manager that has MOUNT/N open passes that to the VMM itself."},
    {"fd-unknown-map", "The store does not have the block map of this save: serve the one it was "
                       "made with."},
    {"fd-has-save", "fdsetctl reset N makes room for another save, fdsetctl rm N forgets the set; "
                    "files are never removed."},
    {"fd-", "fdsetctl show N lists what the set has, remove-fd N takes it out, and add-fd "
            "[--destination] [--direct] N FILE opens FILE as the rules ask."},
    {"failure", "This is no rule but a failure: look at the disk under the store (space, errors), "
                "then fdsetctl verify N."},
};

static const char *advice_for(const char *rule)
{
    for (gsize i = 0; i < G_N_ELEMENTS(advices); i++)
        if (strcmp(advices[i].rule, rule) == 0 ||
            (g_str_has_suffix(advices[i].rule, "-") && g_str_has_prefix(rule, advices[i].rule)))
            return advices[i].advice;
    return NULL;
}

static void print_incident(JsonObject *incident)
{
    const char *rule = json_object_get_string_member_with_default(incident, "rule", "");
    const char *advice = advice_for(rule);
    g_autofree char *time =
        fs_text_time(json_object_get_double_member_with_default(incident, "time", 0));

    printf("%s  %s\n", time, json_object_get_string_member_with_default(incident, "reason", ""));
    printf("    answered with: %s (rule: %s)\n",
           json_object_get_string_member_with_default(incident, "errno", ""), rule);
    if (advice)
        printf("    what to do:    %s\n", advice);
}

/* Drops incidents of other sets. */
static void keep_only(JsonArray *incidents, guint32 id)
{
    for (guint i = json_array_get_length(incidents); i-- > 0;)
        if (json_object_get_int_member(json_array_get_object_element(incidents, i), "fdset-id") !=
            id)
            json_array_remove_element(incidents, i);
}

gboolean fs_ctl_why(FsCtl *ctl, GError **error)
{
    g_autoptr(JsonNode) node = NULL;
    FsClient *client;
    JsonArray *incidents;
    guint32 id = 0;

    if (ctl->n_operands > 0 && !fs_ctl_id(ctl, 0, &id, error))
        return FALSE;
    client = fs_ctl_client(ctl, error);
    node = client ? fs_client_ask(client, "query-incidents", NULL, -1, error) : NULL;
    if (!node)
        return FALSE;
    incidents = json_node_get_array(node);
    if (ctl->n_operands > 0)
        keep_only(incidents, id);
    if (ctl->json) {
        fs_ctl_print_json(node);
        return TRUE;
    }
    for (guint i = 0; i < json_array_get_length(incidents); i++)
        print_incident(json_array_get_object_element(incidents, i));
    if (json_array_get_length(incidents) == 0)
        printf("nothing was refused and nothing has failed\n");
    return TRUE;
}
