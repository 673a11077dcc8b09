/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Measures which kind of linear a device should run, and fills the table of runtime/tune.h. */

#include "ops/linear-tune.h"

#include "ops/linear.h"

static const guint row_counts[] = { 16, 256, 1024 };
#define MAX_ROWS 1024

/* Every pair is run once to warm up, and then ROUNDS times, alternating; the best counts. */
#define ROUNDS 4

/* One kind of linear for the shape under test. */
typedef struct {
  SoraQueue *queue;
  SoraLinear *linear;
  SoraMatrix x, y;
} Contender;

static void
contender_clear (Contender *contender)
{
  g_clear_pointer (&contender->x.mem, clReleaseMemObject);
  g_clear_pointer (&contender->y.mem, clReleaseMemObject);
  g_clear_pointer (&contender->linear, sora_linear_free);
  g_clear_pointer (&contender->queue, sora_queue_free);
}

static gboolean
contender_init (Contender *contender, SoraDevice *device, SoraLinearKind kind, const SoraTensor *weight,
    GCancellable *cancellable, GError **error)
{
  g_autoptr (SoraDevice) forced = sora_device_force_linear (device, kind, error);
  guint n = weight->shape[0], k = weight->shape[1];

  if (!forced || !(contender->queue = sora_queue_new (forced, FALSE, error)))
    return FALSE;
  sora_queue_set_cancellable (contender->queue, cancellable);
  contender->linear = sora_linear_new (contender->queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 1, &weight, NULL, error);
  if (!contender->linear)
    return FALSE;
  contender->x = SORA_MATRIX (sora_queue_alloc (contender->queue, sizeof (cl_float) * MAX_ROWS * k), k);
  contender->y = SORA_MATRIX (sora_queue_alloc (contender->queue, sizeof (cl_float) * MAX_ROWS * n), n);
  sora_queue_zero (contender->queue, contender->x.mem, 0, sizeof (cl_float) * MAX_ROWS * k);
  return sora_queue_finish (contender->queue, error);
}

/* nanoseconds of one product with @m rows, or -1 with @error */
static gdouble
contender_time (Contender *contender, guint m, GError **error)
{
  gint64 start = g_get_monotonic_time ();

  sora_linear_run (contender->queue, contender->linear, contender->x, contender->y, m, NULL);
  if (!sora_queue_finish (contender->queue, error))
    return -1;
  return 1000.0 * (g_get_monotonic_time () - start);
}

/* Adds the best time per row over all row counts to @ns. */
static gboolean
measure (Contender contenders[2], gdouble ns[2], GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (row_counts); i++) {
    gdouble best[2] = { G_MAXDOUBLE, G_MAXDOUBLE };

    for (guint round = 0; round <= ROUNDS; round++) {
      for (guint kind = 0; kind < 2; kind++) {
        gdouble took = contender_time (&contenders[kind], row_counts[i], error);

        if (took < 0)
          return FALSE;
        if (round > 0)
          best[kind] = MIN (best[kind], took);
      }
    }
    for (guint kind = 0; kind < 2; kind++)
      ns[kind] += best[kind] / row_counts[i] / G_N_ELEMENTS (row_counts);
  }
  return TRUE;
}

static gboolean
measure_shape (SoraDevice *device, guint n, guint k, gdouble ns[2], GCancellable *cancellable, GError **error)
{
  g_autofree gfloat *zeros = g_new0 (gfloat, (gsize) n * k);
  const SoraTensor weight = { .name = "weight", .file = "tune", .dtype = SORA_DTYPE_F32, .n_dims = 2, .shape = { n, k },
    .n_elements = (guint64) n * k, .data = (const guint8 *) zeros };
  Contender contenders[2] = { 0 };
  gboolean done;

  done = contender_init (&contenders[0], device, SORA_LINEAR_PACKED, &weight, cancellable, error)
      && contender_init (&contenders[1], device, SORA_LINEAR_CLBLAST, &weight, cancellable, error)
      && measure (contenders, ns, error);
  contender_clear (&contenders[0]);
  contender_clear (&contenders[1]);
  return done;
}

gboolean
sora_linear_tune (SoraDevice *device, SoraLinearTuneFunc report, gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_autoptr (GArray) shapes = sora_tune_get_shapes (device);

  for (guint i = 0; i < shapes->len; i++) {
    SoraTuneShape shape = g_array_index (shapes, SoraTuneShape, i);
    gdouble ns[2] = { 0 };
    SoraLinearKind kind;

    if (!measure_shape (device, shape.n, shape.k, ns, cancellable, error))
      return FALSE;
    kind = sora_tune_enter (device, shape.n, shape.k, ns[0], ns[1]);
    if (report)
      report (shape.n, shape.k, ns[0], ns[1], kind, user_data);
  }
  return sora_tune_save (device, error);
}
