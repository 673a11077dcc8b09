/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One small random model, written in every layout that users have. */
#include "layout-support.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "stream-support.h"
#include "weights/tensor-writer.h"

gchar *scratch;

#define ATTENTION(ours, wans) \
  LINEAR ("blocks.0." ours ".to_q", "blocks.0." wans ".q", DIM, DIM), LINEAR ("blocks.0." ours ".to_k", "blocks.0." wans ".k", DIM, DIM), \
  LINEAR ("blocks.0." ours ".to_v", "blocks.0." wans ".v", DIM, DIM), \
  LINEAR ("blocks.0." ours ".to_out.0", "blocks.0." wans ".o", DIM, DIM), \
  { "blocks.0." ours ".norm_q.weight", "blocks.0." wans ".norm_q.weight", 1, { DIM } }, \
  { "blocks.0." ours ".norm_k.weight", "blocks.0." wans ".norm_k.weight", 1, { DIM } }

const Tensor transformer[N_TRANSFORMER] = {
  { "patch_embedding.weight", "patch_embedding.weight", 5, { DIM, CHANNELS, 1, 2, 2 } },
  { "patch_embedding.bias", "patch_embedding.bias", 1, { DIM } },
  LINEAR ("condition_embedder.text_embedder.linear_1", "text_embedding.0", DIM, TEXT),
  LINEAR ("condition_embedder.text_embedder.linear_2", "text_embedding.2", DIM, DIM),
  LINEAR ("condition_embedder.time_embedder.linear_1", "time_embedding.0", DIM, FREQ),
  LINEAR ("condition_embedder.time_embedder.linear_2", "time_embedding.2", DIM, DIM),
  LINEAR ("condition_embedder.time_proj", "time_projection.1", 6 * DIM, DIM),
  ATTENTION ("attn1", "self_attn"), ATTENTION ("attn2", "cross_attn"),
  LINEAR ("blocks.0.ffn.net.0.proj", "blocks.0.ffn.0", FFN, DIM), LINEAR ("blocks.0.ffn.net.2", "blocks.0.ffn.2", DIM, FFN),
  { "blocks.0.norm2.weight", "blocks.0.norm3.weight", 1, { DIM } }, { "blocks.0.norm2.bias", "blocks.0.norm3.bias", 1, { DIM } },
  { "blocks.0.scale_shift_table", "blocks.0.modulation", 3, { 1, 6, DIM } },
  LINEAR ("proj_out", "head.head", 4 * CHANNELS, DIM),
  { "scale_shift_table", "head.modulation", 3, { 1, 2, DIM } },
};

/* A TAEHV of three levels without memory blocks but one in the decoder, as the published ones else */
#define PLAIN(name, out, in, kernel) { name ".weight", name ".weight", 4, { out, in, kernel, kernel } }
#define BIASED(name, out, in) PLAIN (name, out, in, 3), { name ".bias", name ".bias", 1, { out } }
static const Tensor taehv[] = {
  BIASED ("encoder.0", 8, 3), PLAIN ("encoder.2.conv", 8, 16, 1), PLAIN ("encoder.3", 8, 8, 3), PLAIN ("encoder.4.conv", 8, 16, 1),
  PLAIN ("encoder.5", 8, 8, 3), PLAIN ("encoder.6.conv", 8, 8, 1), PLAIN ("encoder.7", 8, 8, 3), BIASED ("encoder.8", CHANNELS, 8),
  BIASED ("decoder.1", 16, CHANNELS), BIASED ("decoder.3.conv.0", 16, 32), BIASED ("decoder.3.conv.2", 16, 16),
  BIASED ("decoder.3.conv.4", 16, 16), PLAIN ("decoder.5.conv", 16, 16, 1), PLAIN ("decoder.6", 8, 16, 3),
  PLAIN ("decoder.8.conv", 16, 8, 1), PLAIN ("decoder.9", 8, 8, 3), PLAIN ("decoder.11.conv", 16, 8, 1), PLAIN ("decoder.12", 8, 8, 3),
  BIASED ("decoder.14", 3, 8),
};

static const gchar vae_config[] = "{\"_class_name\": \"TAEHV\", \"patch_size\": 1, \"latent_channels\": 4,"
    "\"encoder_widths\": [8, 8, 8, 8], \"encoder_blocks\": [0, 0, 0], \"encoder_time_downscale\": [true, true, false],"
    "\"encoder_space_downscale\": [true, true, true], \"decoder_widths\": [16, 8, 8, 8], \"decoder_blocks\": [1, 0, 0],"
    "\"decoder_time_upscale\": [false, true, true], \"decoder_space_upscale\": [true, true, true], \"frames_to_trim\": 3,"
    "\"latents_mean\": [0, 0, 0, 0], \"latents_std\": [1, 1, 1, 1]}";
const gchar transformer_config[] = "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 1,"
    "\"attention_head_dim\": 128, \"in_channels\": 4, \"out_channels\": 4, \"text_dim\": 24, \"freq_dim\": 32, \"ffn_dim\": 48,"
    "\"num_layers\": 1}";
const gchar wan_config[] = "{\"_class_name\": \"WanModel\", \"dim\": 128, \"eps\": 1e-06, \"ffn_dim\": 48, \"freq_dim\": 32,"
    "\"in_dim\": 4, \"model_type\": \"t2v\", \"num_heads\": 1, \"num_layers\": 1, \"out_dim\": 4, \"text_len\": 512}";
