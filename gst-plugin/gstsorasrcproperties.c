/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sorasrc's properties: what they are called, mean and are set to, and the statistics. */
#include "gstsorasrcprivate.h"

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_TRANSFORMER_2,
  PROP_TEXT_ENCODER,
  PROP_VAE,
  PROP_VAE_TILE,
  PROP_IMAGE_ENCODER,
  PROP_CAUSAL,
  PROP_WEIGHT_TYPE,
  PROP_PRECISION,
  PROP_TEXT_ENCODER_POLICY,
  PROP_MAX_MEMORY,
  PROP_DEVICE,
  PROP_PROMPT,
  PROP_NEGATIVE_PROMPT,
  PROP_IMAGE,
  PROP_LAST_IMAGE,
  PROP_LORAS,
  PROP_GUIDANCE_SCALE,
  PROP_GUIDANCE_SCALE_2,
  PROP_GUIDANCE_BEGIN,
  PROP_GUIDANCE_END,
  PROP_SAMPLER,
  PROP_STEPS,
  PROP_SHIFT,
  PROP_SEED,
  PROP_DURATION,
  PROP_FIT,
  PROP_QUEUE_SIZE,
  PROP_IS_LIVE,
  PROP_STATS,
};

#define DEFAULT_WEIGHT_TYPE SORA_WEIGHT_TYPE_AUTO
#define DEFAULT_PRECISION SORA_PRECISION_AUTO
#define DEFAULT_TEXT_ENCODER_POLICY SORA_TEXT_ENCODER_POLICY_AUTO
#define DEFAULT_MAX_MEMORY 0
#define DEFAULT_GUIDANCE_SCALE -1.0
#define DEFAULT_GUIDANCE_BEGIN 0.0
#define DEFAULT_GUIDANCE_END 1.0
#define DEFAULT_SAMPLER SORA_SAMPLER_DEFAULT
#define DEFAULT_STEPS 0
#define DEFAULT_SHIFT -1.0
#define DEFAULT_VAE_TILE -1
#define DEFAULT_SEED -1
#define DEFAULT_DURATION -1
#define DEFAULT_FIT GST_SORA_SRC_FIT_CROP
#define DEFAULT_QUEUE_SIZE 1
#define DEFAULT_IS_LIVE FALSE

static GstStructure *
make_stats (GstSoraSrc *self)
{
  GstSoraWorkerStats stats = { 0 };
  GstStructure *structure;

  g_mutex_lock (&self->lock);
  if (self->worker)
    gst_sora_worker_get_stats (self->worker, &stats);
  structure = gst_structure_new ("sora-stats",
      "blocks", G_TYPE_UINT64, stats.blocks, "frames", G_TYPE_UINT64, stats.frames,
      "buffers", G_TYPE_UINT64, self->buffers, "repeated", G_TYPE_UINT64, self->repeated,
      "dropped", G_TYPE_UINT64, self->dropped, "restarts", G_TYPE_UINT, stats.restarts,
      "queue-level", G_TYPE_UINT, stats.queued_blocks,
      "load-time", G_TYPE_UINT64, (guint64) (stats.load_seconds * GST_SECOND),
      "last-block-time", G_TYPE_UINT64, (guint64) (stats.last_block_seconds * GST_SECOND),
      "mean-block-time", G_TYPE_UINT64, (guint64) (stats.block_seconds / MAX (stats.blocks, 1) * GST_SECOND),
      "generation-rate", G_TYPE_DOUBLE, stats.block_seconds > 0 ? stats.frames / stats.block_seconds : 0.0,
      "width", G_TYPE_UINT, stats.width, "height", G_TYPE_UINT, stats.height,
      "seed", G_TYPE_INT64, self->used_seed,
      "stream-memory", G_TYPE_UINT64, stats.stream_bytes, "weight-memory", G_TYPE_UINT64, stats.weight_bytes, NULL);
  if (self->worker)
    gst_structure_set (structure, "model", G_TYPE_STRING, sora_model_get_name (self->model),
        "device", G_TYPE_STRING, sora_device_get_name (self->device),
        "model-rate", GST_TYPE_FRACTION, self->rate_n, self->rate_d, NULL);
  g_mutex_unlock (&self->lock);
  return structure;
}

