/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the layers of one half of Wan's VAE, or a row of them, latent by latent; the same walk over them first plans the memory.
 *
 * What flows from layer to layer lies in plain maps, which take turns in two regions, or three where one map is kept for a shortcut. Each
 * convolution reads a bordered copy, made by the norm before it, in a region of its own; where it looks back in time, its past frames
 * are brought there from its cache, and the last frames go to the cache after it.
 *
 * A latent is a list of steps, none of which writes what it reads, and caches change with the end of a step only. So a step that a
 * cancellation interrupts can be made again, and a latent goes on where it was. */
#include "ops/attention.h"
#include "ops/channel-norm.h"
#include "ops/pixel-shuffle.h"
#include "stages/wan-vae-private.h"

#include <math.h>

enum { BORDERED, FIRST, SECOND, THIRD, N_REGIONS };

struct _SoraWanVaeState {
  const SoraWanVaeHalf *half;
  guint first, end;             /* its layers: from the first to the one before the end */
  guint height, width;          /* of what flows in, at first: of a latent in a decoder */
  gboolean is_still;            /* one latent of one frame is all that comes: nothing is remembered */
  cl_mem regions[N_REGIONS];
  guint64 largest;              /* floats of the largest region */
  guint n_caches;
  cl_mem *caches;               /* [n_caches]: the last frames of a convolution's input, with its border, in the order of the layers */
  gsize *cache_floats;          /* [n_caches] */
  gboolean is_first;            /* the stream's first latent comes next */
  guint done;                   /* steps of the latent at hand */
  SoraFeatureMap features;      /* the last latent's last map */
  guint n_frames;               /* of these */
};

/* One pass over the layers. */
typedef struct {
  SoraWanVaeState *state;
  SoraQueue *queue;             /* NULL: planning, with the next */
  SoraArena *arena;
  gsize floats[N_REGIONS];      /* planning: of the largest map in each */
  guint step, cache;            /* the next one's number */
  SoraFeatureMap x;             /* what flows */
  guint region, frames;         /* where x lies; N_REGIONS: elsewhere */
  SoraFeatureMap kept;          /* what the shortcut takes */
  guint kept_region;            /* N_REGIONS: there is none */
} Walk;

/* Whether the next step is to be done now: end_step() follows. */
static gboolean
begin_step (Walk *walk)
{
  return walk->queue != NULL && walk->step++ >= walk->state->done && !sora_queue_has_failed (walk->queue);
}

static void
end_step (Walk *walk)
{
  if (!sora_queue_has_failed (walk->queue))
    walk->state->done = walk->step;
}

/* A map of @frames frames in a region. */
static SoraFeatureMap
place (Walk *walk, guint region, guint past, guint border, guint height, guint width, guint channels, guint frames)
{
  SoraFeatureMap map = { walk->state->regions[region], past, border, height, width, channels };

  walk->floats[region] = MAX (walk->floats[region], sora_feature_map_floats (&map, frames));
  return map;
}

/* A plain region that neither holds what is needed nor is @taken. */
static guint
free_region (const Walk *walk, guint taken)
{
  guint region = FIRST;

  while (region == walk->region || region == walk->kept_region || region == taken)
    region++;
  return region;
}

static guint
other_region (const Walk *walk)
{
  return free_region (walk, N_REGIONS);
}

/* The number of the next cache. */
static guint
take_cache (Walk *walk, const SoraFeatureMap *bordered)
{
  SoraWanVaeState *state = walk->state;
  guint cache = walk->cache++;

  if (walk->queue == NULL && !state->is_still) {
    state->cache_floats[cache] = (gsize) bordered->past * sora_feature_map_frame (bordered);
    sora_arena_add (walk->arena, &state->caches[cache], state->cache_floats[cache]);
    state->n_caches = walk->cache;
  }
  return cache;
}

