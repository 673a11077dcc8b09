/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices: the selector's table, one context per device, no driver, a home that cannot be written, two devices. */

#define _GNU_SOURCE
#include "test-support.h"

#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "runtime/program.h"

/* Stands in for the engine's table, so that these tests have a kernel of their own. */
const SoraProgramSource sora_program_sources[] = {
  { "square", "__kernel void square (__global float *x) { x[get_global_id (0)] *= x[get_global_id (0)]; }\n" },
  { NULL, NULL }
};

/* Squares 0 ... 9 on @device. */
static void
run_on (SoraDevice *device)
{
  const SoraLaunch launch = { .program = "square", .kernel = "square", .dims = 1, .global = { 10 }, .local = { 1 } };
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraQueue) queue = sora_queue_new (device, FALSE, &error);
  g_autofree gfloat *result = NULL;
  gfloat data[10];
  cl_mem x;

  g_assert_no_error (error);
  for (guint i = 0; i < 10; i++)
    data[i] = i;
  x = sora_test_upload (queue, data, 10);
  SORA_LAUNCH (queue, &launch, SORA_ARG (x));
  result = sora_test_download (queue, x, 10);
  for (guint i = 0; i < 10; i++)
    g_assert_cmpfloat (result[i], ==, i * i);
  clReleaseMemObject (x);
}

static void
test_selectors (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) devices = sora_device_list (&error);
  SoraDevice *last;
  g_autofree gchar *upper = NULL, *both = NULL, *index = NULL, *packed = NULL, *clblast = NULL;

  g_assert_no_error (error);
  last = g_ptr_array_index (devices, devices->len - 1);
  upper = g_ascii_strup (last->name, -1);
  both = g_strdup_printf ("%s: %s", last->platform_name, last->name);
  index = g_strdup_printf ("%u", devices->len - 1);
  packed = g_strdup_printf ("%s:packed", index);
  clblast = g_strdup_printf ("%s:CLBLAST", upper);
  {
    const struct {
      const gchar *selector;
      gint kind;                /* -1: whatever is the device's own */
    } cases[] = {
      { index, -1 }, { upper, -1 }, { both, -1 }, { sora_device_get_kind (last), -1 },
      { packed, SORA_LINEAR_PACKED }, { clblast, SORA_LINEAR_CLBLAST },
    };

    for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
      g_autoptr (SoraDevice) device = sora_device_open (cases[i].selector, &error);

      g_assert_no_error (error);
      g_assert_nonnull (device->context);
      /* A name or a type may fit an earlier device as well. */
      if (devices->len == 1 || g_ascii_isdigit (*cases[i].selector))
        g_assert_cmpstr (device->name, ==, last->name);
      if (cases[i].kind >= 0)
        g_assert_cmpint (device->linear_kind, ==, cases[i].kind);
    }
  }
}

/* Which of made-up devices a selector finds */
static void
test_choice (void)
{
  SoraDevice accelerator = { .platform_name = "First", .name = "Card 7", .type = CL_DEVICE_TYPE_ACCELERATOR };
  SoraDevice cpu = { .platform_name = "First", .name = "Slow", .type = CL_DEVICE_TYPE_CPU };
  SoraDevice gpu = { .platform_name = "Second", .name = "Quick", .type = CL_DEVICE_TYPE_GPU };
  SoraDevice gpu_2 = { .platform_name = "Second", .name = "Quicker", .type = CL_DEVICE_TYPE_GPU };
  SoraDevice *all[] = { &accelerator, &cpu, &gpu, &gpu_2 };
  const struct {
    guint n;                    /* of all are there */
    const gchar *selector;
    SoraDevice *found;
  } table[] = {
    { 4, "", &gpu }, { 2, "", &cpu }, { 1, "", &accelerator },
    { 4, "gpu", &gpu }, { 4, "CPU", &cpu }, { 4, "accelerator", &accelerator }, { 2, "gpu", NULL },
    { 4, "0", &accelerator }, { 4, "3", &gpu_2 }, { 4, "4", NULL }, { 4, "99999999999999999999", NULL },
    { 4, "quick", &gpu }, { 4, "QUICKER", &gpu_2 }, { 4, "second: q", &gpu }, { 4, "first", &accelerator }, { 4, "third", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GPtrArray) devices = g_ptr_array_new ();
    for (guint j = 0; j < table[i].n; j++)
      g_ptr_array_add (devices, all[j]);
    g_assert_true (sora_device_find (devices, table[i].selector) == table[i].found);
  }
}

