/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/domain.h"
#include "core/error.h"

#include <string.h>

#define DEPTH_MAX 64
#define CELLS_MAX 1024
#define MEMORIES_MAX 1024
#define WORD_MAX 255 /* of a name or number that is looked at */

struct FdsetDomain {
    char *origin;      /* owned */
    char *machine;     /* owned, or NULL */
    GArray *cells;     /* owned, of FdsetDomainCell */
    GArray *memories;  /* owned, of FdsetDomainMemory */
    gboolean is_found; /* there was a <domain> */
};

/* While it is parsed. */
typedef struct {
    FdsetDomain *domain;
    GString *path; /* owned; "/domain/os/type" */
    GString *text; /* owned; of the element that is open, when it is wanted */
    gboolean wants_text;
    guint64 unit; /* bytes, of that text */
    char *model;  /* owned; of the memory device that is open */
    guint64 slot; /* of the same */
    gboolean has_slot;
    guint depth;
} Parse;

static gboolean get_number(const char *text, guint64 *value)
{
    gboolean hex = text != NULL && g_str_has_prefix(text, "0x");

    return text != NULL && g_ascii_string_to_unsigned(text + (hex ? 2 : 0), hex ? 16 : 10, 0,
                                                      G_MAXINT64, value, NULL);
}

/* libvirt's names of units; without one it is KiB. 0: of no use. */
static guint64 unit_of(const char *name)
{
    static const struct {
        const char *name;
        guint64 bytes;
    } units[] = {
        {"b", 1},
        {"bytes", 1},
        {"KB", 1000},
        {"k", 1024},
        {"KiB", 1024},
        {"MB", 1000000},
        {"M", 1 << 20},
        {"MiB", 1 << 20},
        {"GB", 1000000000},
        {"G", 1 << 30},
        {"GiB", 1 << 30},
        {"TB", G_GUINT64_CONSTANT(1000000000000)},
        {"T", G_GUINT64_CONSTANT(1) << 40},
        {"TiB", G_GUINT64_CONSTANT(1) << 40},
    };

    if (name == NULL)
        return 1024;
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        if (strcmp(units[i].name, name) == 0)
            return units[i].bytes;
    }
    return 0;
}

static guint64 get_size(const char *number, guint64 unit)
{
    guint64 value;

    if (!get_number(number, &value) || unit == 0 || value > G_MAXINT64 / unit)
        return 0;
    return value * unit;
}

static const char *attribute(const char **names, const char **values, const char *wanted)
{
    for (; *names != NULL; names++, values++) {
        if (strcmp(*names, wanted) == 0)
            return strlen(*values) <= WORD_MAX ? *values : NULL;
    }
    return NULL;
}

static FdsetDomainMemory *last_memory(Parse *parse)
{
    GArray *memories = parse->domain->memories;

    return memories->len == 0 ? NULL
                              : &g_array_index(memories, FdsetDomainMemory, memories->len - 1);
}

static void check_number(guint number, guint limit, const char *what, GError **error)
{
    if (number >= limit)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT, "more than %u %s", limit, what);
}

/* --- elements --- */

typedef void (*StartFunc)(Parse *parse, const char **names, const char **values, GError **error);

static void start_domain(Parse *parse, const char **names, const char **values, GError **error)
{
    (void)names;
    (void)values;
    (void)error;
    parse->domain->is_found = TRUE;
}

static void start_type(Parse *parse, const char **names, const char **values, GError **error)
{
    (void)error;
    if (parse->domain->machine == NULL)
        parse->domain->machine = g_strdup(attribute(names, values, "machine"));
}

static void start_cell(Parse *parse, const char **names, const char **values, GError **error)
{
    FdsetDomainCell cell = {.id = parse->domain->cells->len};

    check_number(parse->domain->cells->len, CELLS_MAX, "NUMA cells", error);
    get_number(attribute(names, values, "id"), &cell.id);
    cell.size =
        get_size(attribute(names, values, "memory"), unit_of(attribute(names, values, "unit")));
    g_array_append_val(parse->domain->cells, cell);
}