/* The last frames of @bordered become the next latent's past. Part of a step. */
static void
remember (Walk *walk, const SoraFeatureMap *bordered, guint cache)
{
  gsize bytes = walk->state->cache_floats[cache] * sizeof (gfloat);

  if (walk->state->is_still || sora_queue_has_failed (walk->queue))
    return;
  sora_queue_begin_atomic (walk->queue);
  sora_queue_copy (walk->queue, bordered->mem, walk->frames * sora_feature_map_frame (bordered) * sizeof (gfloat),
      walk->state->caches[cache], 0, bytes);
  sora_queue_end_atomic (walk->queue);
}

/* The frames before those of @bordered; before a still's there is nothing. */
static void
recall (Walk *walk, const SoraFeatureMap *bordered, guint cache)
{
  if (walk->state->is_still)
    sora_queue_zero (walk->queue, bordered->mem, 0, (gsize) bordered->past * sora_feature_map_frame (bordered) * sizeof (gfloat));
  else
    sora_queue_copy (walk->queue, walk->state->caches[cache], 0, bordered->mem, 0, walk->state->cache_floats[cache] * sizeof (gfloat));
}

/* A step: @x, normalised as @conv wants it, with its past before it and a border around it. @cache: taken if @conv looks back */
static SoraFeatureMap
prepare (Walk *walk, const SoraWanConvolution *conv, const SoraFeatureMap *x, guint *cache)
{
  const SoraConvolutionShape *s = &conv->shape;
  guint past = s->kernel_time - MAX (s->time_stride, 1);
  SoraFeatureMap bordered = place (walk, BORDERED, past, s->kernel_height / 2, x->height, x->width, x->channels, walk->frames);

  if (past > 0)
    *cache = take_cache (walk, &bordered);
  if (begin_step (walk)) {
    if (past > 0)
      recall (walk, &bordered, *cache);
    sora_channel_norm_run (walk->queue, x, conv->norm, conv->silu, &bordered, walk->frames);
    end_step (walk);
  }
  return bordered;
}

/* Frame by frame where that is the same, so that no launch lasts long. */
static void
launch (Walk *walk, const SoraWanConvolution *conv, SoraFeatureMap x, SoraFeatureMap y, const SoraFeatureMap *residual)
{
  gboolean apart = conv->shape.time_stride <= 1 && conv->shape.time_scale <= 1;
  guint n = apart ? 1 : walk->frames;
  SoraConvolutionEpilogue epilogue = { FALSE };

  if (residual != NULL)
    epilogue.residual = *residual;
  for (guint frame = 0; frame < walk->frames; frame += n) {
    sora_convolution_run (walk->queue, conv->conv, &x, &y, n, &epilogue);
    x.past++;
    y.past++;
    epilogue.residual.past++;
  }
}

/* A step: @y in @region is the convolution of @x, plus @residual (nullable). @cache: what remembers @x, or NULL */
static SoraFeatureMap
convolve (Walk *walk, const SoraWanConvolution *conv, const SoraFeatureMap *x, guint region, const SoraFeatureMap *residual,
    const guint *cache)
{
  const SoraConvolutionShape *s = &conv->shape;
  guint scale = MAX (s->scale, 1), stride = MAX (s->stride, 1);
  guint frames = walk->frames / MAX (s->time_stride, 1) * MAX (s->time_scale, 1);
  SoraFeatureMap y = place (walk, region, 0, 0, x->height * scale / stride, x->width * scale / stride, s->out_channels, frames);

  if (begin_step (walk)) {
    launch (walk, conv, *x, y, residual);
    if (cache != NULL)
      remember (walk, x, *cache);
    end_step (walk);
  }
  return y;
}

static void
flow_to (Walk *walk, SoraFeatureMap x, guint region)
{
  walk->x = x;
  walk->region = region;
}

static void
run_pointwise (Walk *walk, const SoraWanLayer *layer)
{
  guint region = other_region (walk);

  flow_to (walk, convolve (walk, &layer->conv[0], &walk->x, region, NULL, NULL), region);
}