static void
test_default (void)
{
  const gchar *selectors[] = { NULL, "", " ", ":packed", ":clblast" };
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) wanted = sora_device_open (NULL, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (selectors); i++) {
    g_autoptr (SoraDevice) device = sora_device_open (selectors[i], &error);

    g_assert_no_error (error);
    g_assert_true (device->id == wanted->id);
  }
  g_assert_cmpint (wanted->linear_kind, ==, wanted->type & CL_DEVICE_TYPE_CPU ? SORA_LINEAR_PACKED : SORA_LINEAR_CLBLAST);
  g_assert_cmpuint (wanted->vector_width, >=, 1);
  g_assert_cmpuint (wanted->max_allocation, >, 0);
  g_assert_cmpuint (sora_device_get_memory (wanted), >=, wanted->max_allocation);
}

static void
test_not_found (void)
{
  const gchar *selectors[] = { "no such device", "99", "99999999999999999999999", "-1", "1.5", "\xff\xfe", "no such:packed" };

  for (guint i = 0; i < G_N_ELEMENTS (selectors); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraDevice) device = sora_device_open (selectors[i], &error);

    g_assert_null (device);
    g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NOT_FOUND);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    if (g_utf8_validate (selectors[i], -1, NULL))
      g_assert_nonnull (strstr (error->message, "pocl-opencl-icd"));
  }
}

static void
test_shared_context (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) first = sora_device_open (NULL, &error);
  g_autoptr (SoraDevice) again = sora_device_open ("0", &error);
  g_autoptr (SoraDevice) packed = sora_device_open (":packed", &error);
  g_autoptr (SoraDevice) clblast = sora_device_open (":clblast", &error);

  g_assert_no_error (error);
  g_assert_true (again->id != first->id || again == first);
  g_assert_true (packed != clblast);
  g_assert_true (packed->context == clblast->context);
  g_assert_true (first->context == packed->context);
  run_on (packed);
  run_on (clblast);
}

static void
test_environment (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) clblast = NULL, packed = NULL;

  g_setenv ("SORA_LINEAR", "clblast", TRUE);
  clblast = sora_device_open (NULL, &error);
  packed = sora_device_open (":packed", &error);        /* the selector knows better */
  g_unsetenv ("SORA_LINEAR");
  g_assert_no_error (error);
  g_assert_cmpint (clblast->linear_kind, ==, SORA_LINEAR_CLBLAST);
  g_assert_cmpint (packed->linear_kind, ==, SORA_LINEAR_PACKED);
}

static void
test_no_driver (void)
{
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_setenv ("OCL_ICD_VENDORS", "/nonexistent", TRUE);
  g_unsetenv ("OCL_ICD_FILENAMES");
  g_assert_null (sora_device_open (NULL, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_DRIVER);
  g_assert_nonnull (strstr (error->message, "pocl-opencl-icd"));
}

/* The first of @devices that is PoCL's; the cases below are about PoCL's ways. */
static SoraDevice *
find_pocl (GPtrArray *devices)
{
  for (guint i = 0; i < devices->len; i++) {
    SoraDevice *device = g_ptr_array_index (devices, i);

    if (strstr (device->platform_name, "Portable Computing Language"))
      return device;
  }
  return NULL;
}

/* As a user without a home: no directory of HOME or XDG_CACHE_HOME can be written. */
static void
become_nobody (void)
{
  const gid_t nogroup = 65534;
  const uid_t nobody = 65534;

  if (geteuid () == 0) {
    g_assert_cmpint (setgroups (0, NULL), ==, 0);
    g_assert_cmpint (setgid (nogroup), ==, 0);
    g_assert_cmpint (setuid (nobody), ==, 0);
    prctl (PR_SET_DUMPABLE, 1);  /* for LeakSanitizer */
  }
  g_setenv ("HOME", "/nonexistent", TRUE);
  g_unsetenv ("XDG_CACHE_HOME");
  g_unsetenv ("POCL_CACHE_DIR");
}

static void
test_no_home (void)
{
  g_autofree gchar *temporary = NULL;
  g_autoptr (GPtrArray) devices = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) device = NULL;

  if (!g_test_subprocess ()) {
    devices = sora_device_list (&error);
    g_assert_no_error (error);
    if (!find_pocl (devices)) {
      g_test_skip ("there is no PoCL");
      return;
    }
    temporary = g_dir_make_tmp ("sora-test-XXXXXX", &error);
    g_assert_no_error (error);
    g_assert_cmpint (g_chmod (temporary, 0777), ==, 0);
    g_setenv ("TMPDIR", temporary, TRUE);
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_unsetenv ("TMPDIR");
    g_test_trap_assert_passed ();
    g_assert_cmpint (g_rmdir (temporary), ==, 0);       /* nothing is left in it */
    return;
  }
  become_nobody ();
  device = sora_device_open ("Portable Computing Language", &error);
  g_assert_no_error (error);
  g_assert_nonnull (g_getenv ("POCL_CACHE_DIR"));
  run_on (device);
}

