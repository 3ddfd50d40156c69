/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/cpunotes.h"
#include "core/bytes.h"
#include "core/vmstate.h"

#include <string.h>

#define CPU_SECTION "cpu"
#define N_REGS 16
#define N_SEGS 6
#define N_TABLES 4
#define N_CRS 5
#define NT_PRSTATUS 1
#define NT_QEMU 0
#define PRSTATUS_PID 32
#define PRSTATUS_REGS 112
#define PRSTATUS_TAIL 8 /* pr_fpvalid and padding */
#define AARCH32 0x10    /* in PSTATE: the registers are the 32-bit ones */
#define QEMU_STATE_VERSION 1
/* 4096 vCPUs are what QEMU's machines take at most. */
#define CPUS_MAX 4096

/* In the order of QEMU's R_EAX ... and R_ES ... */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS };

typedef struct {
    guint64 selector, base, limit, flags;
} Segment;

typedef struct {
    guint64 regs[N_REGS];
    guint64 rip, rflags;
    Segment segs[N_SEGS];
    Segment tables[N_TABLES]; /* ldt, tr, gdt, idt */
    guint64 cr[N_CRS];
    guint64 kernel_gs_base;
} Cpu;

/* --- from the section --- */

static gboolean get_number(JsonNode *state, const char *name, guint64 *value)
{
    const char *const path[] = {name, NULL};

    return fdset_vmstate_number(fdset_vmstate_find(state, path), value);
}

static gboolean get_segment(JsonNode *node, Segment *segment)
{
    return get_number(node, "selector", &segment->selector) &&
           get_number(node, "base", &segment->base) && get_number(node, "limit", &segment->limit) &&
           get_number(node, "flags", &segment->flags);
}

static JsonArray *get_array(JsonNode *state, const char *name, guint len)
{
    const char *const path[] = {name, NULL};
    JsonNode *node = fdset_vmstate_find(state, path);
    JsonArray *array =
        node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    return array != NULL && json_array_get_length(array) == len ? array : NULL;
}

static gboolean get_segments(JsonNode *state, Cpu *cpu)
{
    static const char *const names[N_TABLES] = {"env.ldt", "env.tr", "env.gdt", "env.idt"};
    JsonArray *segs = get_array(state, "env.segs", N_SEGS);

    for (guint i = 0; segs != NULL && i < N_SEGS; i++) {
        if (!get_segment(json_array_get_element(segs, i), &cpu->segs[i]))
            return FALSE;
    }
    for (guint i = 0; i < N_TABLES; i++) {
        const char *const path[] = {names[i], NULL};

        if (!get_segment(fdset_vmstate_find(state, path), &cpu->tables[i]))
            return FALSE;
    }
    return segs != NULL;
}

/* A 32-bit QEMU has half as many registers: FALSE. */
static gboolean get_cpu(JsonNode *state, Cpu *cpu)
{
    JsonArray *regs = get_array(state, "env.regs", N_REGS);

    for (guint i = 0; regs != NULL && i < N_REGS; i++) {
        if (!fdset_vmstate_number(json_array_get_element(regs, i), &cpu->regs[i]))
            return FALSE;
    }
    cpu->cr[1] = 0;
    return regs != NULL && get_number(state, "env.eip", &cpu->rip) &&
           get_number(state, "env.eflags", &cpu->rflags) && get_segments(state, cpu) &&
           get_number(state, "env.cr[0]", &cpu->cr[0]) &&
           get_number(state, "env.cr[2]", &cpu->cr[2]) &&
           get_number(state, "env.cr[3]", &cpu->cr[3]) &&
           get_number(state, "env.cr[4]", &cpu->cr[4]) &&
           get_number(state, "env.kernelgsbase", &cpu->kernel_gs_base);
}

/* --- to notes --- */

void fdset_cpunotes_append(GByteArray *notes, const char *name, guint32 type, gconstpointer desc,
                           guint32 len)
{
    gsize name_len = strlen(name) + 1;

    fdset_bytes_le32(notes, (guint32)name_len);
    fdset_bytes_le32(notes, len);
    fdset_bytes_le32(notes, type);
    g_byte_array_append(notes, (const guint8 *)name, (guint)name_len);
    fdset_bytes_zeros(notes, (4 - name_len % 4) % 4);
    g_byte_array_append(notes, desc, len);
    fdset_bytes_zeros(notes, (4 - len % 4) % 4);
}