static void
run_causal (Walk *walk, const SoraWanLayer *layer)
{
  guint region = other_region (walk), cache;
  SoraFeatureMap bordered = prepare (walk, &layer->conv[0], &walk->x, &cache);

  flow_to (walk, convolve (walk, &layer->conv[0], &bordered, region, NULL, &cache), region);
}

/* The bordered copy for the second convolution made, what the first one gave is no longer needed; the shortcut made, nor is x. */
static void
run_block (Walk *walk, const SoraWanLayer *layer)
{
  guint other = other_region (walk), cache;
  SoraFeatureMap bordered = prepare (walk, &layer->conv[0], &walk->x, &cache);
  SoraFeatureMap between = convolve (walk, &layer->conv[0], &bordered, other, NULL, &cache), residual = walk->x;

  bordered = prepare (walk, &layer->conv[1], &between, &cache);
  if (layer->conv[2].name != NULL) {
    residual = convolve (walk, &layer->conv[2], &walk->x, other, NULL, NULL);
    other = walk->region == walk->kept_region ? free_region (walk, other) : walk->region;
  }
  flow_to (walk, convolve (walk, &layer->conv[1], &bordered, other, &residual, &cache), other);
}

/* Each frame's pixels attend to each other; @qkv: [frames, height, width, 3 · channels] */
static void
attend (Walk *walk, const SoraFeatureMap *qkv, const SoraFeatureMap *out)
{
  guint n = out->channels, pixels = out->height * out->width;
  SoraAttention attention = {
    .batch = walk->frames, .heads = 1, .head_dim = n, .n_query = pixels, .n_key = pixels,
    .q = SORA_MATRIX_AT (qkv->mem, 0, 3 * n), .k = SORA_MATRIX_AT (qkv->mem, n, 3 * n), .v = SORA_MATRIX_AT (qkv->mem, 2 * n, 3 * n),
    .out = SORA_MATRIX (out->mem, n),
    .q_batch_stride = 3 * n * pixels, .k_batch_stride = 3 * n * pixels, .v_batch_stride = 3 * n * pixels, .out_batch_stride = n * pixels,
    .scale = 1 / sqrtf (n),
  };

  sora_attention_run (walk->queue, &attention);
}

static void
run_attention (Walk *walk, const SoraWanLayer *layer)
{
  guint other = other_region (walk);
  SoraFeatureMap normed = prepare (walk, &layer->conv[0], &walk->x, NULL);
  SoraFeatureMap qkv = convolve (walk, &layer->conv[0], &normed, other, NULL, NULL);

  if (begin_step (walk)) {
    attend (walk, &qkv, &normed);
    end_step (walk);
  }
  flow_to (walk, convolve (walk, &layer->conv[1], &normed, other, &walk->x, NULL), other);
}

/* The stream's first frame stays one, and the second does not look back at it. */
static void
grow_in_time (Walk *walk, const SoraWanConvolution *conv)
{
  guint region = other_region (walk), cache;
  SoraFeatureMap past;

  if (walk->state->is_first) {
    walk->cache++;
    return;
  }
  past = prepare (walk, conv, &walk->x, &cache);
  flow_to (walk, convolve (walk, conv, &past, region, NULL, &cache), region);
  walk->frames *= 2;
}

/* The stream's first frame stays as it is, and the second looks back at it. */
static void
shrink_in_time (Walk *walk, const SoraWanConvolution *conv)
{
  guint region = other_region (walk), cache;
  SoraFeatureMap past = prepare (walk, conv, &walk->x, &cache);

  if (walk->state->is_first) {
    if (begin_step (walk)) {
      remember (walk, &past, cache);
      end_step (walk);
    }
    return;
  }
  flow_to (walk, convolve (walk, conv, &past, region, NULL, &cache), region);
  walk->frames /= 2;
}

static void
resample (Walk *walk, const SoraWanLayer *layer)
{
  SoraFeatureMap bordered;
  guint region;

  if (layer->in_time && layer->type == SORA_WAN_UP)
    grow_in_time (walk, &layer->conv[1]);
  region = other_region (walk);
  bordered = prepare (walk, &layer->conv[0], &walk->x, NULL);
  flow_to (walk, convolve (walk, &layer->conv[0], &bordered, region, NULL, NULL), region);
  if (layer->in_time && layer->type == SORA_WAN_DOWN)
    shrink_in_time (walk, &layer->conv[1]);
}

