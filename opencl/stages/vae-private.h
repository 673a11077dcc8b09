/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies behind a VAE: one of its kinds. */
#pragma once

#include "stages/taehv-private.h"
#include "stages/vae.h"
#include "stages/wan-vae-private.h"

G_BEGIN_DECLS

/* Of each all but one are NULL. */
struct _SoraVae {
  SoraTaehv *taehv;
  SoraWanVae *wan;
};

struct _SoraVaeDecoderState {
  SoraTaehvDecoderState *taehv;
  SoraWanVaeState *wan;
  SoraWanVaeTiles *tiles;       /* or this */
};

struct _SoraVaeEncoderState {
  SoraTaehvEncoderState *taehv;
  SoraWanVaeState *wan;
  SoraWanVaeEncoderTiles *tiles;        /* or this */
};

G_END_DECLS