/* Takes LoRAs from @value; whether they can be loaded, the worker tells. */
static void
set_loras (GstSoraSrc *self, const GValue *value)
{
  const gchar *wanted = g_value_get_string (value) ? g_value_get_string (value) : "";

  if (g_str_equal (self->settings.loras, wanted))
    return;
  g_free (self->settings.loras);
  self->settings.loras = g_strdup (wanted);
  if (self->worker)
    gst_sora_worker_set_loras (self->worker, wanted);
}

/* Takes the property @name, a prompt, from @value; a text that is not UTF-8 changes nothing but posts a warning. @worker: (nullable): of the prompt,
 * which is empty rather than NULL */
static void
set_text (GstSoraSrc *self, const gchar *name, gchar **text, const GValue *value, GstSoraWorker **worker)
{
  const gchar *given = g_value_get_string (value), *wanted = given || !worker ? given : "";

  if (wanted && !g_utf8_validate (wanted, -1, NULL)) {
    GST_ELEMENT_WARNING (self, LIBRARY, SETTINGS, ("The new %s is not UTF-8 text; the one before is kept.", name), (NULL));
    return;
  }
  g_mutex_lock (&self->lock);
  if (g_strcmp0 (*text, wanted) != 0) {
    g_free (*text);
    *text = g_strdup (wanted);
    if (worker && *worker)
      gst_sora_worker_set_prompt (*worker, wanted);
  }
  g_mutex_unlock (&self->lock);
}

/* What is only kept until the element starts: files and a device. NULL for other properties */
static gchar **
find_name (GstSoraSrcSettings *settings, guint id)
{
  switch (id) {
    case PROP_MODEL:
      return &settings->model;
    case PROP_TRANSFORMER_2:
      return &settings->transformer_2;
    case PROP_TEXT_ENCODER:
      return &settings->text_encoder;
    case PROP_VAE:
      return &settings->vae;
    case PROP_IMAGE_ENCODER:
      return &settings->image_encoder;
    case PROP_DEVICE:
      return &settings->device;
    case PROP_IMAGE:
      return &settings->image;
    case PROP_LAST_IMAGE:
      return &settings->last_image;
    default:
      return NULL;
  }
}

