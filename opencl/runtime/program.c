/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kernel programs: embedded .cl sources, built once per device and options, cached as binaries on disk. */

#include "runtime/program.h"

#include "runtime/program-cache.h"

/* NaN and infinity keep their meaning: a block whose latents are not finite must be noticed. */
#define BASE_OPTIONS "-cl-std=CL1.2 -cl-mad-enable -cl-no-signed-zeros"

static const gchar *
find_source (const gchar *name)
{
  for (const SoraProgramSource *source = sora_program_sources; source->name; source++) {
    if (g_str_equal (source->name, name))
      return source->source;
  }
  return NULL;
}

/* (transfer full) (nullable): the sources of a list "a+b+c", one after the other */
static gchar *
join_sources (const gchar *names)
{
  g_auto (GStrv) list = g_strsplit (names, "+", -1);
  GString *joined = g_string_new (NULL);

  for (gchar **name = list; *name; name++) {
    const gchar *source = find_source (*name);

    if (!source) {
      g_string_free (joined, TRUE);
      return NULL;
    }
    g_string_append (joined, source);
  }
  return g_string_free (joined, FALSE);
}

static gchar *
get_build_log (SoraDevice *device, cl_program program)
{
  gsize size = 0;
  gchar *log;

  if (clGetProgramBuildInfo (program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS)
    return g_strdup ("(no log)");
  log = g_malloc0 (size + 1);
  clGetProgramBuildInfo (program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
  return g_strstrip (log);
}

/* NULL if there is no cached binary or the driver refuses it. */
static cl_program
load_binary (SoraDevice *device, const gchar *path, const gchar *options)
{
  g_autoptr (GBytes) binary = sora_program_cache_load (path);
  const guchar *data;
  gsize size;
  cl_program program;
  cl_int status, loaded = CL_SUCCESS;

  if (!binary)
    return NULL;
  data = g_bytes_get_data (binary, &size);
  program = clCreateProgramWithBinary (device->context, 1, &device->id, &size, &data, &loaded, &status);
  if (!program)
    return NULL;
  if (status == CL_SUCCESS && loaded == CL_SUCCESS)
    status = clBuildProgram (program, 1, &device->id, options, NULL, NULL);
  if (status == CL_SUCCESS && loaded == CL_SUCCESS)
    return program;
  g_info ("the driver refuses %s: %s", path, sora_cl_status_name (status));
  clReleaseProgram (program);
  return NULL;
}

static void
store_binary (cl_program program, const gchar *path)
{
  g_autoptr (GBytes) binary = NULL;
  guchar *data;
  gsize size = 0;

  if (clGetProgramInfo (program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS || size == 0)
    return;
  data = g_malloc0 (size);
  binary = g_bytes_new_take (data, size);
  if (clGetProgramInfo (program, CL_PROGRAM_BINARIES, sizeof data, &data, NULL) == CL_SUCCESS)
    sora_program_cache_store (path, binary);
}

/* For PoCL: with builtins.cl before @source instead of the compiler's own header; NULL if that does not build. The guard of clang's header is
 * what keeps it out; where it has another name, it only declares the same again. */
static cl_program
build_quickly (SoraDevice *device, const gchar *source, const gchar *all_options)
{
  const gchar *sources[] = { find_source ("builtins"), source };
  g_autofree gchar *options = g_strconcat (all_options, " -D_OPENCL_H_", NULL);
  cl_program program;

  if (!sources[0])              /* a test's own table */
    return NULL;
  program = clCreateProgramWithSource (device->context, G_N_ELEMENTS (sources), sources, NULL, NULL);
  if (program && clBuildProgram (program, 1, &device->id, options, NULL, NULL) == CL_SUCCESS)
    return program;
  if (program) {
    g_autofree gchar *log = get_build_log (device, program);

    g_debug ("builtins.cl does not suffice: %s", log);
    clReleaseProgram (program);
  }
  g_atomic_int_inc (&device->whole_headers);
  return NULL;
}

static cl_program
build_source (SoraDevice *device, const gchar *name, const gchar *source, const gchar *options, GError **error)
{
  cl_program program = device->keeps_programs ? build_quickly (device, source, options) : NULL;
  cl_int status;

  if (program)
    return program;
  program = clCreateProgramWithSource (device->context, 1, &source, NULL, &status);
  if (!program) {
    sora_cl_set_error (error, status, "clCreateProgramWithSource");
    return NULL;
  }
  status = clBuildProgram (program, 1, &device->id, options, NULL, NULL);
  if (status != CL_SUCCESS) {
    g_autofree gchar *log = get_build_log (device, program);

    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_BUILD, "%s.cl does not build on %s with \"%s\": %s\n%s", name,
        device->name, options, sora_cl_status_name (status), log);
    clReleaseProgram (program);
    return NULL;
  }
  return program;
}

static cl_program
load_or_build (SoraDevice *device, const gchar *name, const gchar *caller_options, GError **error)
{
  g_autofree gchar *source = join_sources (name);
  g_autofree gchar *options = g_strconcat (BASE_OPTIONS, *caller_options ? " " : "", caller_options, NULL);
  g_autofree gchar *path = NULL;
  gint64 start = g_get_monotonic_time ();
  cl_program program;

  if (!source) {
    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_BUILD, "there is no program %s.cl", name);
    return NULL;
  }
  if (!device->keeps_programs)
    path = sora_program_cache_path (device, source, options);
  program = path ? load_binary (device, path, options) : NULL;
  if (program) {
    g_debug ("loaded %s (%s) in %" G_GINT64_FORMAT " us", name, caller_options, g_get_monotonic_time () - start);
    return program;
  }
  program = build_source (device, name, source, options, error);
  if (program) {
    g_debug ("built %s (%s) in %" G_GINT64_FORMAT " us", name, caller_options, g_get_monotonic_time () - start);
    if (path)
      store_binary (program, path);
  }
  return program;
}

/* The program of this key; or NULL if it is the caller's to build. Waits for another thread that builds it. device->lock held */
static cl_program
take_turn (SoraDevice *device, const gchar *key)
{
  cl_program program;

  while (!(program = g_hash_table_lookup (device->programs, key)) && g_hash_table_contains (device->building, key))
    g_cond_wait (&device->built, &device->lock);
  if (!program)
    g_hash_table_add (device->building, g_strdup (key));
  return program;
}

cl_program
sora_program_get (SoraDevice *device, const gchar *name, const gchar *options, GError **error)
{
  g_autofree gchar *key = g_strconcat (name, "|", options ? options : "", NULL);
  cl_program program;

  g_mutex_lock (&device->lock);
  program = take_turn (device, key);
  if (!program) {
    g_mutex_unlock (&device->lock);
    program = load_or_build (device, name, options ? options : "", error);
    g_mutex_lock (&device->lock);
    g_hash_table_remove (device->building, key);
    if (program)
      g_hash_table_insert (device->programs, g_steal_pointer (&key), program);
    g_cond_broadcast (&device->built);
  }
  g_mutex_unlock (&device->lock);
  return program;
}
