/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bf16 matrix instructions a device has: of a CPU device, those of the processor that this process runs on. */
#define _GNU_SOURCE
#include "runtime/matrix-unit.h"

#include <stdio.h>
#include <string.h>

#include "runtime/program.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

const gchar *const sora_matrix_unit_names[] = {
  [SORA_MATRIX_UNIT_NONE] = "none",
  [SORA_MATRIX_UNIT_AVX512_BF16] = "avx512-bf16",
  [SORA_MATRIX_UNIT_AMX_BF16] = "amx-bf16",
  NULL
};

#if defined(__x86_64__)

/* arch_prctl(2); headers of older systems lack the names */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

/* cpuid: leaf 1 ecx; leaf 7 ebx and edx; leaf 7.1 eax */
#define HAS_OSXSAVE (1u << 27)
#define HAS_AVX512 (1u << 16 | 1u << 30 | 1u << 31)     /* F, BW, VL */
#define HAS_AMX (1u << 22 | 1u << 24)   /* BF16, TILE */
#define HAS_AVX512_BF16 (1u << 5)
/* xgetbv: registers that the system saves */
#define SAVES_AVX512 (1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7)
#define SAVES_TILES (1u << 17 | 1u << 18)

static guint32
get_saved_registers (void)
{
  guint32 low, high;

  __asm__ ("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
  return low;
}

/* Intel's processors gain nothing by vdpbf16ps: on Sapphire Rapids it makes half as many products in a second as fp32 does, or fewer. AMD's
 * make twice as many. */
static gboolean
gains_by_vectors (void)
{
  guint a, b, c, d;

  return !__get_cpuid (0, &a, &b, &c, &d) || b != signature_INTEL_ebx;
}

/* Linux lets a process use tiles once it has asked, as they make what it saves of a thread 8 KiB larger. */
static gboolean
request_tiles (void)
{
  return syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* What processor and system say that there is. */
static SoraMatrixUnit
ask_processor (void)
{
  guint a, b, c, d, a1, unused;
  guint32 saved;

  if (!__get_cpuid (1, &a, &b, &c, &d) || !(c & HAS_OSXSAVE))
    return SORA_MATRIX_UNIT_NONE;
  saved = get_saved_registers ();
  if (!__get_cpuid_count (7, 0, &a, &b, &c, &d) || a < 1 || !__get_cpuid_count (7, 1, &a1, &unused, &unused, &unused))
    return SORA_MATRIX_UNIT_NONE;
  if ((b & HAS_AVX512) != HAS_AVX512 || !(a1 & HAS_AVX512_BF16) || (saved & SAVES_AVX512) != SAVES_AVX512)
    return SORA_MATRIX_UNIT_NONE;
  if ((d & HAS_AMX) != HAS_AMX || (saved & SAVES_TILES) != SAVES_TILES)
    return SORA_MATRIX_UNIT_AVX512_BF16;
  return SORA_MATRIX_UNIT_AMX_BF16;
}

#else

static gboolean
gains_by_vectors (void)
{
  return FALSE;
}

static gboolean
request_tiles (void)
{
  return FALSE;
}

static SoraMatrixUnit
ask_processor (void)
{
  return SORA_MATRIX_UNIT_NONE;
}

#endif

/* Whether the compiler behind @device takes the assembly: of PoCL with an LLVM that knows the instructions. One that does not ends the process,
 * so trying would be no way to find out; and an interpreter of kernels, which is a CPU device too, has no use for it. */
static gboolean
takes_assembly (const SoraDevice *device)
{
  gchar version[256] = "";
  const gchar *llvm;
  guint major = 0;

  if (!(device->type & CL_DEVICE_TYPE_CPU) || !g_str_equal (device->platform_name, "Portable Computing Language")
      || device->vector_width < 16)
    return FALSE;
  clGetPlatformInfo (device->platform, CL_PLATFORM_VERSION, sizeof version - 1, version, NULL);
  llvm = strstr (version, "LLVM ");
  return llvm && sscanf (llvm, "LLVM %u", &major) == 1 && major >= 12;
}

/* The operands of matrix-unit.cl; each begins at a multiple of 128 bytes, as a device's buffer does. */
typedef struct {
  gfloat c[16][16];
  guint16 a[16][32];
  guint16 b[16][16][2];
} Proof;

/* Small whole numbers, of which bf16 has all; sums are exact. */
static gint
get_a (guint row, guint k)
{
  return (gint) (row * 7 + k * 3) % 17 - 8;
}

static gint
get_b (guint k, guint column)
{
  return (gint) (k * 5 + column * 11) % 19 - 9;
}

static guint16
whole_to_bf16 (gint value)
{
  gfloat number = value;
  guint32 bits;

  memcpy (&bits, &number, sizeof bits);
  return bits >> 16;
}

static void
fill (Proof *proof)
{
  memset (proof, 0, sizeof *proof);
  for (guint row = 0; row < 16; row++) {
    for (guint k = 0; k < 32; k++) {
      proof->a[row][k] = whole_to_bf16 (get_a (row, k));
      proof->b[k / 2][row][k % 2] = whole_to_bf16 (get_b (k, row));
    }
  }
}

static gboolean
is_right (const Proof *proof)
{
  for (guint row = 0; row < 16; row++) {
    for (guint column = 0; column < 16; column++) {
      gint sum = 0;

      for (guint k = 0; k < 32; k++)
        sum += get_a (row, k) * get_b (k, column);
      if (proof->c[row][column] != sum)
        return FALSE;
    }
  }
  return TRUE;
}

/* The device's view of @size bytes at @from, its own memory if it is this process's processor */
static cl_mem
wrap (SoraDevice *device, gpointer from, gsize size, cl_int *status)
{
  return clCreateBuffer (device->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, size, from, status);
}

static cl_int
launch (cl_command_queue queue, cl_kernel kernel, cl_mem a, cl_mem b, cl_mem c, gfloat *result)
{
  const cl_ulong address = (gsize) result;
  const gsize one = 1;
  cl_int status = clSetKernelArg (kernel, 0, sizeof a, &a);

  status |= clSetKernelArg (kernel, 1, sizeof b, &b);
  status |= clSetKernelArg (kernel, 2, sizeof c, &c);
  status |= clSetKernelArg (kernel, 3, sizeof address, &address);
  if (status == CL_SUCCESS)
    status = clEnqueueNDRangeKernel (queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL);
  return status == CL_SUCCESS ? clEnqueueReadBuffer (queue, c, CL_TRUE, 0, 16 * 16 * sizeof *result, result, 0, NULL, NULL) : status;
}

static cl_int
multiply (SoraDevice *device, cl_program program, Proof *proof)
{
  cl_int status[5];
  cl_kernel kernel = clCreateKernel (program, "prove", &status[0]);
  cl_command_queue queue = clCreateCommandQueue (device->context, device->id, 0, &status[1]);
  cl_mem a = wrap (device, proof->a, sizeof proof->a, &status[2]), b = wrap (device, proof->b, sizeof proof->b, &status[3]);
  cl_mem c = wrap (device, proof->c, sizeof proof->c, &status[4]);
  cl_int result = status[0] | status[1] | status[2] | status[3] | status[4];

  if (result == CL_SUCCESS)
    result = launch (queue, kernel, a, b, c, proof->c[0]);
  g_clear_pointer (&a, clReleaseMemObject);
  g_clear_pointer (&b, clReleaseMemObject);
  g_clear_pointer (&c, clReleaseMemObject);
  g_clear_pointer (&queue, clReleaseCommandQueue);
  g_clear_pointer (&kernel, clReleaseKernel);
  return result;
}

/* Whether @device multiplies with @unit. */
static gboolean
prove (SoraDevice *device, SoraMatrixUnit unit)
{
  g_autoptr (GError) error = NULL;
  cl_program program = sora_program_get (device, SORA_MATRIX_UNIT_PROGRAM, sora_matrix_unit_option (unit), &error);
  Proof proof __attribute__ ((aligned (128)));

  if (!program) {
    g_info ("%s is not used: %s", sora_matrix_unit_names[unit], error->message);
    return FALSE;
  }
  fill (&proof);
  if (multiply (device, program, &proof) == CL_SUCCESS && is_right (&proof))
    return TRUE;
  g_info ("%s is not used: it gives a wrong product", sora_matrix_unit_names[unit]);
  return FALSE;
}

/* The most that $SORA_MATRIX_UNIT allows */
static SoraMatrixUnit
get_limit (void)
{
  const gchar *wanted = g_getenv ("SORA_MATRIX_UNIT");

  if (!wanted || !*wanted)
    return SORA_MATRIX_UNIT_AMX_BF16;
  for (guint unit = 0; sora_matrix_unit_names[unit]; unit++) {
    if (g_ascii_strcasecmp (wanted, sora_matrix_unit_names[unit]) == 0)
      return unit;
  }
  g_warning ("SORA_MATRIX_UNIT is \"%s\", which is neither \"none\", \"avx512-bf16\" nor \"amx-bf16\"", wanted);
  return SORA_MATRIX_UNIT_AMX_BF16;
}

/* Vectors that are asked for are used whether they gain or not. */
static gboolean
is_wanted (SoraMatrixUnit unit, SoraMatrixUnit limit)
{
  return unit != SORA_MATRIX_UNIT_AVX512_BF16 || limit == unit || gains_by_vectors ();
}

SoraMatrixUnit
sora_matrix_unit_expect (void)
{
  SoraMatrixUnit limit = get_limit (), unit = MIN (limit, ask_processor ());

  return is_wanted (unit, limit) ? unit : SORA_MATRIX_UNIT_NONE;
}

static SoraMatrixUnit
probe (SoraDevice *device)
{
  SoraMatrixUnit limit = get_limit (), unit;

  if (limit == SORA_MATRIX_UNIT_NONE || !takes_assembly (device))
    return SORA_MATRIX_UNIT_NONE;
  unit = MIN (limit, ask_processor ());
  if (unit == SORA_MATRIX_UNIT_AMX_BF16 && !(request_tiles () && prove (device, unit)))
    unit = SORA_MATRIX_UNIT_AVX512_BF16;
  if (unit != SORA_MATRIX_UNIT_AVX512_BF16)
    return unit;
  return is_wanted (unit, limit) && prove (device, unit) ? unit : SORA_MATRIX_UNIT_NONE;
}

/* not the device's, which is taken to build a program */
static GMutex probe_lock;

SoraMatrixUnit
sora_matrix_unit_get (SoraDevice *device)
{
  SoraMatrixUnit unit;

  g_mutex_lock (&probe_lock);
  if (!device->matrix_unit_known) {
    gint64 start = g_get_monotonic_time ();

    device->matrix_unit = probe (device);
    device->matrix_unit_known = TRUE;
    g_debug ("matrix unit of %s: %s, found in %" G_GINT64_FORMAT " us", device->name, sora_matrix_unit_names[device->matrix_unit],
        g_get_monotonic_time () - start);
  }
  unit = device->matrix_unit;
  g_mutex_unlock (&probe_lock);
  return unit;
}

SoraMatrixUnit
sora_matrix_unit_peek (SoraDevice *device)
{
  SoraMatrixUnit unit;

  g_mutex_lock (&probe_lock);
  unit = device->matrix_unit_known ? device->matrix_unit : SORA_MATRIX_UNIT_NONE;
  g_mutex_unlock (&probe_lock);
  return unit;
}

const gchar *
sora_matrix_unit_option (SoraMatrixUnit unit)
{
  return unit == SORA_MATRIX_UNIT_AMX_BF16 ? "-DUNIT=2 -DWIDTH=16 -DTILE_M=12" : "-DUNIT=1 -DWIDTH=16 -DTILE_M=12";
}