/* struct elf_prstatus of Linux on 64-bit machines: only the registers' number and order differ. */
static void append_prstatus(GByteArray *notes, const guint64 *values, gsize n, guint32 pid)
{
    g_autoptr(GByteArray) desc = g_byte_array_new();

    fdset_bytes_zeros(desc, PRSTATUS_PID);
    fdset_bytes_le32(desc, pid);
    fdset_bytes_zeros(desc, PRSTATUS_REGS - PRSTATUS_PID - 4);
    for (gsize i = 0; i < n; i++)
        fdset_bytes_le64(desc, values[i]);
    fdset_bytes_zeros(desc, PRSTATUS_TAIL);
    fdset_cpunotes_append(notes, "CORE", NT_PRSTATUS, desc->data, desc->len);
}

/* The order of user_regs_struct. */
static void append_x86_prstatus(GByteArray *notes, const Cpu *cpu, guint32 pid)
{
    const guint64 *regs = cpu->regs;
    const Segment *segs = cpu->segs;
    const guint64 values[] = {
        regs[R15],         regs[R14],         regs[R13],         regs[R12],
        regs[RBP],         regs[RBX],         regs[R11],         regs[R10],
        regs[R9],          regs[R8],          regs[RAX],         regs[RCX],
        regs[RDX],         regs[RSI],         regs[RDI],         0 /* orig_rax */,
        cpu->rip,          segs[CS].selector, cpu->rflags,       regs[RSP],
        segs[SS].selector, segs[FS].base,     segs[GS].base,     segs[DS].selector,
        segs[ES].selector, segs[FS].selector, segs[GS].selector,
    };

    append_prstatus(notes, values, G_N_ELEMENTS(values), pid);
}

static void append_segment(GByteArray *desc, const Segment *segment)
{
    fdset_bytes_le32(desc, (guint32)segment->selector);
    fdset_bytes_le32(desc, (guint32)segment->limit);
    fdset_bytes_le32(desc, (guint32)segment->flags);
    fdset_bytes_le32(desc, 0);
    fdset_bytes_le64(desc, segment->base);
}

static void append_qemu(GByteArray *notes, const Cpu *cpu)
{
    static const int order[N_REGS] = {RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP,
                                      R8,  R9,  R10, R11, R12, R13, R14, R15};
    static const int segs[N_SEGS] = {CS, DS, ES, FS, GS, SS};
    g_autoptr(GByteArray) desc = g_byte_array_new();
    guint32 len = 8 + (N_REGS + 2) * 8 + (N_SEGS + N_TABLES) * 24 + (N_CRS + 1) * 8;

    fdset_bytes_le32(desc, QEMU_STATE_VERSION);
    fdset_bytes_le32(desc, len);
    for (gsize i = 0; i < N_REGS; i++)
        fdset_bytes_le64(desc, cpu->regs[order[i]]);
    fdset_bytes_le64(desc, cpu->rip);
    fdset_bytes_le64(desc, cpu->rflags);
    for (gsize i = 0; i < N_SEGS; i++)
        append_segment(desc, &cpu->segs[segs[i]]);
    for (gsize i = 0; i < N_TABLES; i++)
        append_segment(desc, &cpu->tables[i]);
    for (gsize i = 0; i < N_CRS; i++)
        fdset_bytes_le64(desc, cpu->cr[i]);
    fdset_bytes_le64(desc, cpu->kernel_gs_base);
    fdset_cpunotes_append(notes, "QEMU", NT_QEMU, desc->data, desc->len);
}

/* --- CPUs whose notes are an array of registers and the program counter --- */

/* Arm and RISC-V: the order of user_pt_regs and user_regs_struct there. */
static const struct {
    const char *array; /* of REGISTERS in the section */
    guint first;       /* of them that is in the note */
    gboolean pc_first; /* else it stands behind them */
    const char *flags; /* bytes behind the program counter, or NULL */
} layouts[] = {
    {"env.xregs", 0, FALSE, "cpsr"},
    {"env.gpr", 1, TRUE, NULL},
};

#define REGISTERS 32
#define NARROW 16

