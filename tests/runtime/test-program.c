/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs: building, and the binaries cached on disk: used, damaged, refused by the driver, not writable. */

#include "test-support.h"

#include <math.h>
#include <string.h>
#include <glib/gstdio.h>
#include "runtime/program-cache.h"
#include "runtime/program.h"

#define KERNEL(value) "__kernel void answer (__global float *x) { x[0] = " value "; }\n"

/* Stands in for the engine's table, so that these tests have kernels of their own. */
const SoraProgramSource sora_program_sources[] = {
  { "forty-two", KERNEL ("42.0f") },
  { "seven", KERNEL ("7.0f") },
  { "option", KERNEL ("VALUE") },
  { "nan", "__kernel void answer (__global float *x) { x[0] = isnan (x[0]) ? 1.0f : isinf (x[1]) ? 2.0f : 0.0f; }\n" },
  { "builtins", "float __attribute__ ((overloadable, const)) exp (float);\n" },
  { "declared", KERNEL ("exp (x[0])") },
  { "undeclared", KERNEL ("exp (x[0]) + log (x[1])") },
  { "broken", "__kernel void broken (__global float *x) { x[0] = no_such_thing; }\n" },
  { NULL, NULL }
};

#define BASE "-cl-std=CL1.2 -cl-mad-enable -cl-no-signed-zeros"

/* What the kernel "answer" in @program leaves at 0, of a buffer that begins with @first and @second. */
static gfloat
run (SoraQueue *queue, const gchar *program, const gchar *options, gfloat first, gfloat second)
{
  const SoraLaunch launch = { .program = program, .options = options, .kernel = "answer", .dims = 1, .global = { 1 },
    .local = { 1 } };
  const gfloat data[2] = { first, second };
  cl_mem x = sora_test_upload (queue, data, 2);
  g_autofree gfloat *result = NULL;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x));
  result = sora_test_download (queue, x, 1);
  clReleaseMemObject (x);
  return result[0];
}

/* A queue that knows no program yet: only files remember, and those are ours. */
static SoraQueue *
fresh_queue (void)
{
  SoraQueue *queue = sora_test_queue_new ();

  sora_queue_get_device (queue)->keeps_programs = FALSE;
  g_hash_table_remove_all (sora_queue_get_device (queue)->programs);
  return queue;
}

static gchar *
cache_path (SoraQueue *queue, const gchar *program)
{
  for (const SoraProgramSource *source = sora_program_sources; source->name; source++) {
    if (g_str_equal (source->name, program))
      return sora_program_cache_path (sora_queue_get_device (queue), source->source, BASE);
  }
  return NULL;
}

static void
test_options (void)
{
  g_autoptr (SoraQueue) queue = fresh_queue ();

  g_assert_cmpfloat (run (queue, "option", "-DVALUE=3.0f", 0, 0), ==, 3);
  g_assert_cmpfloat (run (queue, "option", "-DVALUE=4.0f", 0, 0), ==, 4);
}

/* Compiler options must not assume that numbers are finite. */
static void
test_not_finite (void)
{
  g_autoptr (SoraQueue) queue = fresh_queue ();

  g_assert_cmpfloat (run (queue, "nan", NULL, NAN, 0), ==, 1);
  g_assert_cmpfloat (run (queue, "nan", NULL, 0, INFINITY), ==, 2);
  g_assert_cmpfloat (run (queue, "nan", NULL, 0, 0), ==, 0);
}

static void
test_errors (void)
{
  const struct {
    const gchar *program, *part;
  } cases[] = {
    { "broken", "no_such_thing" }, { "broken", "broken.cl" }, { "missing", "missing.cl" },
  };
  g_autoptr (SoraQueue) queue = fresh_queue ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (sora_program_get (sora_queue_get_device (queue), cases[i].program, NULL, &error));
    g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_BUILD);
    g_assert_nonnull (strstr (error->message, cases[i].part));
  }
}

