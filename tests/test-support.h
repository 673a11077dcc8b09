/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the engine share: the device under test, arrays to and from it, and the measure of an error. */
#pragma once

#include "runtime/queue.h"

G_BEGIN_DECLS

/* (transfer full): a queue on the device that $SORA_TEST_DEVICE selects (a selector of sora_device_open(); unset: the
 * default device). Ends the test program if there is none. */
SoraQueue *sora_test_queue_new (void);
/* The same, with the kind of linear forced ("packed" or "clblast"), whatever the selector says. */
SoraQueue *sora_test_queue_new_linear (const gchar *kind);

/* Whether $SORA_TEST_SMALL asks for the smallest shapes, because kernels are interpreted. */
gboolean sora_test_is_small (void);

/* (transfer full): @n floats, uniform in [-@scale, @scale), the same for the same @seed on every machine. */
gfloat *sora_test_random (guint32 seed, gsize n, gfloat scale);

/* Writes random weights to the safetensors file @path, the same on every machine: tensor number i of "tensors", names with shapes, in the
 * JSON file @shapes is uniform of seed 1000 + i, at a scale that keeps the variance of what flows through; vectors are small biases,
 * and those called gamma, and weights of norms, about 1. @rename: (nullable): gives each name that is written (transfer full) */
void sora_test_draw_weights (const gchar *shapes, const gchar *path, gchar *(*rename) (const gchar *name));
/* The same from the seed @seed on */
void sora_test_draw_weights_from (const gchar *shapes, guint32 seed, const gchar *path, gchar *(*rename) (const gchar *name));

/* Device memory with a copy of @n floats; released with clReleaseMemObject(). */
cl_mem sora_test_upload (SoraQueue *queue, const gfloat *data, gsize n);
/* @n floats of NaN, so that what a kernel leaves out is noticed. */
cl_mem sora_test_alloc (SoraQueue *queue, gsize n);
/* (transfer full): the first @n floats of @mem; fails the test if the queue has failed. */
gfloat *sora_test_download (SoraQueue *queue, cl_mem mem, gsize n);

/**
 * sora_test_assert_close:
 * @tolerance: of max |actual - expected| / rms (expected)
 * @what: the case, for the report (printf format)
 *
 * Reports the error and the cosine, and fails the test (which goes on) beyond @tolerance, or if anything is not finite. If all of
 * @expected is 0, the error is absolute.
 */
void sora_test_assert_close (const gfloat *actual, const gfloat *expected, gsize n, gdouble tolerance,
    const gchar *what, ...) G_GNUC_PRINTF (5, 6);

/* Fails the test (which goes on) unless @actual is bitwise @expected. */
void sora_test_assert_same (const gfloat *actual, const gfloat *expected, gsize n, const gchar *what, ...)
    G_GNUC_PRINTF (4, 5);

G_END_DECLS