static void
keep (Walk *walk)
{
  walk->kept = walk->x;
  walk->kept_region = walk->region;
}

/* The stream's first frame is the last of those that its place in the smaller map stands for. */
static void
join (Walk *walk, const SoraWanLayer *layer)
{
  guint region = other_region (walk), first = walk->state->is_first ? layer->shortcut.time - 1 : 0;
  SoraFeatureMap y = place (walk, region, 0, 0, walk->x.height, walk->x.width, walk->x.channels, walk->frames);

  if (begin_step (walk)) {
    if (walk->state->half->decodes)
      sora_shortcut_grow_run (walk->queue, &layer->shortcut, &walk->x, &walk->kept, first, &y, walk->frames);
    else
      sora_shortcut_shrink_run (walk->queue, &layer->shortcut, &walk->x, &walk->kept, first, &y, walk->frames);
    end_step (walk);
  }
  flow_to (walk, y, region);
  walk->kept_region = N_REGIONS;
}

static void
run_layers (Walk *walk)
{
  const SoraWanVaeHalf *half = walk->state->half;

  walk->kept_region = N_REGIONS;
  for (guint i = walk->state->first; i < walk->state->end; i++) {
    const SoraWanLayer *layer = &half->layers[i];

    switch (layer->type) {
      case SORA_WAN_POINTWISE:
        run_pointwise (walk, layer);
        break;
      case SORA_WAN_CAUSAL:
        run_causal (walk, layer);
        break;
      case SORA_WAN_BLOCK:
        run_block (walk, layer);
        break;
      case SORA_WAN_ATTENTION:
        run_attention (walk, layer);
        break;
      case SORA_WAN_UP:
      case SORA_WAN_DOWN:
        resample (walk, layer);
        break;
      case SORA_WAN_FORK:
        keep (walk);
        break;
      case SORA_WAN_JOIN:
        join (walk, layer);
        break;
    }
  }
}

/* All steps are done, unless the queue has failed. */
static void
end_latent (Walk *walk)
{
  if (walk->queue != NULL && sora_queue_has_failed (walk->queue))
    return;
  walk->state->features = walk->x;
  walk->state->n_frames = walk->frames;
  if (walk->queue == NULL)
    return;
  walk->state->is_first = walk->state->is_still;
  walk->state->done = 0;
}

/* What lies in @region, or elsewhere, through the layers; @rgb's frame 0 is the latent's first, its mem NULL: nowhere */
static void
decode (Walk *walk, const SoraFeatureMap *input, guint region, SoraByteFrames rgb)
{
  flow_to (walk, *input, region);
  run_layers (walk);
  if (walk->queue != NULL && rgb.mem != NULL && begin_step (walk)) {
    rgb.first += walk->state->half->config->time_scale - walk->frames;
    sora_pixel_shuffle_run (walk->queue, &walk->x, &rgb, walk->frames);
    end_step (walk);
  }
  end_latent (walk);
}

/* Bytes to a map of @height x @width, of which the first @n_grey frames are the middle between black and white, and through the layers */
static void
encode_bytes (Walk *walk, SoraByteFrames rgb, guint n_grey, guint height, guint width)
{
  const SoraWanVaeState *state = walk->state;
  const SoraVaeConfig *c = state->half->config;

  walk->frames = state->is_first ? 1 : c->time_scale;
  rgb.first += c->time_scale - walk->frames;
  flow_to (walk, place (walk, FIRST, 0, 0, height, width, c->image_channels * c->patch_size * c->patch_size, walk->frames), FIRST);
  if (begin_step (walk)) {
    sora_pixel_unshuffle_run (walk->queue, &rgb, &walk->x, walk->frames);
    sora_queue_zero (walk->queue, walk->x.mem, 0, n_grey * sora_feature_map_frame (&walk->x) * sizeof (gfloat));
    end_step (walk);
  }
  run_layers (walk);
}