/* PoCL's compiler is given our declarations for its own; a kernel that needs more gets all of them. */
static void
test_builtins (void)
{
  g_autoptr (SoraQueue) queue = fresh_queue ();
  SoraDevice *device = sora_queue_get_device (queue);

  if (!g_str_equal (device->platform_name, "Portable Computing Language")) {
    g_test_skip ("only PoCL is given declarations");
    return;
  }
  device->keeps_programs = TRUE;
  g_assert_cmpfloat (run (queue, "declared", NULL, 0, 1), ==, 1);
  g_assert_cmpuint (device->whole_headers, ==, 0);
  g_assert_cmpfloat (run (queue, "undeclared", NULL, 0, 1), ==, 1);
  g_assert_cmpuint (device->whole_headers, ==, 1);
  device->whole_headers = 0;
}

static void
test_cache_hit (void)
{
  g_autoptr (SoraQueue) queue = fresh_queue ();
  g_autofree gchar *path42 = cache_path (queue, "forty-two"), *path7 = cache_path (queue, "seven");
  g_autoptr (GBytes) binary = NULL;

  g_assert_cmpfloat (run (queue, "forty-two", NULL, 0, 0), ==, 42);
  g_assert_cmpfloat (run (queue, "seven", NULL, 0, 0), ==, 7);
  g_clear_pointer (&queue, sora_queue_free);

  /* Under the name of the one, the binary of the other: whoever takes it has read the file. */
  binary = sora_program_cache_load (path7);
  g_assert_nonnull (binary);
  sora_program_cache_store (path42, binary);
  queue = fresh_queue ();
  g_assert_cmpfloat (run (queue, "forty-two", NULL, 0, 0), ==, 7);
  g_remove (path42);
}

static void
test_cache_damage (void)
{
  const gchar *kinds[] = { "empty", "short", "truncated", "flipped", "refused" };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autoptr (SoraQueue) queue = fresh_queue ();
    g_autofree gchar *path = cache_path (queue, "forty-two");
    g_autofree gchar *contents = NULL;
    g_autoptr (GBytes) garbage = g_bytes_new_static ("not a program", 13);
    gsize size;

    g_test_message ("%s", kinds[i]);
    g_assert_cmpfloat (run (queue, "forty-two", NULL, 0, 0), ==, 42);
    g_assert_true (g_file_get_contents (path, &contents, &size, NULL));
    contents[size / 2] ^= 1;
    if (g_str_equal (kinds[i], "refused"))
      sora_program_cache_store (path, garbage);
    else
      g_assert_true (g_file_set_contents (path, contents, i == 0 ? 0 : i == 1 ? 10 : i == 2 ? size / 2 : size, NULL));
    g_clear_pointer (&queue, sora_queue_free);

    queue = fresh_queue ();
    g_assert_cmpfloat (run (queue, "forty-two", NULL, 0, 0), ==, 42);
    /* and the damaged file was replaced */
    g_clear_pointer (&contents, g_free);
    g_assert_true (g_file_get_contents (path, &contents, &size, NULL));
    g_assert_cmpuint (size, >, 100);
  }
}

/* A file stands where the cache's directory should be: neither made nor written, whoever runs this. */
static void
test_cache_unusable (void)
{
  g_autofree gchar *cache = NULL, *root = NULL, *path = NULL;
  g_autoptr (SoraQueue) queue = NULL;
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  cache = g_build_filename (g_get_user_cache_dir (), "gst-sora", NULL);
  g_assert_true (g_file_set_contents (cache, "", 0, &error));
  queue = fresh_queue ();
  path = cache_path (queue, "forty-two");
  g_assert_cmpfloat (run (queue, "forty-two", NULL, 0, 0), ==, 42);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_remove (cache);
}

static void
remove_tree (const gchar *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *child = g_build_filename (path, name, NULL);

    remove_tree (child);
  }
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_autofree gchar *cache = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  int status;

  g_setenv ("XDG_CACHE_HOME", cache, TRUE);     /* before anything asks for it */
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/program/options", test_options);
  g_test_add_func ("/program/not-finite", test_not_finite);
  g_test_add_func ("/program/errors", test_errors);
  g_test_add_func ("/program/builtins", test_builtins);
  g_test_add_func ("/program/cache/hit", test_cache_hit);
  g_test_add_func ("/program/cache/damage", test_cache_damage);
  g_test_add_func ("/program/cache/unusable", test_cache_unusable);
  status = g_test_run ();
  remove_tree (cache);
  return status;
}