/* Where nothing at all can be written PoCL shows no device, and the error says why. */
static void
test_no_place (void)
{
  g_autoptr (GPtrArray) devices = NULL;
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ()) {
    devices = sora_device_list (&error);
    g_assert_no_error (error);
    if (devices->len > 1 || !find_pocl (devices)) {
      g_test_skip ("PoCL's is not the only device");
      return;
    }
    g_setenv ("TMPDIR", "/nonexistent", TRUE);
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_unsetenv ("TMPDIR");
    g_test_trap_assert_passed ();
    return;
  }
  become_nobody ();
  devices = sora_device_list (&error);
  if (!devices) {       /* newer versions need no such folder */
    g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_DRIVER);
    g_assert_nonnull (strstr (error->message, "POCL_CACHE_DIR"));
  }
}

/* PoCL shows as many devices as it is asked for. */
static void
test_two_devices (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) devices = NULL;
  g_autoptr (SoraDevice) one = NULL, two = NULL;

  if (!g_test_subprocess ()) {
    devices = sora_device_list (&error);
    g_assert_no_error (error);
    if (find_pocl (devices) != g_ptr_array_index (devices, 0)) {
      g_test_skip ("the first platform is not PoCL");
      return;
    }
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_setenv ("POCL_DEVICES", "pthread basic", TRUE);
  one = sora_device_open ("0", &error);
  two = sora_device_open ("1", &error);
  g_assert_no_error (error);
  g_assert_true (one->id != two->id && one->context != two->context);
  run_on (one);
  run_on (two);
}

static gpointer
run_often (gpointer device)
{
  for (guint i = 0; i < 20; i++)
    run_on (device);
  return NULL;
}

/* Two drivers in one process, each used by a thread of its own at the same time. */
static void
test_two_platforms (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) devices = sora_device_list (&error);
  g_autoptr (SoraDevice) first = NULL, last = NULL;
  g_autofree gchar *index = NULL;
  GThread *thread;

  g_assert_no_error (error);
  index = g_strdup_printf ("%u", devices->len - 1);
  first = sora_device_open ("0", &error);
  last = sora_device_open (index, &error);
  g_assert_no_error (error);
  if (first->platform == last->platform) {
    g_test_skip ("there is one platform");
    return;
  }
  g_assert_true (first->context != last->context);
  thread = g_thread_new ("first", run_often, first);
  run_often (last);
  g_thread_join (thread);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device/selectors", test_selectors);
  g_test_add_func ("/device/choice", test_choice);
  g_test_add_func ("/device/default", test_default);
  g_test_add_func ("/device/not-found", test_not_found);
  g_test_add_func ("/device/shared-context", test_shared_context);
  g_test_add_func ("/device/environment", test_environment);
  g_test_add_func ("/device/no-driver", test_no_driver);
  g_test_add_func ("/device/no-home", test_no_home);
  g_test_add_func ("/device/no-place", test_no_place);
  g_test_add_func ("/device/two-devices", test_two_devices);
  g_test_add_func ("/device/two-platforms", test_two_platforms);
  return g_test_run ();
}