static void
gst_sora_src_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSoraSrc *self = GST_SORA_SRC (object);
  GstSoraSrcSettings *settings = &self->settings;
  gchar **name = find_name (settings, id);

  if (id == PROP_PROMPT) {
    set_text (self, pspec->name, &settings->prompt, value, &self->worker);
    return;
  } else if (id == PROP_NEGATIVE_PROMPT) {
    set_text (self, pspec->name, &settings->negative_prompt, value, NULL);
    return;
  } else if (id == PROP_IS_LIVE) {
    gst_base_src_set_live (GST_BASE_SRC (self), g_value_get_boolean (value));
    return;
  }

  g_mutex_lock (&self->lock);
  if (name) {
    g_free (*name);
    *name = g_value_dup_string (value);
    g_mutex_unlock (&self->lock);
    return;
  }
  switch (id) {
    case PROP_CAUSAL:
      settings->causal = g_value_get_boolean (value);
      break;
    case PROP_WEIGHT_TYPE:
      settings->weight_type = g_value_get_enum (value);
      break;
    case PROP_PRECISION:
      settings->precision = g_value_get_enum (value);
      break;
    case PROP_TEXT_ENCODER_POLICY:
      settings->text_encoder_policy = g_value_get_enum (value);
      break;
    case PROP_MAX_MEMORY:
      settings->max_memory = g_value_get_uint64 (value);
      break;
    case PROP_LORAS:
      set_loras (self, value);
      break;
    case PROP_GUIDANCE_SCALE:
      settings->guidance_scale = g_value_get_double (value);
      if (self->worker)
        gst_sora_worker_set_guidance_scale (self->worker, settings->guidance_scale);
      break;
    case PROP_GUIDANCE_SCALE_2:
      settings->guidance_scale_2 = g_value_get_double (value);
      break;
    case PROP_GUIDANCE_BEGIN:
      settings->guidance_begin = g_value_get_double (value);
      break;
    case PROP_GUIDANCE_END:
      settings->guidance_end = g_value_get_double (value);
      break;
    case PROP_SAMPLER:
      settings->sampler = g_value_get_enum (value);
      break;
    case PROP_STEPS:
      settings->steps = g_value_get_uint (value);
      break;
    case PROP_SHIFT:
      settings->shift = g_value_get_double (value);
      break;
    case PROP_VAE_TILE:
      settings->vae_tile = g_value_get_int (value);
      break;
    case PROP_SEED:
      settings->seed = g_value_get_int64 (value);
      break;
    case PROP_DURATION:
      settings->duration = g_value_get_int64 (value);
      break;
    case PROP_FIT:
      settings->fit = g_value_get_enum (value);
      break;
    case PROP_QUEUE_SIZE:
      settings->queue_size = g_value_get_uint (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  g_mutex_unlock (&self->lock);
}

static void
gst_sora_src_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstSoraSrc *self = GST_SORA_SRC (object);
  GstSoraSrcSettings *settings = &self->settings;
  gchar **name = find_name (settings, id);

  if (id == PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  } else if (id == PROP_IS_LIVE) {
    g_value_set_boolean (value, gst_base_src_is_live (GST_BASE_SRC (self)));
    return;
  }

  g_mutex_lock (&self->lock);
  if (name) {
    g_value_set_string (value, *name);
    g_mutex_unlock (&self->lock);
    return;
  }
  switch (id) {
    case PROP_CAUSAL:
      g_value_set_boolean (value, settings->causal);
      break;
    case PROP_WEIGHT_TYPE:
      g_value_set_enum (value, settings->weight_type);
      break;
    case PROP_PRECISION:
      g_value_set_enum (value, settings->precision);
      break;
    case PROP_TEXT_ENCODER_POLICY:
      g_value_set_enum (value, settings->text_encoder_policy);
      break;
    case PROP_MAX_MEMORY:
      g_value_set_uint64 (value, settings->max_memory);
      break;
    case PROP_PROMPT:
      g_value_set_string (value, settings->prompt);
      break;
    case PROP_NEGATIVE_PROMPT:
      g_value_set_string (value, settings->negative_prompt);
      break;
    case PROP_LORAS:
      g_value_set_string (value, settings->loras);
      break;
    case PROP_GUIDANCE_SCALE:
      g_value_set_double (value, settings->guidance_scale);
      break;
    case PROP_GUIDANCE_SCALE_2:
      g_value_set_double (value, settings->guidance_scale_2);
      break;
    case PROP_GUIDANCE_BEGIN:
      g_value_set_double (value, settings->guidance_begin);
      break;
    case PROP_GUIDANCE_END:
      g_value_set_double (value, settings->guidance_end);
      break;
    case PROP_SAMPLER:
      g_value_set_enum (value, settings->sampler);
      break;
    case PROP_STEPS:
      g_value_set_uint (value, settings->steps);
      break;
    case PROP_SHIFT:
      g_value_set_double (value, settings->shift);
      break;
    case PROP_VAE_TILE:
      g_value_set_int (value, settings->vae_tile);
      break;
    case PROP_SEED:
      g_value_set_int64 (value, self->used_seed >= 0 ? self->used_seed : settings->seed);
      break;
    case PROP_DURATION:
      g_value_set_int64 (value, settings->duration);
      break;
    case PROP_FIT:
      g_value_set_enum (value, settings->fit);
      break;
    case PROP_QUEUE_SIZE:
      g_value_set_uint (value, settings->queue_size);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  g_mutex_unlock (&self->lock);
}

#define READY_FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY | GST_PARAM_DOC_SHOW_DEFAULT)
#define PLAYING_FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING | GST_PARAM_DOC_SHOW_DEFAULT)

static void
install_text_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_MODEL, g_param_spec_string ("model", "Model",
      "Model directory in diffusers' or Wan's own layout, a transformer's file, or a name that \"sora models\" lists (NULL: the embedded "
      "model, looked for in SORA_MODEL_PATH, XDG_DATA_HOME and the data directory)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_TRANSFORMER_2, g_param_spec_string ("transformer-2", "Second transformer",
      "Of a model with two experts (Wan 2.2 A14B) the one for low noise (NULL or empty: found in the model, or beside it under its name "
      "with low for high)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_TEXT_ENCODER, g_param_spec_string ("text-encoder", "Text encoder",
      "UMT5 weight file, or folder with config.json and weights (NULL or empty: the model's own, found beside it)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_VAE, g_param_spec_string ("vae", "VAE",
      "VAE weight file, or folder with config.json and weights (NULL or empty: the model's own, found beside it)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_VAE_TILE, g_param_spec_int ("vae-tile", "VAE tile",
      "Pixels of the side, at most, of the parts of the picture that Wan's VAE decodes one by one to save memory; the frames are the same "
      "(0: the whole picture at once, -1: by the device's memory)", -1, 16384, DEFAULT_VAE_TILE, READY_FLAGS));
  g_object_class_install_property (class, PROP_IMAGE_ENCODER, g_param_spec_string ("image-encoder", "Image encoder",
      "CLIP weight file of a model from image to video, or folder with config.json and weights (NULL or empty: the model's own, found "
      "beside it)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_DEVICE, g_param_spec_string ("device", "Device",
      "OpenCL device: gpu, cpu, accelerator, an index of 'sora devices' or a part of \"platform: name\" (NULL: the first "
      "GPU, else a CPU)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_PROMPT, g_param_spec_string ("prompt", "Prompt",
      "What the video shows, UTF-8 text; while playing it takes effect with the next block that is generated (empty: "
      "anything)", "", PLAYING_FLAGS));
  g_object_class_install_property (class, PROP_NEGATIVE_PROMPT, g_param_spec_string ("negative-prompt",
      "Negative prompt", "What the video must not show, UTF-8 text; used where the guidance scale is not 1 (NULL: the model's own, which of Wan is "
      "its makers' list of flaws; empty: nothing)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_IMAGE, g_param_spec_string ("image", "Image",
      "Picture file that the video begins with, fitted to the model's size as 'fit' says; where no size is asked for, the model's "
      "size that is nearest to the picture's proportions is taken (NULL or empty: none)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_LAST_IMAGE, g_param_spec_string ("last-image", "Last image",
      "Picture file that the clip ends with, which only some models from image to video take (NULL or empty: none)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_LORAS, g_param_spec_string ("loras", "LoRAs",
      "LoRA files that change the model, and their weights (1 where none is given): PATH[:WEIGHT],PATH[:WEIGHT], with a backslash before commas "
      "in a path; while playing it takes effect with the next block that is generated (empty: none)", "", PLAYING_FLAGS));
}

