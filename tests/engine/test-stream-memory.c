/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stream's weights take, and that frames do not depend on it: types of stored weights, and when the text encoder is there. */
#include "memory-meter.h"
#include "stream-support.h"

static SoraStream *
open_stored (SoraModel *model, SoraWeightType type, SoraTextEncoderPolicy policy)
{
  g_autoptr (SoraStreamOptions) options = default_options ();

  sora_stream_options_set_weight_type (options, type);
  sora_stream_options_set_text_encoder_policy (options, policy);
  return open_stream (model, options);
}

static guint64
weight_bytes (SoraStream *stream)
{
  guint64 stream_bytes, bytes;

  sora_stream_get_memory (stream, &stream_bytes, &bytes);
  return bytes;
}

/* The tiny model's files are in BF16. */
static void
test_types (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) automatic = open_stored (model, SORA_WEIGHT_TYPE_AUTO, SORA_TEXT_ENCODER_POLICY_KEEP);
  g_autoptr (SoraStream) fp32 = open_stored (model, SORA_WEIGHT_TYPE_FP32, SORA_TEXT_ENCODER_POLICY_KEEP);
  g_autoptr (SoraStream) bf16 = NULL, q8 = NULL;
  guint64 vae, full;

  g_assert_cmpuint (model->residents->len, ==, 3);
  bf16 = open_stored (model, SORA_WEIGHT_TYPE_BF16, SORA_TEXT_ENCODER_POLICY_KEEP);
  q8 = open_stored (model, SORA_WEIGHT_TYPE_Q8, SORA_TEXT_ENCODER_POLICY_KEEP);
  g_assert_cmpuint (model->residents->len, ==, 7);      /* one VAE, and three of the others */
  vae = sora_resident_get_size (find_resident (model, SORA_PART_VAE));
  full = weight_bytes (fp32) - vae;
  /* norms, biases and tables stay, and rows of these few columns are filled up to whole blocks */
  g_assert_cmpuint (weight_bytes (bf16) - vae, <, full * 0.65);
  g_assert_cmpuint (weight_bytes (q8) - vae, <, full * 0.50);
  assert_same_blocks (automatic, fp32, 3);
  sora_stream_restart (fp32);
  assert_same_blocks (fp32, bf16, 3);
}

/* Mean difference of two blocks' bytes */
static gdouble
difference (SoraBlock *a, SoraBlock *b)
{
  gsize size = (gsize) sora_block_get_n_frames (a) * 3 * sora_block_get_width (a) * sora_block_get_height (a);
  const guint8 *x = sora_block_get_rgb (a, 0), *y = sora_block_get_rgb (b, 0);
  guint64 sum = 0;

  for (gsize i = 0; i < size; i++)
    sum += ABS (x[i] - y[i]);
  return (gdouble) sum / size;
}

/* q8 rounds what is in BF16, so frames are others, but of the same video: of another prompt's they are further away by far. */
static void
test_q8 (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) q8 = open_stored (model, SORA_WEIGHT_TYPE_Q8, SORA_TEXT_ENCODER_POLICY_AUTO);
  g_autoptr (SoraStream) fp32 = open_stream (model, options), other = NULL;
  g_autoptr (SoraBlock) a = pull (q8), b = pull (fp32), c = NULL;

  sora_stream_options_set_seed (options, SEED + 1);
  other = open_stream (model, options);
  c = pull (other);
  g_test_message ("off by %.3f, another seed by %.3f", difference (a, b), difference (b, c));
  g_assert_cmpfloat (difference (a, b), >, 0);
  g_assert_cmpfloat (difference (a, b), <, difference (b, c) / 10);
}

static SoraStream *
open_precise (SoraModel *model, SoraPrecision precision)
{
  g_autoptr (SoraStreamOptions) options = default_options ();

  sora_stream_options_set_precision (options, precision);
  sora_stream_options_set_text_encoder_policy (options, SORA_TEXT_ENCODER_POLICY_KEEP);
  return open_stream (model, options);
}

