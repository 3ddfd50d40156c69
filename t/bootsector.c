/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bootsector - write a boot disk of one sector for the guests of the tests.
 *
 * The guest prints 'A' on the first serial port once its memory is filled, and
 * from then on works for ever: it adds one to the first byte of each page of a
 * range and prints 'B' after each pass. So a live migration meets pages that
 * change, and pages that become zero again (each byte wraps after 256 passes),
 * and a restored guest shows on the serial port that it lives.
 *
 * Memory of the guest:
 *     1 MiB               the range whose pages change
 *     1 MiB + --run MiB   --fill MiB of numbers that depend on --seed
 */
#include "config.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define MIB 0x100000u
#define SECTOR 512
#define LOAD_ADDRESS 0x7c00
#define GDT_OFFSET 0x100 /* in the sector; the code must end before it */
#define GDT_POINTER_OFFSET 0x120
#define SERIAL_PORT 0x3f8

typedef struct {
    guint8 bytes[SECTOR];
    gsize length;
} Code;

static void emit(Code *code, gsize count, const guint8 *bytes)
{
    g_assert(code->length + count <= GDT_OFFSET);
    memcpy(code->bytes + code->length, bytes, count);
    code->length += count;
}

/* OP(code, bytes...) appends the bytes of one instruction. */
#define OP(code, ...)                                                                              \
    emit(code, sizeof((const guint8[]){__VA_ARGS__}), (const guint8[]){__VA_ARGS__})
#define LE16(x) (guint8)(x), (guint8)((x) >> 8)
#define LE32(x) LE16(x), (guint8)((x) >> 16), (guint8)((x) >> 24)

/* A short jump or loop back to 'target'; opcode first, then the distance from its end. */
static void emit_back(Code *code, guint8 opcode, gsize target)
{
    OP(code, opcode, (guint8)(target - (code->length + 2)));
}

static void emit_protected_mode(Code *code)
{
    OP(code, 0xfa);                                                      /* cli               */
    OP(code, 0xfc);                                                      /* cld               */
    OP(code, 0x31, 0xc0);                                                /* xor  ax, ax       */
    OP(code, 0x8e, 0xd8);                                                /* mov  ds, ax       */
    OP(code, 0xe4, 0x92);                                                /* in   al, 0x92     */
    OP(code, 0x0c, 0x02);                                                /* or   al, 2: A20   */
    OP(code, 0xe6, 0x92);                                                /* out  0x92, al     */
    OP(code, 0x0f, 0x01, 0x16, LE16(LOAD_ADDRESS + GDT_POINTER_OFFSET)); /* lgdt [pointer] */
    OP(code, 0x0f, 0x20, 0xc0);                                          /* mov  eax, cr0     */
    OP(code, 0x0c, 0x01);                                                /* or   al, 1        */
    OP(code, 0x0f, 0x22, 0xc0);                                          /* mov  cr0, eax     */
    OP(code, 0xea, LE16(LOAD_ADDRESS + code->length + 5), LE16(8));      /* jmp  8:next       */
    OP(code, 0xb8, LE32(16));                                            /* mov  eax, 16      */
    OP(code, 0x8e, 0xd8);                                                /* mov  ds, ax       */
    OP(code, 0x8e, 0xc0);                                                /* mov  es, ax       */
    OP(code, 0x8e, 0xd0);                                                /* mov  ss, ax       */
}

/* A linear congruential generator of full period: no page is zero, no two are alike. */
static void emit_fill(Code *code, guint32 start, guint32 length, guint32 seed)
{
    gsize top;

    if (length == 0)
        return;
    OP(code, 0xbf, LE32(start));      /* mov  edi, start            */
    OP(code, 0xb9, LE32(length / 4)); /* mov  ecx, length / 4       */
    OP(code, 0xb8, LE32(seed));       /* mov  eax, seed             */
    top = code->length;
    OP(code, 0x69, 0xc0, LE32(1664525)); /* top: imul eax, 1664525     */
    OP(code, 0x05, LE32(1013904223));    /* add  eax, 1013904223       */
    OP(code, 0xab);                      /* stosd                      */
    emit_back(code, 0xe2, top);          /* loop top                   */
}

static void emit_print(Code *code, char letter)
{
    OP(code, 0x66, 0xba, LE16(SERIAL_PORT)); /* mov  dx, 0x3f8             */
    OP(code, 0xb0, (guint8)letter);          /* mov  al, letter            */
    OP(code, 0xee);                          /* out  dx, al                */
}

static void emit_run(Code *code, guint32 start, guint32 length)
{
    gsize pass = code->length;
    gsize page;

    OP(code, 0xbf, LE32(start));         /* pass: mov  edi, start      */
    OP(code, 0xb9, LE32(length / 4096)); /* mov  ecx, pages            */
    page = code->length;
    OP(code, 0xfe, 0x07);             /* page: inc  byte [edi]      */
    OP(code, 0x81, 0xc7, LE32(4096)); /* add  edi, 4096             */
    emit_back(code, 0xe2, page);      /* loop page                  */
    emit_print(code, 'B');
    emit_back(code, 0xeb, pass); /* jmp  pass                  */
}

static void finish_sector(Code *code)
{
    static const guint8 gdt[] = {
        0,    0,    0, 0, 0, 0,    0,    0, /* the null segment          */
        0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0, /*  8: code, 0 to 4 GiB, 32 bit */
        0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0, /* 16: data, 0 to 4 GiB         */
    };
    const guint8 pointer[] = {LE16(sizeof(gdt) - 1), LE32(LOAD_ADDRESS + GDT_OFFSET)};

    memcpy(code->bytes + GDT_OFFSET, gdt, sizeof(gdt));
    memcpy(code->bytes + GDT_POINTER_OFFSET, pointer, sizeof(pointer));
    code->bytes[SECTOR - 2] = 0x55;
    code->bytes[SECTOR - 1] = 0xaa;
}

int main(int argc, char **argv)
{
    int run = 8, fill = 16, seed = 1;
    const GOptionEntry entries[] = {
        {"run", 0, 0, G_OPTION_ARG_INT, &run, "size of the range that changes (8)", "MIB"},
        {"fill", 0, 0, G_OPTION_ARG_INT, &fill, "size of the range of numbers (16)", "MIB"},
        {"seed", 0, 0, G_OPTION_ARG_INT, &seed, "where the numbers start (1)", "NUMBER"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("FILE - write a boot sector");
    g_autoptr(GError) error = NULL;
    Code code = {{0}, 0};

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 || run < 1 ||
        run > 1024 || fill < 0 || fill > 2700) {
        g_printerr("bootsector: %s\n", error != NULL ? error->message : "usage: bootsector FILE");
        return EXIT_FAILURE;
    }
    emit_protected_mode(&code);
    emit_fill(&code, MIB + (guint32)run * MIB, (guint32)fill * MIB, (guint32)seed);
    emit_print(&code, 'A');
    emit_run(&code, MIB, (guint32)run * MIB);
    finish_sector(&code);
    if (!g_file_set_contents(argv[1], (const char *)code.bytes, SECTOR, &error)) {
        g_printerr("bootsector: %s\n", error->message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