#define GST_TYPE_SORA_SRC_SAMPLER (gst_sora_src_sampler_get_type ())

static GType
gst_sora_src_sampler_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_SAMPLER_DEFAULT, "The model's own", "default" },
    { SORA_SAMPLER_EULER, "Euler steps along the flow", "euler" },
    { SORA_SAMPLER_UNIPC, "UniPC of order 2, as Wan models are mostly run", "unipc" },
    { SORA_SAMPLER_DPMPP_2M, "DPM-Solver++ (2M)", "dpmpp-2m" },
    { SORA_SAMPLER_RENOISE, "Fresh noise after each step, for models distilled to few steps", "renoise" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcSampler", values));
  return type;
}

#define GST_TYPE_SORA_SRC_WEIGHT_TYPE (gst_sora_src_weight_type_get_type ())

static GType
gst_sora_src_weight_type_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_WEIGHT_TYPE_AUTO, "By the file's type and the model's size, so that nothing is lost that the file has", "auto" },
    { SORA_WEIGHT_TYPE_FP32, "4 bytes a weight", "fp32" },
    { SORA_WEIGHT_TYPE_FP16, "2 bytes a weight, exact for files in F16", "fp16" },
    { SORA_WEIGHT_TYPE_BF16, "2 bytes a weight, exact for files in BF16", "bf16" },
    { SORA_WEIGHT_TYPE_Q8, "A little more than a byte a weight, exact for files in Q8_0, Q5_0 and Q4_0", "q8" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcWeightType", values));
  return type;
}

#define GST_TYPE_SORA_SRC_PRECISION (gst_sora_src_precision_get_type ())

