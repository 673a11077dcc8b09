/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenCL devices: enumeration over all platforms, choice by a selector, and one context per device and process. */

#include "runtime/device-private.h"

#include <string.h>
#include "runtime/matrix-unit.h"
#include "runtime/pocl-cache.h"

#define DRIVER_PACKAGES \
  "pocl-opencl-icd (any CPU), intel-opencl-icd (Intel graphics), mesa-opencl-icd (AMD), nvidia-opencl-icd (NVIDIA)"

/* Devices that were opened, one for each (platform, device, kind of linear, forced or not), kept for the life of the process: CLBlast caches
 * by raw context, so that a context must never be replaced by another at the same address. */
static GMutex opened_lock;
static GPtrArray *opened;

static gchar *
platform_string (cl_platform_id platform, cl_platform_info what)
{
  gsize size = 0;
  gchar *text;

  if (clGetPlatformInfo (platform, what, 0, NULL, &size) != CL_SUCCESS || size == 0)
    return g_strdup ("unknown");
  text = g_malloc0 (size + 1);
  clGetPlatformInfo (platform, what, size, text, NULL);
  return g_strstrip (text);
}

static gchar *
device_string (cl_device_id id, cl_device_info what)
{
  gsize size = 0;
  gchar *text;

  if (clGetDeviceInfo (id, what, 0, NULL, &size) != CL_SUCCESS || size == 0)
    return g_strdup ("unknown");
  text = g_malloc0 (size + 1);
  clGetDeviceInfo (id, what, size, text, NULL);
  return g_strstrip (text);
}

#define DEVICE_VALUE(id, what, value) clGetDeviceInfo ((id), (what), sizeof (value), &(value), NULL)

static void
device_query_limits (SoraDevice *device)
{
  cl_uint units = 1, width = 1;
  cl_ulong global = 0, allocation = 0, local = 0;
  gsize group = 1;

  DEVICE_VALUE (device->id, CL_DEVICE_TYPE, device->type);
  DEVICE_VALUE (device->id, CL_DEVICE_MAX_COMPUTE_UNITS, units);
  DEVICE_VALUE (device->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, width);
  DEVICE_VALUE (device->id, CL_DEVICE_GLOBAL_MEM_SIZE, global);
  DEVICE_VALUE (device->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, allocation);
  DEVICE_VALUE (device->id, CL_DEVICE_LOCAL_MEM_SIZE, local);
  DEVICE_VALUE (device->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, group);
  device->compute_units = units;
  device->vector_width = MAX (width, 1);
  device->global_memory = global;
  device->max_allocation = allocation;
  device->local_memory = local;
  device->max_work_group_size = group;
}

static void
release_program (gpointer program)
{
  clReleaseProgram (program);
}

static SoraDevice *
device_new (cl_platform_id platform, cl_device_id id)
{
  SoraDevice *device = g_new0 (SoraDevice, 1);

  g_atomic_ref_count_init (&device->ref_count);
  g_mutex_init (&device->lock);
  g_cond_init (&device->built);
  device->platform = platform;
  device->id = id;
  device->name = device_string (id, CL_DEVICE_NAME);
  device->platform_name = platform_string (platform, CL_PLATFORM_NAME);
  device->driver = device_string (id, CL_DRIVER_VERSION);
  device->programs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, release_program);
  device->building = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  device->linear_shapes = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  device_query_limits (device);
  device->keeps_programs = g_str_equal (device->platform_name, "Portable Computing Language");
  device->linear_kind = device->type & CL_DEVICE_TYPE_CPU ? SORA_LINEAR_PACKED : SORA_LINEAR_CLBLAST;
  return device;
}

SoraDevice *
sora_device_ref (SoraDevice *device)
{
  g_atomic_ref_count_inc (&device->ref_count);
  return device;
}

void
sora_device_unref (SoraDevice *device)
{
  if (!g_atomic_ref_count_dec (&device->ref_count))
    return;
  g_hash_table_unref (device->programs);
  g_hash_table_unref (device->building);
  g_hash_table_unref (device->linear_shapes);
  g_clear_pointer (&device->tuning, g_key_file_unref);
  g_cond_clear (&device->built);
  g_mutex_clear (&device->lock);
  g_free (device->name);
  g_free (device->platform_name);
  g_free (device->driver);
  g_free (device);
}

/* Appends the usable devices of @platform to @devices. */
static void
list_platform (cl_platform_id platform, GPtrArray *devices)
{
  cl_uint n = 0;
  g_autofree cl_device_id *ids = NULL;

  if (clGetDeviceIDs (platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n) != CL_SUCCESS || n == 0)
    return;
  ids = g_new0 (cl_device_id, n);
  if (clGetDeviceIDs (platform, CL_DEVICE_TYPE_ALL, n, ids, NULL) != CL_SUCCESS)
    return;
  for (cl_uint i = 0; i < n; i++) {
    cl_bool available = CL_FALSE, compiler = CL_FALSE;

    DEVICE_VALUE (ids[i], CL_DEVICE_AVAILABLE, available);
    DEVICE_VALUE (ids[i], CL_DEVICE_COMPILER_AVAILABLE, compiler);
    if (available && compiler)
      g_ptr_array_add (devices, device_new (platform, ids[i]));
  }
}

