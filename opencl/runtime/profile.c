/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls, device time and work per kernel, and the table that shows them. */

#include "runtime/profile.h"

static gint
compare_cost (gconstpointer a, gconstpointer b)
{
  const SoraProfileEntry *x = *(SoraProfileEntry *const *) a, *y = *(SoraProfileEntry *const *) b;

  return x->nanoseconds < y->nanoseconds ? 1 : x->nanoseconds > y->nanoseconds ? -1 : 0;
}

static void
append_row (GString *table, const SoraProfileEntry *entry, guint64 total_ns, gdouble peak)
{
  gdouble ns = entry->nanoseconds;

  g_string_append_printf (table, "%-44s %9" G_GUINT64_FORMAT " %11.3f %6.1f%%", entry->name, entry->calls, ns * 1e-6,
      total_ns ? 100.0 * ns / total_ns : 0.0);
  if (entry->flops && entry->nanoseconds)
    g_string_append_printf (table, " %10.1f %7.1f%%", entry->flops / ns, 100 * entry->flops / ns / peak);
  g_string_append_c (table, '\n');
}

gchar *
sora_profile_format (GPtrArray *entries, gdouble peak)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_copy (entries, NULL, NULL);
  GString *table = g_string_new (NULL);
  SoraProfileEntry total = { (gchar *) "all", 0, 0, 0 };

  g_ptr_array_sort (sorted, compare_cost);
  for (guint i = 0; i < sorted->len; i++) {
    const SoraProfileEntry *entry = g_ptr_array_index (sorted, i);

    total.calls += entry->calls;
    total.nanoseconds += entry->nanoseconds;
    total.flops += entry->flops;
  }
  g_string_append_printf (table, "%-44s %9s %11s %7s %10s %8s\n", "kernel", "calls", "ms", "share",
      "GFLOP/s", "of peak");
  for (guint i = 0; i < sorted->len; i++) {
    const SoraProfileEntry *entry = g_ptr_array_index (sorted, i);

    if (entry->calls)
      append_row (table, entry, total.nanoseconds, peak);
  }
  append_row (table, &total, total.nanoseconds, peak);
  return g_string_free (table, FALSE);
}