/* Streams of two precisions have weights of their own, those of one share theirs. In bf16 frames are others, but of the same video; on a device
 * that has no unit they are the same as in fp32. What auto does with a file in bf16 differs from bf16 in a few convolutions only, whose weights
 * are sums of the file's: these it does not round. */
static void
test_precision (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) fp32 = open_precise (model, SORA_PRECISION_FP32), automatic = open_precise (model, SORA_PRECISION_AUTO);
  g_autoptr (SoraStream) shared = open_precise (model, SORA_PRECISION_AUTO), bf16 = NULL, other = NULL;
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  gboolean has_unit = device->linear_kind == SORA_LINEAR_PACKED && !g_str_equal (sora_device_get_matrix_unit (device), "none");
  g_autoptr (SoraBlock) a = pull (fp32), b = pull (automatic), c = NULL, d = NULL, e = NULL;

  g_assert_cmpuint (model->residents->len, ==, 6);
  /* of so few channels, what panels are filled up with may take more than halving saves */
  g_assert_true ((weight_bytes (automatic) != weight_bytes (fp32)) == has_unit);
  sora_stream_options_set_seed (options, SEED + 1);
  other = open_stream (model, options);
  c = pull (other);
  g_test_message ("off by %.3f, another seed by %.3f", difference (a, b), difference (a, c));
  g_assert_true (same_frames (a, b) == !has_unit);
  g_assert_cmpfloat (difference (a, b), <, difference (a, c) / 10);
  bf16 = open_precise (model, SORA_PRECISION_BF16);
  d = pull (shared);
  e = pull (bf16);
  g_assert_true (same_frames (b, d));
  g_assert_cmpfloat (difference (d, e), <, difference (a, c) / 10);
}

static SoraStream *
open_limited (SoraModel *model, guint64 bytes, SoraTextEncoderPolicy policy, GError **error)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraDevice) device = open_device ();

  sora_stream_options_set_max_memory (options, bytes);
  sora_stream_options_set_text_encoder_policy (options, policy);
  sora_stream_options_set_weight_type (options, SORA_WEIGHT_TYPE_FP32);
  return sora_stream_new (model, device, options, NULL, NULL, NULL, error);
}

/* With less and less memory more and more of the weights are streamed, and the frames stay as they are, also where the prompt changes; in the end
 * there is an error that says what is too much. */
static void
test_limit (void)
{
  guint64 stream_bytes, all, all_weights, full, before = G_MAXUINT64;
  guint n_limited = 0;
  g_autoptr (GError) error = NULL;

  {
    g_autoptr (SoraModel) model = open_tiny_model ();
    g_autoptr (SoraStream) stream = open_limited (model, 0, SORA_TEXT_ENCODER_POLICY_RELEASE, NULL);
    sora_stream_get_memory (stream, &stream_bytes, &all_weights);
    all = stream_bytes + all_weights;
  }
  for (guint64 bytes = all + 100000; !error; bytes -= 50000) {
    g_autoptr (SoraModel) model = open_tiny_model (), whole_model = open_tiny_model ();
    g_autoptr (SoraStream) limited = open_limited (model, bytes, SORA_TEXT_ENCODER_POLICY_RELEASE, &error);
    g_autoptr (SoraStream) whole = open_limited (whole_model, 0, SORA_TEXT_ENCODER_POLICY_KEEP, NULL);

    if (!limited)
      break;
    g_test_message ("limit %" G_GUINT64_FORMAT " KB, weights %" G_GUINT64_FORMAT " KB", bytes / 1000, weight_bytes (limited) / 1000);
    g_assert_cmpuint (weight_bytes (limited), <=, before);
    before = weight_bytes (limited);
    n_limited += before < all_weights;
    assert_same_blocks (limited, whole, 1);
    g_assert_true (sora_stream_set_prompt (limited, "a blue house", NULL));
    g_assert_true (sora_stream_set_prompt (whole, "a blue house", NULL));
    assert_same_blocks (limited, whole, 1);
    assert_same_though_cancelled (limited, whole, 1);
    sora_stream_get_memory (limited, &stream_bytes, &full);
    g_assert_cmpuint (stream_bytes + full, <=, bytes);
  }
  g_assert_cmpuint (n_limited, >=, 2);
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY);
  g_test_message ("%s", error->message);
}