GPtrArray *
sora_device_list (GError **error)
{
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func ((GDestroyNotify) sora_device_unref);
  g_autofree cl_platform_id *platforms = NULL;
  cl_uint n = 0;
  gboolean has_cache = sora_pocl_cache_ensure ();

  if (clGetPlatformIDs (0, NULL, &n) != CL_SUCCESS || n == 0) {
    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_DRIVER,
        "no OpenCL driver is installed; install one of the packages %s", DRIVER_PACKAGES);
    return NULL;
  }
  platforms = g_new0 (cl_platform_id, n);
  clGetPlatformIDs (n, platforms, NULL);
  for (cl_uint i = 0; i < n; i++)
    list_platform (platforms[i], devices);
  if (devices->len == 0) {
    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_DRIVER,
        "the installed OpenCL drivers (%u) show no usable device; %sfor this machine's processor and graphics install one of the "
        "packages %s", n, has_cache ? "" : "PoCL needs a folder to write to, which POCL_CACHE_DIR may name; ", DRIVER_PACKAGES);
    return NULL;
  }
  return g_steal_pointer (&devices);
}

static SoraDevice *
find_type (GPtrArray *devices, cl_device_type type)
{
  for (guint i = 0; i < devices->len; i++) {
    SoraDevice *device = g_ptr_array_index (devices, i);

    if (device->type & type)
      return device;
  }
  return NULL;
}

static SoraDevice *
find_default (GPtrArray *devices)
{
  SoraDevice *device = find_type (devices, CL_DEVICE_TYPE_GPU);

  if (!device)
    device = find_type (devices, CL_DEVICE_TYPE_CPU);
  return device ? device : g_ptr_array_index (devices, 0);
}

/* @text: decimal digits */
static SoraDevice *
find_index (GPtrArray *devices, const gchar *text)
{
  guint64 index = 0;

  if (!g_ascii_string_to_unsigned (text, 10, 0, devices->len - 1, &index, NULL))
    return NULL;
  return g_ptr_array_index (devices, index);
}

static SoraDevice *
find_name (GPtrArray *devices, const gchar *part)
{
  g_autofree gchar *wanted = g_utf8_casefold (part, -1);

  for (guint i = 0; i < devices->len; i++) {
    SoraDevice *device = g_ptr_array_index (devices, i);
    g_autofree gchar *full = g_strdup_printf ("%s: %s", device->platform_name, device->name);
    g_autofree gchar *folded = g_utf8_casefold (full, -1);

    if (strstr (folded, wanted))
      return device;
  }
  return NULL;
}

SoraDevice *
sora_device_find (GPtrArray *devices, const gchar *selector)
{
  if (*selector == '\0')
    return find_default (devices);
  if (g_ascii_strcasecmp (selector, "gpu") == 0)
    return find_type (devices, CL_DEVICE_TYPE_GPU);
  if (g_ascii_strcasecmp (selector, "cpu") == 0)
    return find_type (devices, CL_DEVICE_TYPE_CPU);
  if (g_ascii_strcasecmp (selector, "accelerator") == 0)
    return find_type (devices, CL_DEVICE_TYPE_ACCELERATOR);
  if (strspn (selector, "0123456789") == strlen (selector))
    return find_index (devices, selector);
  return find_name (devices, selector);
}

static gboolean
parse_linear_name (const gchar *name, SoraLinearKind *kind)
{
  if (g_ascii_strcasecmp (name, "packed") == 0)
    *kind = SORA_LINEAR_PACKED;
  else if (g_ascii_strcasecmp (name, "clblast") == 0)
    *kind = SORA_LINEAR_CLBLAST;
  else
    return FALSE;
  return TRUE;
}

/* Cuts ":packed" or ":clblast" off the end of @selector, else looks at SORA_LINEAR. Returns whether either sets @kind. */
static gboolean
parse_linear_kind (gchar *selector, SoraLinearKind *kind)
{
  const gchar *environment = g_getenv ("SORA_LINEAR");
  gchar *colon = strrchr (selector, ':');

  if (colon && parse_linear_name (colon + 1, kind)) {
    *colon = '\0';
    return TRUE;
  }
  if (!environment || !*environment)
    return FALSE;
  if (!parse_linear_name (environment, kind)) {
    g_warning ("SORA_LINEAR is \"%s\", which is neither \"packed\" nor \"clblast\"", environment);
    return FALSE;
  }
  return TRUE;
}