static void start_memory(Parse *parse, const char **names, const char **values, GError **error)
{
    FdsetDomainMemory memory = {.backend = NULL};

    check_number(parse->domain->memories->len, MEMORIES_MAX, "memory devices", error);
    g_free(parse->model);
    parse->model = g_strdup(attribute(names, values, "model"));
    parse->has_slot = FALSE;
    g_array_append_val(parse->domain->memories, memory);
}

static void start_size(Parse *parse, const char **names, const char **values, GError **error)
{
    (void)error;
    parse->unit = unit_of(attribute(names, values, "unit"));
    parse->wants_text = TRUE;
}

static void start_address(Parse *parse, const char **names, const char **values, GError **error)
{
    FdsetDomainMemory *memory = last_memory(parse);

    (void)error;
    memory->has_base |= get_number(attribute(names, values, "base"), &memory->base);
    parse->has_slot |= get_number(attribute(names, values, "slot"), &parse->slot);
}

static void start_alias(Parse *parse, const char **names, const char **values, GError **error)
{
    FdsetDomainMemory *memory = last_memory(parse);
    const char *name = attribute(names, values, "name");

    (void)error;
    if (name != NULL && memory->backend == NULL)
        memory->backend = g_strdup_printf("mem%s", name);
}

static const struct {
    const char *path;
    StartFunc start;
} elements[] = {
    {"/domain", start_domain},
    {"/domain/os/type", start_type},
    {"/domain/cpu/numa/cell", start_cell},
    {"/domain/devices/memory", start_memory},
    {"/domain/devices/memory/target/size", start_size},
    {"/domain/devices/memory/target/address", start_address},
    {"/domain/devices/memory/address", start_address},
    {"/domain/devices/memory/alias", start_alias},
};

/* What libvirt keeps of a domain that runs stands in an element of its own. */
static const char *path_of(const Parse *parse)
{
    const char *path = parse->path->str;

    return g_str_has_prefix(path, "/domstatus/") ? path + strlen("/domstatus") : path;
}

static void on_start(GMarkupParseContext *context, const char *name, const char **names,
                     const char **values, gpointer data, GError **error)
{
    Parse *parse = data;
    GError *problem = NULL;

    (void)context;
    if (++parse->depth > DEPTH_MAX || strlen(name) > WORD_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                    "elements deeper than %d or names longer than %d", DEPTH_MAX, WORD_MAX);
        return;
    }
    g_string_append_printf(parse->path, "/%s", name);
    parse->wants_text = FALSE;
    g_string_truncate(parse->text, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(elements); i++) {
        if (strcmp(elements[i].path, path_of(parse)) == 0)
            elements[i].start(parse, names, values, &problem);
    }
    if (problem != NULL)
        g_propagate_error(error, problem);
}

/* The backend's id where the XML does not tell the alias: libvirt names it by model and slot. */
static void end_memory(Parse *parse)
{
    FdsetDomainMemory *memory = last_memory(parse);

    if (memory->backend == NULL && parse->has_slot && parse->model != NULL)
        memory->backend = g_strdup_printf("mem%s%" G_GUINT64_FORMAT, parse->model, parse->slot);
}

static void on_end(GMarkupParseContext *context, const char *name, gpointer data, GError **error)
{
    Parse *parse = data;

    (void)context;
    (void)error;
    if (parse->wants_text)
        last_memory(parse)->size = get_size(g_strstrip(parse->text->str), parse->unit);
    if (strcmp(path_of(parse), "/domain/devices/memory") == 0)
        end_memory(parse);
    parse->wants_text = FALSE;
    parse->depth--;
    g_string_truncate(parse->path, parse->path->len - strlen(name) - 1);
}

