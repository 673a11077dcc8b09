/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenBLAS chooses its kernels by the processor's model, and of one that is newer than itself it knows nothing: it falls back to SSE3. */
#include "bench-openblas.h"

#include <cblas.h>
#include <unistd.h>

#define CORE_VARIABLE "OPENBLAS_CORETYPE"

#if defined(__x86_64__)

static const gchar *const avx512_cores[] = { "SkylakeX", "Cooperlake", "SapphireRapids", NULL };
static const gchar *const avx2_cores[] = { "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids", NULL };

/* The core to set, as its own choice does not use what the processor has; else NULL */
static const gchar *
find_better_core (const gchar *chosen)
{
  if (__builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("avx512bw")
      && __builtin_cpu_supports ("avx512vl"))
    return g_strv_contains (avx512_cores, chosen) ? NULL : "SkylakeX";
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    return g_strv_contains (avx2_cores, chosen) ? NULL : __builtin_cpu_is ("amd") ? "Zen" : "Haswell";
  return NULL;
}

#else

static const gchar *
find_better_core (const gchar *chosen)
{
  return NULL;
}

#endif

void
bench_openblas_choose_core (gchar **argv)
{
  const gchar *core = g_getenv (CORE_VARIABLE) ? NULL : find_better_core (openblas_get_corename ());

  if (!core)
    return;
  g_setenv (CORE_VARIABLE, core, TRUE);
  execv ("/proc/self/exe", argv);
  g_unsetenv (CORE_VARIABLE);
}

gchar *
bench_openblas_describe (void)
{
  return g_strdup_printf (g_getenv (CORE_VARIABLE) ? "OpenBLAS set to %s" : "OpenBLAS, %s", openblas_get_corename ());
}