static GType
gst_sora_src_precision_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_PRECISION_AUTO, "Matrices whose numbers are bf16 in bf16, others in fp32, so that no weight is rounded", "auto" },
    { SORA_PRECISION_FP32, "All in fp32", "fp32" },
    { SORA_PRECISION_BF16, "All in bf16, for which more precise weights are rounded", "bf16" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcPrecision", values));
  return type;
}

#define GST_TYPE_SORA_SRC_TEXT_ENCODER_POLICY (gst_sora_src_text_encoder_policy_get_type ())

static GType
gst_sora_src_text_encoder_policy_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_TEXT_ENCODER_POLICY_AUTO, "Release a large text encoder, keep a small one", "auto" },
    { SORA_TEXT_ENCODER_POLICY_RELEASE, "On the device only while a prompt is encoded", "release" },
    { SORA_TEXT_ENCODER_POLICY_KEEP, "On the device as long as the element runs", "keep" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcTextEncoderPolicy", values));
  return type;
}

static void
install_memory_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_WEIGHT_TYPE, g_param_spec_enum ("weight-type", "Weight type",
      "What the model's matrices are stored as on the device, which its memory depends on", GST_TYPE_SORA_SRC_WEIGHT_TYPE,
      DEFAULT_WEIGHT_TYPE, READY_FLAGS));
  g_object_class_install_property (class, PROP_PRECISION, g_param_spec_enum ("precision", "Precision",
      "What the model's matrices are multiplied in, on a device that has instructions for bf16; others use fp32", GST_TYPE_SORA_SRC_PRECISION,
      DEFAULT_PRECISION, READY_FLAGS));
  g_object_class_install_property (class, PROP_TEXT_ENCODER_POLICY, g_param_spec_enum ("text-encoder-policy", "Text encoder policy",
      "When the text encoder's weights are on the device: released they leave their memory to the rest, but are loaded again for each "
      "new prompt", GST_TYPE_SORA_SRC_TEXT_ENCODER_POLICY, DEFAULT_TEXT_ENCODER_POLICY, READY_FLAGS));
  g_object_class_install_property (class, PROP_MAX_MEMORY, g_param_spec_uint64 ("max-memory", "Maximum memory",
      "Bytes of the device's memory that may be used; weights that do not fit are streamed to it whenever they are used (0: nine tenths "
      "of what it has)", 0, G_MAXUINT64, DEFAULT_MAX_MEMORY, READY_FLAGS));
}

static void
install_guidance_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_GUIDANCE_SCALE, g_param_spec_double ("guidance-scale",
      "Guidance scale", "How strictly the prompt is followed, a factor; while playing it takes effect with the next block "
      "(-1: the model's own, 1: no guidance, and none later if it is 1 at the start)", -1, 100, DEFAULT_GUIDANCE_SCALE,
      PLAYING_FLAGS | GST_PARAM_CONTROLLABLE));
  g_object_class_install_property (class, PROP_GUIDANCE_SCALE_2, g_param_spec_double ("guidance-scale-2",
      "Guidance scale 2", "That of the second of two experts (-1: guidance-scale, or the model's own if that is)", -1, 100,
      DEFAULT_GUIDANCE_SCALE, READY_FLAGS));
  g_object_class_install_property (class, PROP_GUIDANCE_BEGIN, g_param_spec_double ("guidance-begin", "Guidance begin",
      "Share of the denoising steps before which there is no guidance, which makes them cost half", 0, 1, DEFAULT_GUIDANCE_BEGIN,
      READY_FLAGS));
  g_object_class_install_property (class, PROP_GUIDANCE_END, g_param_spec_double ("guidance-end", "Guidance end",
      "Share of the denoising steps after which there is no guidance, not below guidance-begin", 0, 1, DEFAULT_GUIDANCE_END,
      READY_FLAGS));
}

static void
install_sampling_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_SAMPLER, g_param_spec_enum ("sampler", "Sampler",
      "The way from noise to frames", GST_TYPE_SORA_SRC_SAMPLER, DEFAULT_SAMPLER, READY_FLAGS));
  g_object_class_install_property (class, PROP_STEPS, g_param_spec_uint ("steps", "Steps",
      "Denoising steps for each block (0: the model's own)", 0, 1000, DEFAULT_STEPS, READY_FLAGS));
  g_object_class_install_property (class, PROP_SHIFT, g_param_spec_double ("shift", "Shift",
      "Flow-matching time shift: the higher, the more of the steps are at high noise (-1: the model's own)", -1, 100, DEFAULT_SHIFT,
      READY_FLAGS));
  g_object_class_install_property (class, PROP_SEED, g_param_spec_int64 ("seed", "Seed",
      "Number that the noise is drawn from: the same seed gives the same frames (-1: random; from PAUSED on the number "
      "drawn can be read)", -1, G_MAXINT64, DEFAULT_SEED, READY_FLAGS));
}