static void on_text(GMarkupParseContext *context, const char *text, gsize len, gpointer data,
                    GError **error)
{
    Parse *parse = data;

    (void)context;
    (void)error;
    if (parse->wants_text && len <= WORD_MAX && parse->text->len <= WORD_MAX)
        g_string_append_len(parse->text, text, (gssize)len);
}

/* --- all of it --- */

static int compare_cells(gconstpointer a, gconstpointer b)
{
    const FdsetDomainCell *one = a, *two = b;

    return (one->id > two->id) - (one->id < two->id);
}

static void memory_clear(gpointer data)
{
    g_free(((FdsetDomainMemory *)data)->backend);
}

static gboolean parse_text(FdsetDomain *domain, const char *text, gsize len, GError **error)
{
    static const GMarkupParser parser = {on_start, on_end, on_text, NULL, NULL};
    Parse parse = {.domain = domain};
    GMarkupParseContext *context;
    gboolean parsed;

    parse.path = g_string_new(NULL);
    parse.text = g_string_new(NULL);
    context = g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &parse, NULL);
    parsed = g_markup_parse_context_parse(context, text, (gssize)len, error) &&
             g_markup_parse_context_end_parse(context, error);
    g_markup_parse_context_free(context);
    g_string_free(parse.path, TRUE);
    g_string_free(parse.text, TRUE);
    g_free(parse.model);
    return parsed;
}

FdsetDomain *fdset_domain_parse(const char *text, gsize len, const char *origin, GError **error)
{
    g_autoptr(FdsetDomain) domain = g_new0(FdsetDomain, 1);
    g_autoptr(GError) problem = NULL;

    domain->origin = g_strdup(origin);
    domain->cells = g_array_new(FALSE, FALSE, sizeof(FdsetDomainCell));
    domain->memories = g_array_new(FALSE, FALSE, sizeof(FdsetDomainMemory));
    g_array_set_clear_func(domain->memories, memory_clear);
    if (len > FDSET_DOMAIN_BYTES_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                    "%s: %" G_GSIZE_FORMAT " bytes of XML, expected at most %d", origin, len,
                    FDSET_DOMAIN_BYTES_MAX);
        return NULL;
    }
    if (!parse_text(domain, text, len, &problem) || !domain->is_found) {
        gboolean limit = g_error_matches(problem, FDSET_ERROR, FDSET_ERROR_LIMIT);

        g_set_error(error, FDSET_ERROR, limit ? FDSET_ERROR_LIMIT : FDSET_ERROR_FORMAT,
                    "%s: expected the XML of a domain: %s", origin,
                    problem != NULL ? problem->message : "there is no element <domain>");
        return NULL;
    }
    g_array_sort(domain->cells, compare_cells);
    return g_steal_pointer(&domain);
}

const char *fdset_domain_origin(const FdsetDomain *domain)
{
    return domain->origin;
}

const char *fdset_domain_machine(const FdsetDomain *domain)
{
    return domain->machine;
}

gsize fdset_domain_n_cells(const FdsetDomain *domain)
{
    return domain->cells->len;
}

const FdsetDomainCell *fdset_domain_cell(const FdsetDomain *domain, gsize i)
{
    g_return_val_if_fail(i < domain->cells->len, NULL);
    return &g_array_index(domain->cells, FdsetDomainCell, i);
}

gsize fdset_domain_n_memories(const FdsetDomain *domain)
{
    return domain->memories->len;
}

const FdsetDomainMemory *fdset_domain_memory(const FdsetDomain *domain, gsize i)
{
    g_return_val_if_fail(i < domain->memories->len, NULL);
    return &g_array_index(domain->memories, FdsetDomainMemory, i);
}

void fdset_domain_free(FdsetDomain *domain)
{
    if (domain == NULL)
        return;
    g_free(domain->origin);
    g_free(domain->machine);
    g_array_unref(domain->cells);
    g_array_unref(domain->memories);
    g_free(domain);
}