static gboolean get_flags(JsonNode *state, const char *name, guint64 *value)
{
    const char *const path[] = {name, NULL};
    g_autoptr(GBytes) bytes = fdset_vmstate_bytes(fdset_vmstate_find(state, path));
    const guint8 *data;

    if (bytes == NULL || g_bytes_get_size(bytes) != 4)
        return FALSE;
    data = g_bytes_get_data(bytes, NULL);
    *value = (guint64)data[0] << 24 | (guint64)data[1] << 16 | (guint64)data[2] << 8 | data[3];
    return TRUE;
}

/*
 * An Arm CPU in a 32-bit state, as with a 32-bit process of a 64-bit kernel: r0 to
 * r14 are x0 to x14, as the architecture maps those of user mode, r15 is the
 * program counter. What the section has of the others is not what they are now.
 */
static gboolean get_narrow(JsonNode *state, guint64 *values)
{
    JsonArray *array = get_array(state, "env.regs", NARROW);

    memset(values, 0, REGISTERS * sizeof values[0]);
    for (guint r = 0; array != NULL && r < NARROW; r++) {
        guint64 *value = r == NARROW - 1 ? &values[REGISTERS] : &values[r];

        if (!fdset_vmstate_number(json_array_get_element(array, r), value))
            return FALSE;
    }
    return array != NULL;
}

/* The program counter of a 64-bit CPU: numbers of 64 bits are texts, see vmstate.h. */
static gboolean get_pc(JsonNode *state, guint64 *pc)
{
    static const char *const path[] = {"env.pc", NULL};
    JsonNode *node = fdset_vmstate_find(state, path);

    return node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_STRING && fdset_vmstate_number(node, pc);
}

/* How many registers of layout 'i' go to 'values', or 0 when this is no such CPU. */
static gsize get_registers(JsonNode *state, gsize i, guint64 *values)
{
    JsonArray *array = get_array(state, layouts[i].array, REGISTERS);
    gsize n = 0;
    guint64 pc;

    if (array == NULL || !get_pc(state, &pc))
        return 0;
    if (layouts[i].pc_first)
        values[n++] = pc;
    for (guint r = layouts[i].first; r < REGISTERS; r++) {
        if (!fdset_vmstate_number(json_array_get_element(array, r), &values[n++]))
            return 0;
    }
    if (!layouts[i].pc_first)
        values[n++] = pc;
    if (layouts[i].flags != NULL &&
        (!get_flags(state, layouts[i].flags, &values[n]) ||
         ((values[n++] & AARCH32) != 0 && !get_narrow(state, values))))
        return 0;
    return n;
}

static gboolean append_plain(GByteArray *notes, JsonNode *state, guint32 pid)
{
    guint64 values[REGISTERS + 2];

    for (gsize i = 0; i < G_N_ELEMENTS(layouts); i++) {
        gsize n = get_registers(state, i, values);

        if (n > 0) {
            append_prstatus(notes, values, n, pid);
            return TRUE;
        }
    }
    return FALSE;
}

/* --- all of them --- */

/* What one section gives: a note of Linux, and on x86 one of QEMU. FALSE for nothing. */
static gboolean append_cpu(GByteArray *notes, GByteArray *others, JsonNode *state, guint32 pid)
{
    Cpu cpu;

    if (!get_cpu(state, &cpu))
        return append_plain(notes, state, pid);
    append_x86_prstatus(notes, &cpu, pid);
    append_qemu(others, &cpu);
    return TRUE;
}

GBytes *fdset_cpunotes_new(const FdsetDevices *devices, guint *count)
{
    GByteArray *notes = g_byte_array_new();
    g_autoptr(GByteArray) others = g_byte_array_new();

    *count = 0;
    for (gsize i = 0; i < fdset_devices_count(devices) && *count < CPUS_MAX; i++) {
        gsize budget = 100000;
        g_autoptr(JsonNode) state = NULL;

        if (strcmp(fdset_devices_section(devices, i)->name, CPU_SECTION) != 0)
            continue;
        state = fdset_devices_decode(devices, i, &budget, NULL);
        if (state != NULL && append_cpu(notes, others, state, *count + 1))
            (*count)++;
    }
    g_byte_array_append(notes, others->data, others->len);
    return g_byte_array_free_to_bytes(notes);
}