/* @latents: [n, height, width, latent_channels], of which number @index is written */
static void
encode (Walk *walk, SoraByteFrames rgb, guint n_grey, cl_mem latents, guint index)
{
  const SoraWanVaeState *state = walk->state;
  guint scale = state->half->config->spatial_scale / state->half->config->patch_size;

  encode_bytes (walk, rgb, n_grey, state->height * scale, state->width * scale);
  if (walk->queue != NULL && begin_step (walk)) {
    gsize bytes = sora_feature_map_frame (&walk->x) * sizeof (gfloat);

    sora_queue_copy (walk->queue, walk->x.mem, 0, latents, index * bytes, bytes);
    end_step (walk);
  }
  end_latent (walk);
}

static SoraFeatureMap
latent_map (const SoraWanVaeState *state, cl_mem latents, guint index)
{
  return (SoraFeatureMap) { latents, index, 0, state->height, state->width, state->half->config->latent_channels };
}

static SoraByteFrames
byte_frames (const SoraWanVaeState *state, cl_mem rgb, guint index)
{
  const SoraVaeConfig *c = state->half->config;

  return (SoraByteFrames) { rgb, index * c->time_scale, c->image_channels, c->patch_size, -1 };
}

static SoraWanVaeState *
state_alloc (const SoraWanVaeHalf *half, guint first, guint end, guint height, guint width)
{
  SoraWanVaeState *state = g_new0 (SoraWanVaeState, 1);

  state->half = half;
  state->first = first;
  state->end = end;
  state->height = height;
  state->width = width;
  state->caches = g_new0 (cl_mem, half->n_layers * SORA_WAN_CONVOLUTIONS);
  state->cache_floats = g_new0 (gsize, half->n_layers * SORA_WAN_CONVOLUTIONS);
  return state;
}

/* After a walk that planned */
static SoraWanVaeState *
add_regions (Walk *walk)
{
  SoraWanVaeState *state = walk->state;

  for (guint i = 0; i < N_REGIONS; i++) {
    sora_arena_add (walk->arena, &state->regions[i], walk->floats[i]);
    state->largest = MAX (state->largest, walk->floats[i]);
  }
  state->is_first = TRUE;
  return state;
}

SoraWanVaeState *
sora_wan_vae_state_new (const SoraWanVaeHalf *half, guint height, guint width, gboolean is_still, SoraArena *arena)
{
  SoraWanVaeState *state = state_alloc (half, 0, half->n_layers, height, width);
  Walk walk = { state, NULL, arena, .frames = 1 };
  SoraFeatureMap latent = latent_map (state, NULL, 0);

  state->is_still = state->is_first = is_still;
  if (half->decodes)
    decode (&walk, &latent, N_REGIONS, byte_frames (state, NULL, 0));
  else
    encode (&walk, byte_frames (state, NULL, 0), 0, NULL, 0);
  return add_regions (&walk);
}

SoraWanVaeState *
sora_wan_vae_part_new (const SoraWanVaeHalf *half, guint first, guint end, const SoraFeatureMap *input, guint frames, gboolean is_still,
    SoraArena *arena)
{
  SoraWanVaeState *state = state_alloc (half, first, end, input->height, input->width);
  Walk walk = { state, NULL, arena, .frames = frames };
  gboolean is_elsewhere = half->decodes && first == 0;
  SoraFeatureMap x = *input;

  state->is_still = state->is_first = is_still;
  if (!is_elsewhere)
    x = place (&walk, FIRST, 0, 0, input->height, input->width, input->channels, frames);
  decode (&walk, &x, is_elsewhere ? N_REGIONS : FIRST, (SoraByteFrames) { NULL });
  return add_regions (&walk);
}

