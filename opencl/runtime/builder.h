/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that builds programs before they are launched, while weights are read and other programs run. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

typedef struct _SoraBuilder SoraBuilder;

SoraBuilder *sora_builder_new (SoraDevice *device);
/* Waits for the program that is being built; those after it are not. */
void sora_builder_free (SoraBuilder *builder);

/* Asks for a program, once; they are built in the order that they were asked for. One that does not build is silently left to whoever
 * launches it. @name, @options: of sora_program_get(). */
void sora_builder_add (SoraBuilder *builder, const gchar *name, const gchar *options);

G_END_DECLS
