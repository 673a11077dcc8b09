/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sees to it that OpenBLAS runs the best kernels of its own that the processor has instructions for. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Call it first of all: where OpenBLAS does not know the processor and fell back, and OPENBLAS_CORETYPE is not set, this sets it and starts the
 * program again with @argv, as OpenBLAS reads it when it is loaded. Returns otherwise. */
void bench_openblas_choose_core (gchar **argv);
/* (transfer full): "OpenBLAS, Haswell", and if the core is not its own choice "OpenBLAS set to Haswell" */
gchar *bench_openblas_describe (void);

G_END_DECLS
