/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One planned allocation for all activations of a stream: regions are declared, overlaid, then committed once. */

#define _DEFAULT_SOURCE
#include "runtime/arena.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Regions get offsets in one virtual range of bytes, which is cut into parents of at most the device's largest allocation;
 * each region is a sub-buffer of one parent. */
typedef struct {
  cl_mem *target;
  gsize offset, size;           /* bytes */
  cl_mem mem;
} Region;

struct _SoraArena {
  SoraDevice *device;
  GArray *regions;
  GPtrArray *parents;           /* cl_mem */
  gsize alignment;              /* bytes */
  gsize parent_size;            /* bytes, a multiple of alignment */
  gsize cursor, peak;           /* bytes */
};

static void
release_mem (gpointer mem)
{
  clReleaseMemObject (mem);
}

SoraArena *
sora_arena_new (SoraDevice *device)
{
  SoraArena *arena = g_new0 (SoraArena, 1);
  cl_uint align_bits = 0;

  clGetDeviceInfo (device->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, NULL);
  arena->device = sora_device_ref (device);
  arena->regions = g_array_new (FALSE, TRUE, sizeof (Region));
  arena->parents = g_ptr_array_new_with_free_func (release_mem);
  arena->alignment = MAX (align_bits / 8, 64);  /* at least a cache line */
  arena->parent_size = device->max_allocation / arena->alignment * arena->alignment;
  return arena;
}

static void
release_regions (SoraArena *arena)
{
  for (guint i = 0; i < arena->regions->len; i++) {
    Region *region = &g_array_index (arena->regions, Region, i);

    g_clear_pointer (&region->mem, clReleaseMemObject);
  }
  g_ptr_array_set_size (arena->parents, 0);
}

void
sora_arena_free (SoraArena *arena)
{
  release_regions (arena);
  g_array_unref (arena->regions);
  g_ptr_array_unref (arena->parents);
  sora_device_unref (arena->device);
  g_free (arena);
}

void
sora_arena_add (SoraArena *arena, cl_mem *target, gsize n_floats)
{
  gsize size = (MAX (n_floats, 1) * sizeof (cl_float) + arena->alignment - 1) / arena->alignment * arena->alignment;
  Region region = { target, arena->cursor, size, NULL };

  /* A region that would straddle two parents moves to the next one. */
  if (region.offset / arena->parent_size != (region.offset + size - 1) / arena->parent_size)
    region.offset = (region.offset / arena->parent_size + (region.offset % arena->parent_size != 0)) * arena->parent_size;
  arena->cursor = region.offset + size;
  arena->peak = MAX (arena->peak, arena->cursor);
  g_array_append_val (arena->regions, region);
}

gsize
sora_arena_mark (SoraArena *arena)
{
  return arena->cursor;
}

void
sora_arena_rewind (SoraArena *arena, gsize mark)
{
  arena->cursor = mark;
}

/* Asks for huge pages, where the system has them: on a CPU device memory is the process's own, and most of what zeroing it takes is a page fault
 * for each 4 KiB. */
static void
advise_huge_pages (gpointer at, gsize size)
{
#ifdef MADV_HUGEPAGE
  gsize page = sysconf (_SC_PAGESIZE), skipped = -(gsize) at % page;

  if (size > skipped)
    madvise ((guint8 *) at + skipped, (size - skipped) / page * page, MADV_HUGEPAGE);
#endif
}

static cl_int
zero_on_host (cl_command_queue queue, cl_mem mem, gsize size)
{
  cl_int status;
  gpointer at = clEnqueueMapBuffer (queue, mem, CL_TRUE, CL_MAP_WRITE, 0, size, 0, NULL, NULL, &status);

  if (!at)
    return status;
  advise_huge_pages (at, size);
  memset (at, 0, size);
  return clEnqueueUnmapMemObject (queue, mem, at, 0, NULL, NULL);
}

/* Fills every parent with zero bytes. */
static cl_int
zero_parents (SoraArena *arena)
{
  const cl_float zero = 0;
  cl_int status;
  cl_command_queue queue = clCreateCommandQueue (arena->device->context, arena->device->id, 0, &status);

  if (!queue)
    return status;
  for (guint i = 0; i < arena->parents->len && status == CL_SUCCESS; i++) {
    cl_mem parent = g_ptr_array_index (arena->parents, i);
    gsize size = 0;

    status = clGetMemObjectInfo (parent, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (status == CL_SUCCESS && arena->device->type & CL_DEVICE_TYPE_CPU)
      status = zero_on_host (queue, parent, size);
    else if (status == CL_SUCCESS)
      status = clEnqueueFillBuffer (queue, parent, &zero, sizeof zero, 0, size, 0, NULL, NULL);
  }
  if (status == CL_SUCCESS)
    status = clFinish (queue);
  clReleaseCommandQueue (queue);
  return status;
}

static cl_int
create_parents (SoraArena *arena)
{
  cl_int status = CL_SUCCESS;

  for (gsize at = 0; at < arena->peak; at += arena->parent_size) {
    gsize size = MIN (arena->peak - at, arena->parent_size);
    cl_mem parent = clCreateBuffer (arena->device->context, CL_MEM_READ_WRITE, size, NULL, &status);

    if (!parent)
      return status;
    g_ptr_array_add (arena->parents, parent);
  }
  return zero_parents (arena);
}

static cl_int
create_region (SoraArena *arena, Region *region)
{
  const cl_buffer_region where = { region->offset % arena->parent_size, region->size };
  cl_mem parent = g_ptr_array_index (arena->parents, region->offset / arena->parent_size);
  cl_int status;

  region->mem = clCreateSubBuffer (parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &where, &status);
  return status;
}

static gboolean
check_sizes (SoraArena *arena, GError **error)
{
  for (guint i = 0; i < arena->regions->len; i++) {
    gsize size = g_array_index (arena->regions, Region, i).size;

    if (size > arena->parent_size) {
      g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY,
          "an activation needs %" G_GSIZE_FORMAT " MiB in one piece, and %s allocates at most %" G_GSIZE_FORMAT " MiB",
          size >> 20, arena->device->name, arena->parent_size >> 20);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
sora_arena_commit (SoraArena *arena, GError **error)
{
  cl_int status;

  g_return_val_if_fail (arena->parents->len == 0, FALSE);
  if (!check_sizes (arena, error))
    return FALSE;
  status = create_parents (arena);
  for (guint i = 0; i < arena->regions->len && status == CL_SUCCESS; i++)
    status = create_region (arena, &g_array_index (arena->regions, Region, i));
  if (status != CL_SUCCESS) {
    g_autofree gchar *what = g_strdup_printf ("allocating %" G_GSIZE_FORMAT " MiB of activations", arena->peak >> 20);

    sora_cl_set_error (error, status, what);
    release_regions (arena);
    return FALSE;
  }
  for (guint i = 0; i < arena->regions->len; i++) {
    Region *region = &g_array_index (arena->regions, Region, i);

    *region->target = region->mem;
  }
  return TRUE;
}

guint64
sora_arena_get_size (SoraArena *arena)
{
  return arena->peak;
}
