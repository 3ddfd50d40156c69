/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every fuzz target on every file of the corpus of bad ones, and on mutations
 * of good ones. The seed is printed; FDSETFS_TEST_SEED sets it.
 */
#include "config.h"
#include "t/bad/cases.h"
#include "t/fixture.h"
#include "t/fuzz/targets.h"

#include <string.h>

#define MUTATIONS 300 /* of each seed, for each target */
#define LARGEST (256u << 10) /* of the bad files; larger ones are for t/bad.t */

static const char commands[] =
    "{\"execute\":\"qmp_capabilities\"}\r\n"
    "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":7,\"opaque\":\"\\u00e9\\ud83d\\ude00\"},"
    "\"id\":[1,{}]}\n{\"execute\":\"wait\",\"arguments\":{\"timeout\":1.5e1}}";
static const char description[] =
    "{\"page_size\":4096,\"devices\":[{\"name\":\"timer\",\"instance_id\":0,\"version\":2,"
    "\"vmsd_name\":\"timer\",\"fields\":[{\"name\":\"a\",\"type\":\"uint64\",\"size\":8,"
    "\"array_len\":3},{\"name\":\"s\",\"type\":\"struct\",\"struct\":{\"vmsd_name\":\"x\","
    "\"version\":1,\"fields\":[]},\"size\":4}],\"subsections\":[]}]}";
static const guint8 delta[] = {3, 2, 0xaa, 0xbb, 0xac, 0x02, 1, 0xcc};

static GPtrArray *good_seeds(void)
{
    static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 20},
                                         {.name = "vga.vram", .pages = 3}};
    const StreamShape shapes[] = {
        {.capability = "mapped-ram", .page_bits = 10, .pages_align = 1024, .blocks = blocks,
         .n_blocks = 2, .early = TRUE},
        {.page_bits = 10, .resent = TRUE, .foreign = TRUE, .blocks = blocks, .n_blocks = 2},
        {.capability = "fixed-ram", .page_bits = 10, .pages_align = 1024, .start = 300,
         .blocks = blocks, .n_blocks = 1, .uuid = TRUE, .big_endian = TRUE},
    };
    static const char domain[] =
        "<domain><os><type machine='pc-q35-10.0'>hvm</type></os>"
        "<cpu><numa><cell id='0' memory='1' unit='GiB'/></numa></cpu><devices>"
        "<memory model='dimm'><target><size unit='KiB'>524288</size></target>"
        "<address type='dimm' slot='0' base='0x100000000'/><alias name='dimm0'/></memory>"
        "</devices></domain>";
    GPtrArray *seeds = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autoptr(StreamFile) file = stream_file_new(&shapes[i]);

        g_ptr_array_add(seeds, g_bytes_new(file->bytes->data, file->bytes->len));
    }
    g_ptr_array_add(seeds, g_bytes_new_static(commands, sizeof commands - 1));
    g_ptr_array_add(seeds, g_bytes_new_static(description, sizeof description - 1));
    g_ptr_array_add(seeds, g_bytes_new_static(delta, sizeof delta));
    g_ptr_array_add(seeds, g_bytes_new_static(domain, sizeof domain - 1));
    return seeds;
}

static void test_corpus(gconstpointer data)
{
    const FuzzTarget *target = data;

    target->run((const guint8 *)"", 0);
    for (gsize i = 0; i < bad_n_cases(); i++) {
        g_autoptr(GByteArray) file = bad_file(i);

        if (file->len <= LARGEST)
            target->run(file->data, file->len);
    }
}

/* Bytes changed, taken out, put in twice, or the end cut off. */
static GByteArray *mutate(GBytes *seed, Random *random)
{
    static const guint8 edges[] = {0, 1, 0x7f, 0x80, 0xff, '{', '"', '\\'};
    gsize size;
    const guint8 *data = g_bytes_get_data(seed, &size);
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_append(bytes, data, (guint)size);
    for (guint64 n = 1 + random_below(random, 4); n > 0 && bytes->len > 8; n--) {
        guint at = (guint)random_below(random, bytes->len);
        guint len = 1 + (guint)random_below(random, MIN(8, bytes->len - at));

        switch (random_below(random, 5)) {
        case 0:
            g_byte_array_set_size(bytes, at);
            break;
        case 1:
            g_byte_array_remove_range(bytes, at, len);
            break;
        case 2:
            bytes->data[at] ^= (guint8)(1u << random_below(random, 8));
            break;
        default:
            memset(bytes->data + at, edges[random_below(random, sizeof edges)], len);
        }
    }
    return bytes;
}

static void test_mutations(gconstpointer data)
{
    const FuzzTarget *target = data;
    g_autoptr(GPtrArray) seeds = good_seeds();
    Random random = random_new();

    for (guint i = 0; i < seeds->len; i++) {
        gsize size;
        const guint8 *bytes = g_bytes_get_data(seeds->pdata[i], &size);

        target->run(bytes, size);
        for (guint k = 0; k < MUTATIONS; k++) {
            g_autoptr(GByteArray) mutant = mutate(seeds->pdata[i], &random);

            target->run(mutant->data, mutant->len);
        }
    }
}

/* fuzz.t --seeds DIRECTORY: the good ones as files, for libFuzzer. */
static int write_seeds(const char *directory)
{
    g_autoptr(GPtrArray) seeds = good_seeds();

    for (guint i = 0; i < seeds->len; i++) {
        g_autofree char *path = g_strdup_printf("%s/good-%u", directory, i);
        gsize size;
        const char *data = g_bytes_get_data(seeds->pdata[i], &size);

        if (!g_file_set_contents(path, data, (gssize)size, NULL))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    fixture_init(argc, argv);
    for (const FuzzTarget *target = fuzz_targets; target->name; target++) {
        g_autofree char *corpus = g_strdup_printf("/fuzz/%s/bad files", target->name);
        g_autofree char *mutations = g_strdup_printf("/fuzz/%s/mutations", target->name);

        g_test_add_data_func(corpus, target, test_corpus);
        g_test_add_data_func(mutations, target, test_mutations);
    }
    return g_test_run();
}