void
sora_wan_vae_part_encode (SoraWanVaeState *state, SoraQueue *queue, const SoraByteFrames *rgb, guint n_grey)
{
  Walk walk = { state, queue };

  encode_bytes (&walk, *rgb, n_grey, state->height, state->width);
  end_latent (&walk);
}

void
sora_wan_vae_part_run (SoraWanVaeState *state, SoraQueue *queue, const gfloat *input, guint channels, guint frames,
    const SoraByteFrames *rgb)
{
  Walk walk = { state, queue, .frames = frames };
  SoraFeatureMap x = { state->regions[FIRST], 0, 0, state->height, state->width, channels };

  if (begin_step (&walk)) {
    sora_queue_write (queue, x.mem, 0, sora_feature_map_floats (&x, frames) * sizeof (gfloat), input);
    end_step (&walk);
  }
  decode (&walk, &x, FIRST, *rgb);
}

gsize
sora_wan_vae_state_get_cache_floats (const SoraWanVaeState *state)
{
  gsize n = 0;

  for (guint i = 0; i < state->n_caches; i++)
    n += state->cache_floats[i];
  return n;
}

gboolean
sora_wan_vae_state_save (SoraWanVaeState *state, SoraQueue *queue, gfloat *saved)
{
  GError *error = NULL;

  for (guint i = 0; i < state->n_caches && !sora_queue_has_failed (queue); i++) {
    if (!sora_queue_read (queue, state->caches[i], 0, state->cache_floats[i] * sizeof (gfloat), saved, &error))
      sora_queue_fail (queue, error);
    saved += state->cache_floats[i];
  }
  return !sora_queue_has_failed (queue);
}

void
sora_wan_vae_state_restore (SoraWanVaeState *state, SoraQueue *queue, const gfloat *saved)
{
  sora_wan_vae_state_reset (state, queue);
  state->is_first = saved == NULL;
  for (guint i = 0; i < state->n_caches && saved != NULL; i++) {
    sora_queue_write (queue, state->caches[i], 0, state->cache_floats[i] * sizeof (gfloat), saved);
    saved += state->cache_floats[i];
  }
}

void
sora_wan_vae_state_free (SoraWanVaeState *state)
{
  if (state == NULL)
    return;
  g_free (state->caches);
  g_free (state->cache_floats);
  g_free (state);
}

void
sora_wan_vae_state_reset (SoraWanVaeState *state, SoraQueue *queue)
{
  for (guint i = 0; i < state->n_caches; i++)
    sora_queue_zero (queue, state->caches[i], 0, state->cache_floats[i] * sizeof (gfloat));
  state->is_first = TRUE;
  state->done = 0;
}

guint64
sora_wan_vae_state_get_largest (const SoraWanVaeState *state)
{
  return state->largest;
}

const SoraFeatureMap *
sora_wan_vae_state_get_features (const SoraWanVaeState *state)
{
  return &state->features;
}

guint
sora_wan_vae_state_get_n_frames (const SoraWanVaeState *state)
{
  return state->n_frames;
}

void
sora_wan_vae_decode_latent (SoraWanVaeState *state, SoraQueue *queue, cl_mem latents, guint index, cl_mem rgb)
{
  Walk walk = { state, queue, .frames = 1 };
  const SoraFeatureMap latent = latent_map (state, latents, index);

  decode (&walk, &latent, N_REGIONS, byte_frames (state, rgb, index));
}

void
sora_wan_vae_decode (SoraWanVaeState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb)
{
  for (guint i = 0; i < n_latents; i++)
    sora_wan_vae_decode_latent (state, queue, latents, i, rgb);
}

void
sora_wan_vae_encode (SoraWanVaeState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents)
{
  for (guint i = 0; i < n_latents; i++) {
    Walk walk = { state, queue };

    encode (&walk, byte_frames (state, rgb, i), 0, latents, i);
  }
}

void
sora_wan_vae_encode_greyed (SoraWanVaeState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent)
{
  Walk walk = { state, queue };

  g_return_if_fail (!state->is_first);

  encode (&walk, byte_frames (state, rgb, 0), n_grey, latent, 0);
}