static void
install_stream_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_CAUSAL, g_param_spec_boolean ("causal", "Causal",
      "Take the transformer for one that streams in few steps, as by Self-Forcing, though nothing beside it says so", FALSE, READY_FLAGS));
  g_object_class_install_property (class, PROP_DURATION, g_param_spec_int64 ("duration", "Duration",
      "Length of the video in nanoseconds, then EOS (-1: endless, or one clip of a model that makes clips)", -1,
      G_MAXINT64, DEFAULT_DURATION, READY_FLAGS));
  g_object_class_install_property (class, PROP_FIT, g_param_spec_enum ("fit", "Fit",
      "How the model's picture is fitted into other proportions, and at the start the image into the model's", GST_TYPE_SORA_SRC_FIT, DEFAULT_FIT, PLAYING_FLAGS));
  g_object_class_install_property (class, PROP_QUEUE_SIZE, g_param_spec_uint ("queue-size", "Queue size",
      "Blocks that may be generated ahead of the one being shown; more hide uneven generation, but delay a new prompt",
      1, 64, DEFAULT_QUEUE_SIZE, READY_FLAGS));
  g_object_class_install_property (class, PROP_IS_LIVE, g_param_spec_boolean ("is-live", "Is live",
      "Send buffers at their time by the pipeline's clock, repeating a frame where the next one is not ready",
      DEFAULT_IS_LIVE, READY_FLAGS));
  g_object_class_install_property (class, PROP_STATS, g_param_spec_boxed ("stats", "Statistics",
      "What has been generated and sent since start, and how fast: a structure, times in nanoseconds",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void
gst_sora_src_install_properties (GObjectClass *class)
{
  class->set_property = gst_sora_src_set_property;
  class->get_property = gst_sora_src_get_property;
  install_text_properties (class);
  install_memory_properties (class);
  install_guidance_properties (class);
  install_sampling_properties (class);
  install_stream_properties (class);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_FIT, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_SAMPLER, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_WEIGHT_TYPE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_PRECISION, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_TEXT_ENCODER_POLICY, 0);
}

void
gst_sora_src_init_settings (GstSoraSrcSettings *settings)
{
  *settings = (GstSoraSrcSettings) {
    .prompt = g_strdup (""),
    .loras = g_strdup (""),
    .weight_type = DEFAULT_WEIGHT_TYPE,
    .precision = DEFAULT_PRECISION,
    .text_encoder_policy = DEFAULT_TEXT_ENCODER_POLICY,
    .max_memory = DEFAULT_MAX_MEMORY,
    .guidance_scale = DEFAULT_GUIDANCE_SCALE,
    .guidance_scale_2 = DEFAULT_GUIDANCE_SCALE,
    .guidance_begin = DEFAULT_GUIDANCE_BEGIN,
    .guidance_end = DEFAULT_GUIDANCE_END,
    .sampler = DEFAULT_SAMPLER,
    .steps = DEFAULT_STEPS,
    .shift = DEFAULT_SHIFT,
    .vae_tile = DEFAULT_VAE_TILE,
    .seed = DEFAULT_SEED,
    .duration = DEFAULT_DURATION,
    .fit = DEFAULT_FIT,
    .queue_size = DEFAULT_QUEUE_SIZE,
  };
}

void
gst_sora_src_clear_settings (GstSoraSrcSettings *settings)
{
  g_free (settings->model);
  g_free (settings->transformer_2);
  g_free (settings->text_encoder);
  g_free (settings->vae);
  g_free (settings->device);
  g_free (settings->prompt);
  g_free (settings->negative_prompt);
  g_free (settings->image_encoder);
  g_free (settings->image);
  g_free (settings->last_image);
  g_free (settings->loras);
}
