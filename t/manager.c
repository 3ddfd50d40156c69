/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/manager.h"
#include "core/error.h"

#include <fcntl.h>
#include <string.h>

void manager_clear(Manager *manager)
{
    world_free(manager->world);
    dir_free(manager->dir);
}

Manager manager_new(const FdsetPolicy *policy)
{
    Manager manager = {world_new(policy), dir_new()};

    g_assert_cmpint(fdset_store_remove(manager.world->store, 7), ==, 0);
    g_clear_pointer(&manager.world->set, fdset_set_unref);
    return manager;
}

FdsetDescriptor *manager_open(const Manager *manager, const char *name, int flags, GError **error)
{
    g_autofree char *path = dir_path(manager->dir, name);

    return fdset_descriptor_new(open(path, flags | O_CLOEXEC, 0640), NULL, 0, error);
}

static gboolean try_add(Manager *manager, const char *name, int flags, GError **error)
{
    g_autoptr(FdsetDescriptor) descriptor = manager_open(manager, name, flags, error);
    guint32 id;

    if (!descriptor || !fdset_store_add_fd(manager->world->store, 7, descriptor, &id, error))
        return FALSE;
    g_assert_cmpuint(id, ==, 7);
    if (!manager->world->set)
        manager->world->set = fdset_store_lookup(manager->world->store, 7);
    return TRUE;
}

void manager_add(Manager *manager, const char *name, int flags)
{
    g_autoptr(GError) error = NULL;

    try_add(manager, name, flags, &error);
    g_assert_no_error(error);
}

void manager_add_fails(Manager *manager, const char *name, int flags, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(try_add(manager, name, flags, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_DENIED);
    if (!strstr(error->message, words))
        g_error("\"%s\" does not have \"%s\"", error->message, words);
}

void manager_remove_all(Manager *manager)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(fdset_store_remove_fd(manager->world->store, 7, -1, &error));
    g_assert_no_error(error);
}

void manager_look_again(Manager *manager)
{
    g_clear_pointer(&manager->world->set, fdset_set_unref);
    manager->world->set = fdset_store_lookup(manager->world->store, 7);
}

static gboolean is_gone(gpointer data)
{
    Manager *manager = data;

    manager_look_again(manager);
    return manager->world->set == NULL;
}

void manager_wait_gone(Manager *manager)
{
    wait_for(is_gone, manager);
}

void manager_check_file(const Manager *manager, const char *name, const StreamFile *file)
{
    g_autoptr(GBytes) bytes = dir_read(manager->dir, name);

    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), file->bytes->data,
                    file->bytes->len);
}

gboolean manager_goes_on(gpointer data, guint64 done, guint64 total)
{
    return TRUE;
}
