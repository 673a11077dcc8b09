/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One small random model, written in every layout that users have. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

extern gchar *scratch;          /* a folder of this run, which main() makes and removes */

#define DIM 128                 /* one head, as wide as all of Wan's */
#define FFN 48
#define CHANNELS 4
#define TEXT 24                 /* as the tiny model's text encoder */
#define FREQ 32

/* In diffusers' and in Wan's spelling */
typedef struct {
  const gchar *ours, *wans;
  guint n_dims;
  gint64 shape[5];
} Tensor;

#define LINEAR(ours, wans, out, in) { ours ".weight", wans ".weight", 2, { out, in } }, { ours ".bias", wans ".bias", 1, { out } }

#define N_TRANSFORMER 42
extern const Tensor transformer[N_TRANSFORMER];
/* Wan's config.json and diffusers' of it */
extern const gchar wan_config[], transformer_config[];

/* (transfer full): the file @name of @model, a folder in the scratch folder; all folders are made */
gchar *place (const gchar *model, const gchar *name);
void put_text (const gchar *model, const gchar *name, const gchar *text);
/* A golden file */
void put_golden (const gchar *model, const gchar *name, const gchar *golden);
/* A file of the tiny model */
void put_tiny (const gchar *model, const gchar *name, const gchar *tiny_name);
/* @wans: whether in Wan's spelling; @extra: (nullable): one more tensor, of which there may be none with that name */
void put_weights (const gchar *model, const gchar *name, const Tensor *tensors, guint n, const gchar *prefix, gboolean wans,
    const Tensor *extra);
void put_transformer (const gchar *model, const gchar *name, const gchar *prefix, gboolean wans);
void put_taehv (const gchar *model, const gchar *name);

/* Layouts, each in a folder of its own */
void put_diffusers (const gchar *model);
void put_wan (const gchar *model);
#define COMFY_FILE "diffusion_models/wan/tiny_t2v.safetensors"
/* With what else lies in such folders: something damaged, another encoder and another VAE, of other widths */
void put_comfy (const gchar *model);

G_END_DECLS
