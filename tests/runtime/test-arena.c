/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arena: regions apart, regions overlaid, several parents, sizes that no device has. */

#include "test-support.h"

#include <string.h>
#include "runtime/arena.h"

static void
fill (SoraQueue *queue, cl_mem mem, gsize n, gfloat value)
{
  g_autofree gfloat *data = g_new (gfloat, n);

  for (gsize i = 0; i < n; i++)
    data[i] = value;
  sora_queue_write (queue, mem, 0, n * sizeof *data, data);
}

static void
assert_filled (SoraQueue *queue, cl_mem mem, gsize n, gfloat value)
{
  g_autofree gfloat *data = sora_test_download (queue, mem, n);

  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (data[i], ==, value);
}

/* Regions begin with zeros, and none is written with another. */
static void
assert_apart (SoraQueue *queue, const cl_mem *regions, const gsize *sizes, guint n)
{
  for (guint i = 0; i < n; i++)
    assert_filled (queue, regions[i], sizes[i], 0);
  for (guint i = 0; i < n; i++)
    fill (queue, regions[i], sizes[i], i + 1);
  for (guint i = 0; i < n; i++)
    assert_filled (queue, regions[i], sizes[i], i + 1);
}

static void
test_apart (void)
{
  const gsize sizes[] = { 1, 1000, 33, 4096, 7, 100000 };
  cl_mem regions[G_N_ELEMENTS (sizes)] = { NULL };
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    sora_arena_add (arena, &regions[i], sizes[i]);
  sora_arena_commit (arena, &error);
  g_assert_no_error (error);
  assert_apart (queue, regions, sizes, G_N_ELEMENTS (sizes));
}

static void
test_overlay (void)
{
  cl_mem before = NULL, first = NULL, second = NULL, after = NULL;
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  g_autoptr (GError) error = NULL;
  guint64 size;
  gsize mark;

  sora_arena_add (arena, &before, 1024);
  mark = sora_arena_mark (arena);
  sora_arena_add (arena, &first, 8192);
  size = sora_arena_get_size (arena);
  sora_arena_rewind (arena, mark);
  sora_arena_add (arena, &second, 2048);
  sora_arena_add (arena, &after, 2048);
  g_assert_cmpuint (sora_arena_get_size (arena), ==, size);     /* the second stage fits into the first one's place */
  g_assert_cmpuint (size, <, (1024 + 8192 + 1024) * sizeof (gfloat));
  sora_arena_commit (arena, &error);
  g_assert_no_error (error);

  fill (queue, before, 1024, 1);
  fill (queue, first, 8192, 2);
  assert_filled (queue, second, 2048, 2);
  assert_filled (queue, after, 2048, 2);
  fill (queue, second, 2048, 3);
  fill (queue, after, 2048, 4);
  assert_filled (queue, first, 2048, 3);
  assert_filled (queue, before, 1024, 1);
}

/* A device like the real one, that allocates at most @max_allocation bytes in one piece. */
static SoraDevice
small_device (SoraQueue *queue, guint64 max_allocation)
{
  SoraDevice device = *sora_queue_get_device (queue);

  g_atomic_ref_count_init (&device.ref_count);
  device.max_allocation = max_allocation;
  return device;
}

static void
test_parents (void)
{
  const gsize sizes[] = { 10000, 10000, 20000, 5000, 32768, 1, 16000, 16768 };  /* floats; 131072 bytes = 32768 floats */
  cl_mem regions[G_N_ELEMENTS (sizes)] = { NULL };
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraDevice device = small_device (queue, 131072);
  g_autoptr (SoraArena) arena = sora_arena_new (&device);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    sora_arena_add (arena, &regions[i], sizes[i]);
  g_assert_cmpuint (sora_arena_get_size (arena), >, 3 * 131072);
  sora_arena_commit (arena, &error);
  g_assert_no_error (error);
  assert_apart (queue, regions, sizes, G_N_ELEMENTS (sizes));
}

static void
test_too_large (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraDevice device = small_device (queue, 131072);
  g_autoptr (SoraArena) arena = sora_arena_new (&device);
  g_autoptr (GError) error = NULL;
  cl_mem region = NULL;

  sora_arena_add (arena, &region, 32769);
  g_assert_false (sora_arena_commit (arena, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY);
  g_assert_null (region);
}

static void
test_empty (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  g_autoptr (GError) error = NULL;

  g_assert_true (sora_arena_commit (arena, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (sora_arena_get_size (arena), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/arena/apart", test_apart);
  g_test_add_func ("/arena/overlay", test_overlay);
  g_test_add_func ("/arena/parents", test_parents);
  g_test_add_func ("/arena/too-large", test_too_large);
  g_test_add_func ("/arena/empty", test_empty);
  return g_test_run ();
}
