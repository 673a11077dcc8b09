/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The probe of a device's matrix unit: it agrees with what the processor says, the environment lowers it, and nothing else has one. */
#include <string.h>

#include "runtime/matrix-unit.h"
#include "runtime/program.h"
#include "test-support.h"

/* A device like the one under test of which nothing is known; each test changes its own. */
static SoraDevice *
device_new (void)
{
  static const gchar *const kinds[] = { "packed", "clblast" };
  static guint n;
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kinds[n++ % 2]);
  SoraDevice *device = sora_device_ref (sora_queue_get_device (queue));

  device->matrix_unit_known = FALSE;
  return device;
}

/* Whether Linux names @flag among what the processor can do */
static gboolean
has_flag (const gchar *flag)
{
  g_autofree gchar *text = NULL, *word = g_strdup_printf (" %s ", flag);
  gchar *flags;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) || !(flags = strstr (text, "flags")))
    return FALSE;
  flags = g_strdelimit (g_strndup (flags, strcspn (flags, "\n")), "\t:", ' ');
  g_free (text);
  text = g_strconcat (flags, " ", NULL);
  g_free (flags);
  return strstr (text, word) != NULL;
}

static gboolean
is_intel (void)
{
  g_autofree gchar *text = NULL;

  return g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) && strstr (text, "GenuineIntel");
}

/* What PoCL's own device should have here of what @limit allows; LLVM is as new wherever the tests run. */
static SoraMatrixUnit
expect (const SoraDevice *device, SoraMatrixUnit limit)
{
  if (!(device->type & CL_DEVICE_TYPE_CPU) || strcmp (device->platform_name, "Portable Computing Language") != 0
      || device->vector_width < 16 || !has_flag ("avx512_bf16"))
    return SORA_MATRIX_UNIT_NONE;
  if (has_flag ("amx_bf16") || limit == SORA_MATRIX_UNIT_NONE)
    return limit;
  return limit == SORA_MATRIX_UNIT_AMX_BF16 && is_intel () ? SORA_MATRIX_UNIT_NONE : SORA_MATRIX_UNIT_AVX512_BF16;
}

static void
test_probe (void)
{
  g_autoptr (SoraDevice) device = device_new ();
  SoraMatrixUnit unit;

  g_unsetenv ("SORA_MATRIX_UNIT");
  unit = sora_matrix_unit_get (device);
  g_test_message ("%s has %s", device->name, sora_matrix_unit_names[unit]);
  g_assert_cmpint (unit, ==, expect (device, SORA_MATRIX_UNIT_AMX_BF16));
  g_assert_cmpint (sora_matrix_unit_get (device), ==, unit);
  g_assert_cmpstr (sora_device_get_matrix_unit (device), ==, sora_matrix_unit_names[unit]);
}

/* Each name is the most that there is; one that is unknown is warned of. */
static void
test_limit (void)
{
  for (guint limit = 0; sora_matrix_unit_names[limit]; limit++) {
    g_autoptr (SoraDevice) device = device_new ();

    g_setenv ("SORA_MATRIX_UNIT", sora_matrix_unit_names[limit], TRUE);
    g_assert_cmpint (sora_matrix_unit_get (device), ==, expect (device, limit));
    device->matrix_unit_known = FALSE;
  }
  g_setenv ("SORA_MATRIX_UNIT", "abacus", TRUE);
  {
    g_autoptr (SoraDevice) device = device_new ();

    g_test_expect_message ("sora", G_LOG_LEVEL_WARNING, "SORA_MATRIX_UNIT is \"abacus\"*");
    g_assert_cmpint (sora_matrix_unit_get (device), ==, expect (device, SORA_MATRIX_UNIT_AMX_BF16));
    g_test_assert_expected_messages ();
  }
  g_unsetenv ("SORA_MATRIX_UNIT");
}

/* A device of another kind, or of another implementation, is not tried. */
static void
test_others (void)
{
  g_autoptr (SoraDevice) device = device_new ();
  const SoraDevice before = *device;

  device->type = CL_DEVICE_TYPE_GPU;
  g_assert_cmpint (sora_matrix_unit_get (device), ==, SORA_MATRIX_UNIT_NONE);
  device->type = before.type;
  device->matrix_unit_known = FALSE;
  device->platform_name = (gchar *) "Oclgrind";
  g_assert_cmpint (sora_matrix_unit_get (device), ==, SORA_MATRIX_UNIT_NONE);
  device->platform_name = before.platform_name;
  device->matrix_unit_known = FALSE;
}

/* A device that sees memory elsewhere than the host does runs none of the instructions. */
static void
test_elsewhere (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraDevice *device = sora_queue_get_device (queue);
  SoraMatrixUnit unit = sora_matrix_unit_get (device);
  const cl_ulong address = 1;
  g_autofree gfloat *zeros = g_new0 (gfloat, 256);
  g_autofree gfloat *result = NULL;
  const SoraLaunch launch = { .program = SORA_MATRIX_UNIT_PROGRAM, .options = sora_matrix_unit_option (unit), .kernel = "prove",
    .dims = 1, .global = { 1 }, .local = { 1 } };
  cl_mem mem;

  if (unit == SORA_MATRIX_UNIT_NONE) {
    g_test_skip ("the device has no matrix unit");
    return;
  }
  mem = sora_test_upload (queue, zeros, 256);
  SORA_LAUNCH (queue, &launch, SORA_ARG (mem), SORA_ARG (mem), SORA_ARG (mem), SORA_ARG (address));
  result = sora_test_download (queue, mem, 256);
  sora_test_assert_same (result, zeros, 256, "nothing written");
  clReleaseMemObject (mem);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/matrix-unit/probe", test_probe);
  g_test_add_func ("/matrix-unit/limit", test_limit);
  g_test_add_func ("/matrix-unit/others", test_others);
  g_test_add_func ("/matrix-unit/elsewhere", test_elsewhere);
  return g_test_run ();
}