/* The most bytes that there are on the device while a stream is made, with fp32 one from an image, and runs through a block and another prompt */
static guint64
measure_peak (SoraDevice *device, guint64 limit, SoraWeightType type, GBytes **frames)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autofree guint8 *rgb = g_malloc0 (3 * 96 * 64);
  g_autoptr (SoraStream) stream = NULL;
  g_autoptr (SoraBlock) first = NULL, second = NULL;
  g_autoptr (GError) error = NULL;

  if (type == SORA_WEIGHT_TYPE_FP32)
    sora_stream_options_set_image (options, rgb, 96, 64, 3 * 96);
  sora_stream_options_set_max_memory (options, limit);
  sora_stream_options_set_weight_type (options, type);
  sora_stream_options_set_text_encoder_policy (options, SORA_TEXT_ENCODER_POLICY_RELEASE);
  memory_meter_wait ();
  memory_meter_take_peak ();
  stream = sora_stream_new (model, device, options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  first = pull (stream);
  g_assert_true (sora_stream_set_prompt (stream, "a blue house", NULL));
  second = pull (stream);
  *frames = g_bytes_new (sora_block_get_rgb (second, 0),
      (gsize) sora_block_get_n_frames (second) * 3 * sora_block_get_width (second) * sora_block_get_height (second));
  return memory_meter_take_peak ();
}

/* All that is on the device counts, what products take beside the weights too: with either kind of linear, fp32 or unpacked. */
static void
test_bound (void)
{
  static const SoraLinearKind kinds[] = { SORA_LINEAR_PACKED, SORA_LINEAR_CLBLAST };
  static const SoraWeightType types[] = { SORA_WEIGHT_TYPE_FP32, SORA_WEIGHT_TYPE_Q8 };
  g_autoptr (SoraDevice) device = open_device ();

  for (guint i = 0; i < 2 * G_N_ELEMENTS (kinds); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraDevice) forced = sora_device_force_linear (device, kinds[i / 2], &error);
    g_autoptr (GBytes) expected = NULL;
    guint64 all;

    g_assert_no_error (error);
    all = measure_peak (forced, 0, types[i % 2], &expected);
    for (guint step = 0; step < 3; step++) {
      g_autoptr (GBytes) frames = NULL;
      guint64 limit = all - step * 10000, peak = measure_peak (forced, limit, types[i % 2], &frames);

      g_test_message ("kind %u, type %u, limit %" G_GUINT64_FORMAT ": %" G_GUINT64_FORMAT, kinds[i / 2], types[i % 2], limit, peak);
      g_assert_cmpuint (peak, <=, limit);
      g_assert_true (g_bytes_equal (frames, expected));
    }
  }
}

static void
test_options (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (GError) error = NULL;

  sora_stream_options_set_weight_type (options, 77);
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
  g_clear_error (&error);
  sora_stream_options_set_weight_type (options, SORA_WEIGHT_TYPE_AUTO);
  sora_stream_options_set_precision (options, 77);
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
}

static gboolean
has_text_encoder (SoraModel *model)
{
  return find_resident (model, SORA_PART_TEXT_ENCODER) != NULL;
}

/* Also where the prompt changes, and where another stream keeps the text encoder. */
static void
test_policy (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) released = open_stored (model, SORA_WEIGHT_TYPE_AUTO, SORA_TEXT_ENCODER_POLICY_RELEASE), kept = NULL;
  guint64 bytes = weight_bytes (released);

  g_assert_false (has_text_encoder (model));
  kept = open_stored (model, SORA_WEIGHT_TYPE_AUTO, SORA_TEXT_ENCODER_POLICY_AUTO);
  g_assert_true (has_text_encoder (model));
  g_assert_cmpuint (weight_bytes (kept), >, bytes);
  assert_same_blocks (released, kept, 2);
  g_assert_true (sora_stream_set_prompt (released, "a blue house", NULL));
  g_assert_true (sora_stream_set_prompt (kept, "a blue house", NULL));
  assert_same_blocks (released, kept, 2);
  g_assert_true (has_text_encoder (model));
  g_clear_pointer (&kept, sora_stream_free);
  g_assert_false (has_text_encoder (model));
  g_assert_true (sora_stream_set_prompt (released, "a red ball", NULL));
  sora_block_unref (pull (released));
  g_assert_false (has_text_encoder (model));
  g_assert_cmpuint (weight_bytes (released), ==, bytes);
}