static void
set_not_found (GError **error, const gchar *selector, GPtrArray *devices)
{
  g_autoptr (GString) found = g_string_new (NULL);

  for (guint i = 0; i < devices->len; i++) {
    SoraDevice *device = g_ptr_array_index (devices, i);

    g_string_append_printf (found, "%s%u = %s: %s (%s)", i ? "; " : "", i, device->platform_name, device->name,
        sora_device_get_kind (device));
  }
  g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NOT_FOUND,
      "no OpenCL device fits \"%s\"; there are: %s; others need a driver, one of the packages %s", selector, found->str,
      DRIVER_PACKAGES);
}

/* The context that a device object of the other kind of linear has, or a new one. opened_lock held. */
static cl_context
share_context (const SoraDevice *device, GError **error)
{
  const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties) device->platform, 0 };
  cl_context context;
  cl_int status;

  for (guint i = 0; i < opened->len; i++) {
    SoraDevice *other = g_ptr_array_index (opened, i);

    if (other->platform == device->platform && other->id == device->id)
      return other->context;
  }
  context = clCreateContext (properties, 1, &device->id, NULL, NULL, &status);
  if (!context)
    sora_cl_set_error (error, status, "clCreateContext");
  return context;
}

/* The process's opened device that equals @device in all but the context, made if there is none. opened_lock held. */
static SoraDevice *
open_shared (SoraDevice *device, GError **error)
{
  if (!opened)
    opened = g_ptr_array_new ();
  for (guint i = 0; i < opened->len; i++) {
    SoraDevice *other = g_ptr_array_index (opened, i);

    if (other->platform == device->platform && other->id == device->id && other->linear_kind == device->linear_kind
        && other->linear_forced == device->linear_forced)
      return sora_device_ref (other);
  }
  device->context = share_context (device, error);
  if (!device->context)
    return NULL;
  g_info ("opened %s: %s, driver %s, %u compute units, vectors of %u floats, %s linear", device->platform_name,
      device->name, device->driver, device->compute_units, device->vector_width,
      device->linear_kind == SORA_LINEAR_PACKED ? "packed" : "CLBlast");
  g_ptr_array_add (opened, sora_device_ref (device));
  return sora_device_ref (device);
}

SoraDevice *
sora_device_open (const gchar *selector, GError **error)
{
  g_autofree gchar *wanted = g_strdup (selector ? selector : "");
  g_autoptr (GPtrArray) devices = NULL;
  SoraLinearKind kind = SORA_LINEAR_PACKED;
  SoraDevice *device;
  gboolean forced;

  if (!g_utf8_validate (wanted, -1, NULL)) {
    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NOT_FOUND, "the device's name is not valid UTF-8");
    return NULL;
  }
  devices = sora_device_list (error);
  if (!devices)
    return NULL;
  forced = parse_linear_kind (wanted, &kind);
  device = sora_device_find (devices, g_strstrip (wanted));
  if (!device) {
    set_not_found (error, wanted, devices);
    return NULL;
  }
  if (forced)
    return sora_device_force_linear (device, kind, error);
  g_mutex_lock (&opened_lock);
  device = open_shared (device, error);
  g_mutex_unlock (&opened_lock);
  return device;
}

SoraDevice *
sora_device_force_linear (SoraDevice *device, SoraLinearKind kind, GError **error)
{
  g_autoptr (SoraDevice) forced = device_new (device->platform, device->id);
  SoraDevice *shared;

  forced->linear_kind = kind;
  forced->linear_forced = TRUE;
  g_mutex_lock (&opened_lock);
  shared = open_shared (forced, error);
  g_mutex_unlock (&opened_lock);
  return shared;
}

const gchar *
sora_device_get_name (SoraDevice *device)
{
  return device->name;
}

const gchar *
sora_device_get_platform (SoraDevice *device)
{
  return device->platform_name;
}

const gchar *
sora_device_get_driver (SoraDevice *device)
{
  return device->driver;
}

const gchar *
sora_device_get_kind (SoraDevice *device)
{
  if (device->type & CL_DEVICE_TYPE_GPU)
    return "gpu";
  if (device->type & CL_DEVICE_TYPE_CPU)
    return "cpu";
  return device->type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator" : "custom";
}

guint
sora_device_get_compute_units (SoraDevice *device)
{
  return device->compute_units;
}

guint64
sora_device_get_memory (SoraDevice *device)
{
  return device->global_memory;
}

const gchar *
sora_device_get_matrix_unit (SoraDevice *device)
{
  g_return_val_if_fail (device->context, sora_matrix_unit_names[SORA_MATRIX_UNIT_NONE]);
  return sora_matrix_unit_names[sora_matrix_unit_get (device)];
}