static const gchar scheduler_config[] = "{\"_class_name\": \"UniPCMultistepScheduler\", \"prediction_type\": \"flow_prediction\","
    "\"use_flow_sigmas\": true, \"flow_shift\": 3.0}";

gchar *
place (const gchar *model, const gchar *name)
{
  gchar *path = g_build_filename (scratch, model, name, NULL);
  g_autofree gchar *folder = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  return path;
}

void
put_text (const gchar *model, const gchar *name, const gchar *text)
{
  g_autofree gchar *path = place (model, name);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

void
put_golden (const gchar *model, const gchar *name, const gchar *golden)
{
  g_autofree gchar *path = place (model, name), *source = golden_path (golden), *data = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (source, &data, &size, NULL));
  g_assert_true (g_file_set_contents (path, data, size, NULL));
}

void
put_tiny (const gchar *model, const gchar *name, const gchar *tiny_name)
{
  g_autofree gchar *golden = g_build_filename ("tiny-model", tiny_name, NULL);

  put_golden (model, name, golden);
}

/* Numbers that depend on our name alone, and of a size at which activations keep theirs, but colours vary little about the middle of
 * their range, lest they be cut. */
static gfloat *
draw_tensor (const Tensor *tensor, gsize n)
{
  gdouble range = tensor->n_dims == 4 ? sqrt (6.0 * tensor->shape[0] / n) : 0.2;
  g_autoptr (GRand) random = g_rand_new_with_seed (g_str_hash (tensor->ours));
  gboolean is_norm = strstr (tensor->ours, "norm") && g_str_has_suffix (tensor->ours, "weight");
  gdouble offset = is_norm ? 1 : g_str_equal (tensor->ours, "decoder.14.bias") ? 0.5 : 0;
  gfloat *values = g_new (gfloat, n);

  if (g_str_equal (tensor->ours, "decoder.14.weight"))
    range /= 5;
  for (gsize i = 0; i < n; i++)
    values[i] = offset + g_rand_double_range (random, -range, range);
  return values;
}

void
put_weights (const gchar *model, const gchar *name, const Tensor *tensors, guint n, const gchar *prefix, gboolean wans, const Tensor *extra)
{
  g_autofree gchar *path = place (model, name);
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();

  for (guint i = 0; i < n + (extra != NULL); i++) {
    const Tensor *tensor = i < n ? &tensors[i] : extra;
    g_autofree gchar *spelled = g_strconcat (prefix, wans ? tensor->wans : tensor->ours, NULL);
    g_autofree gfloat *values = NULL;
    gsize n_values = 1;
    for (guint j = 0; j < tensor->n_dims; j++)
      n_values *= tensor->shape[j];
    values = draw_tensor (tensor, n_values);
    sora_tensor_writer_add (writer, spelled, values, tensor->shape, tensor->n_dims);
  }
  g_assert_true (sora_tensor_writer_save (writer, path, NULL));
}

void
put_transformer (const gchar *model, const gchar *name, const gchar *prefix, gboolean wans)
{
  put_weights (model, name, transformer, G_N_ELEMENTS (transformer), prefix, wans, NULL);
}

void
put_taehv (const gchar *model, const gchar *name)
{
  put_weights (model, name, taehv, G_N_ELEMENTS (taehv), "", FALSE, NULL);
}

/* Layouts, each in a folder of its own */

void
put_diffusers (const gchar *model)
{
  put_text (model, "model_index.json", "{\"_class_name\": \"WanPipeline\"}");
  put_text (model, "scheduler/scheduler_config.json", scheduler_config);
  put_text (model, "transformer/config.json", transformer_config);
  put_transformer (model, "transformer/diffusion_pytorch_model.safetensors", "", FALSE);
  put_text (model, "vae/config.json", vae_config);
  put_taehv (model, "vae/diffusion_pytorch_model.safetensors");
  put_tiny (model, "text_encoder/config.json", "text_encoder/config.json");
  put_tiny (model, "text_encoder/model.safetensors", "text_encoder/model.safetensors");
  put_tiny (model, "tokenizer/spiece.model", "tokenizer/spiece.model");
}

void
put_wan (const gchar *model)
{
  put_text (model, "config.json", wan_config);
  put_transformer (model, "diffusion_pytorch_model.safetensors", "", TRUE);
  put_tiny (model, "models_t5_umt5-xxl-enc-bf16.pth", "text_encoder/model.safetensors");
  put_taehv (model, "taew2_1.pth");
  put_tiny (model, "google/umt5-xxl/spiece.model", "tokenizer/spiece.model");
}

void
put_comfy (const gchar *model)
{
  static const Tensor other = { "decoder.1.weight", "decoder.1.weight", 4, { 16, 16, 3, 3 } };
  Tensor wider[G_N_ELEMENTS (taehv)];

  memcpy (wider, taehv, sizeof (wider));
  for (guint i = 0; i < G_N_ELEMENTS (wider); i++) {
    if (g_str_equal (wider[i].ours, other.ours))
      wider[i] = other;
  }
  put_transformer (model, COMFY_FILE, "model.diffusion_model.", TRUE);
  put_text (model, "text_encoders/broken.safetensors", "not a weight file");
  put_taehv (model, "text_encoders/a_vae.safetensors");
  put_tiny (model, "text_encoders/umt5_tiny.safetensors", "text_encoder/model.safetensors");
  put_tiny (model, "text_encoders/spiece.model", "tokenizer/spiece.model");
  put_weights (model, "vae/a_wider_one.safetensors", wider, G_N_ELEMENTS (wider), "", FALSE, NULL);
  put_taehv (model, "vae_approx/taew2_1.safetensors");
}