/* Cancelled at random moments, some of them while the text encoder is loaded. */
static void
test_cancelled (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) released = open_stored (model, SORA_WEIGHT_TYPE_BF16, SORA_TEXT_ENCODER_POLICY_RELEASE);
  g_autoptr (SoraStream) kept = open_stored (model, SORA_WEIGHT_TYPE_FP32, SORA_TEXT_ENCODER_POLICY_KEEP);

  for (guint i = 0; i < 3; i++) {
    g_autofree gchar *prompt = g_strdup_printf ("a ball and %u more", i);
    g_assert_true (sora_stream_set_prompt (released, prompt, NULL));
    g_assert_true (sora_stream_set_prompt (kept, prompt, NULL));
    assert_same_though_cancelled (released, kept, 1);
  }
  g_assert_cmpuint (find_resident (model, SORA_PART_TEXT_ENCODER)->users, ==, 1);       /* the other stream's */
}

static void
note_tap (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  GHashTable *seen = user_data;

  if (g_str_has_suffix (name, "text_embeddings"))
    g_hash_table_add (seen, g_strdup (name));
}

/* A tap that comes later sees the embeddings, for which nothing is loaded again; and once only. */
static void
test_tap (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) stream = open_stored (model, SORA_WEIGHT_TYPE_AUTO, SORA_TEXT_ENCODER_POLICY_RELEASE);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  sora_stream_set_tap (stream, note_tap, seen);
  sora_block_unref (pull (stream));
  g_assert_cmpuint (g_hash_table_size (seen), ==, 2);
  g_hash_table_remove_all (seen);
  sora_block_unref (pull (stream));
  g_assert_cmpuint (g_hash_table_size (seen), ==, 0);
}

/* While blocks are generated no device memory is allocated, the window filling up and full, with either kind of linear. */
static void
test_no_allocation (void)
{
  static const SoraLinearKind kinds[] = { SORA_LINEAR_PACKED, SORA_LINEAR_CLBLAST };
  g_autoptr (SoraDevice) device = open_device ();

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraDevice) forced = sora_device_force_linear (device, kinds[i], &error);
    g_autoptr (SoraModel) model = open_tiny_model ();
    g_autoptr (SoraStreamOptions) options = default_options ();
    g_autoptr (SoraStream) stream = NULL;
    guint made;

    g_assert_no_error (error);
    stream = sora_stream_new (model, forced, options, NULL, NULL, NULL, &error);
    g_assert_no_error (error);
    made = memory_meter_get_made ();
    g_assert_cmpuint (made, >, 0);
    for (guint block = 0; block < 6; block++) {
      g_autoptr (SoraBlock) done = pull (stream);
      g_assert_cmpuint (sora_block_get_index (done), ==, block);
      g_assert_cmpuint (memory_meter_get_made (), ==, made);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream-memory/types", test_types);
  g_test_add_func ("/stream-memory/q8", test_q8);
  g_test_add_func ("/stream-memory/precision", test_precision);
  g_test_add_func ("/stream-memory/limit", test_limit);
  g_test_add_func ("/stream-memory/bound", test_bound);
  g_test_add_func ("/stream-memory/no-allocation", test_no_allocation);
  g_test_add_func ("/stream-memory/options", test_options);
  g_test_add_func ("/stream-memory/policy", test_policy);
  g_test_add_func ("/stream-memory/cancelled", test_cancelled);
  g_test_add_func ("/stream-memory/tap", test_tap);
  return g_test_run ();
}
