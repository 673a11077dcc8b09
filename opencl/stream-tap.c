/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stream shows to its tap: tokens, embeddings and latents, read back from the device on the way. */
#include "stream-tap.h"

#include "stream-condition.h"

/* Reads @n floats at @offset of device memory for the tap; NULL with a sticky error. */
static gfloat *
read_for_tap (SoraStream *stream, cl_mem mem, gsize offset, gsize n)
{
  g_autofree gfloat *data = g_new (gfloat, n);
  GError *error = NULL;

  if (sora_queue_has_failed (stream->queue))
    return NULL;
  if (sora_queue_read (stream->queue, mem, offset * sizeof (gfloat), n * sizeof (gfloat), data, &error))
    return g_steal_pointer (&data);
  sora_queue_fail (stream->queue, error);
  return NULL;
}

/* @tokens: as many as the branch's embeddings */
static void
tap_text (SoraStream *stream, guint branch, const gint32 *tokens)
{
  guint n_tokens = stream->n_tokens[branch];
  guint dim = stream->model->transformer.text_dim;
  const gint64 shape[] = { n_tokens, dim };
  g_autofree gfloat *embeddings = read_for_tap (stream, stream->embeddings, sora_stream_embeddings_of (stream, branch).offset,
      (gsize) n_tokens * dim);
  g_autofree gfloat *ids = g_new (gfloat, n_tokens);    /* exact below 2^24 */

  for (guint i = 0; i < n_tokens; i++)
    ids[i] = tokens[i];
  stream->tap (branch == 0 ? "tokens" : "negative_tokens", ids, shape, 1, stream->tap_data);
  if (embeddings)
    stream->tap (branch == 0 ? "text_embeddings" : "negative_text_embeddings", embeddings, shape, 2, stream->tap_data);
}

gboolean
sora_stream_tap_texts (SoraStream *stream, GError **error)
{
  for (guint branch = 0; branch < stream->n_branches && stream->tap; branch++) {
    guint n_tokens;
    g_autofree gint32 *tokens = stream->text_seen[branch] ? NULL : sora_tokenizer_encode (stream->model->tokenizer,
        sora_stream_prompt_of (stream, branch), stream->model->streaming.text_length, &n_tokens, error);
    if (stream->text_seen[branch])
      continue;
    if (!tokens)
      return FALSE;
    tap_text (stream, branch, tokens);
    stream->text_seen[branch] = TRUE;
  }
  return TRUE;
}

void
sora_stream_tap_latents (SoraStream *stream, const gchar *name, const gfloat *data)
{
  guint n_channels = stream->model->vae.latent_channels;
  guint n_pixels = stream->block_latents * stream->latent_height * stream->latent_width;
  const gint64 shape[] = { n_channels, stream->block_latents, stream->latent_height, stream->latent_width };
  g_autofree gfloat *planes = g_new (gfloat, (gsize) n_channels * n_pixels);

  for (guint p = 0; p < n_pixels; p++)
    for (guint c = 0; c < n_channels; c++)
      planes[(gsize) c * n_pixels + p] = data[(gsize) p * n_channels + c];
  stream->tap (name, planes, shape, 4, stream->tap_data);
}

void
sora_stream_tap_memory (SoraStream *stream, const gchar *name, cl_mem mem, gsize offset)
{
  g_autofree gfloat *data = read_for_tap (stream, mem, offset, sora_stream_latent_floats (stream, stream->block_latents));

  if (data)
    sora_stream_tap_latents (stream, name, data);
}

void
sora_stream_tap_step (guint step, cl_mem output, guint n_branches, gpointer user_data)
{
  SoraStream *stream = user_data;
  g_autofree gchar *prompt_name = g_strdup_printf ("step_%u_output", step);
  g_autofree gchar *negative_name = g_strdup_printf ("step_%u_negative_output", step);
  g_autofree gchar *latents_name = g_strdup_printf ("step_%u_latents", step);

  sora_stream_tap_memory (stream, prompt_name, output, 0);
  if (n_branches == 2)
    sora_stream_tap_memory (stream, negative_name, output, sora_stream_latent_floats (stream, stream->block_latents));
  sora_stream_tap_memory (stream, latents_name, stream->latents, 0);
}

void
sora_stream_set_tap (SoraStream *stream, SoraTapFunc tap, gpointer user_data)
{
  stream->tap = tap;
  stream->tap_data = user_data;
  stream->text_seen[0] = stream->text_seen[1] = FALSE;
}
