/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the benchmarks and prints one table, or with --json one object a line: bench [--json] [--device=SELECTOR] [NAME...] */
#include "bench.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "bench-openblas.h"
#include "runtime/peak.h"

/* To add a benchmark: its file, its function in bench.h, its row here. */
static const BenchEntry entries[] = {
  { "peak-fp32", bench_peak_fp32 },
  { "linear-large", bench_linear_large },
  { "linear-embedded", bench_linear_embedded },
  { "linear-large-bf16", bench_linear_large_bf16 },
  { "linear-embedded-bf16", bench_linear_embedded_bf16 },
  { "attention", bench_attention },
  { "attention-bf16", bench_attention_bf16 },
  { "convolution", bench_convolution },
  { "convolution-bf16", bench_convolution_bf16 },
  { "embedded-realtime", bench_embedded_realtime },
  { "block-100", bench_block_100 },
  { "first-frame", bench_first_frame },
};

typedef struct {
  gchar *name, *unit, *against;
  gdouble value, ratio;
} Row;

struct _Bench {
  SoraDevice *device;
  SoraQueue *queue;
  SoraPeak *peaks[SORA_MATRIX_UNIT_AMX_BF16 + 1];       /* fp32, and of each matrix unit */
  gboolean json;
  GPtrArray *rows;
};

SoraDevice *
bench_get_device (Bench *bench)
{
  return bench->device;
}

SoraQueue *
bench_get_queue (Bench *bench)
{
  return bench->queue;
}

gdouble
bench_now (void)
{
  return g_get_monotonic_time () * 1e-6;
}

gboolean
bench_sample_unit_peak (Bench *bench, SoraMatrixUnit unit, GError **error)
{
  /* The first time often, so that the first shares that are reported are of a true peak. */
  guint samples = bench->peaks[unit] ? 1 : 50;
  gboolean ok = TRUE;

  if (!bench->peaks[unit])
    bench->peaks[unit] = sora_peak_new (bench->device, unit, error);
  for (guint i = 0; bench->peaks[unit] && ok && i < samples; i++)
    ok = sora_peak_sample (bench->peaks[unit], error);
  return bench->peaks[unit] && ok;
}

gdouble
bench_get_unit_peak (Bench *bench, SoraMatrixUnit unit)
{
  return bench->peaks[unit] ? sora_peak_get_best (bench->peaks[unit]) : 0;
}

gboolean
bench_sample_peak (Bench *bench, GError **error)
{
  return bench_sample_unit_peak (bench, SORA_MATRIX_UNIT_NONE, error);
}

gdouble
bench_get_peak (Bench *bench)
{
  return bench_get_unit_peak (bench, SORA_MATRIX_UNIT_NONE);
}

static void
row_free (gpointer data)
{
  Row *row = data;

  g_free (row->name);
  g_free (row->unit);
  g_free (row->against);
  g_free (row);
}

static void
print_json (const Row *row)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  g_autofree gchar *text = NULL;

  json_object_set_string_member (object, "name", row->name);
  json_object_set_double_member (object, "value", row->value);
  json_object_set_string_member (object, "unit", row->unit);
  json_object_set_double_member (object, "ratio", row->ratio);
  json_object_set_string_member (object, "against", row->against);
  json_node_take_object (node, object);
  text = json_to_string (node, FALSE);
  g_print ("%s\n", text);
}

static void
print_row (const Row *row)
{
  g_print ("%6.2f  %-24s  %-34s  %10.4g %s\n", row->ratio, row->against, row->name, row->value, row->unit);
}

void
bench_report (Bench *bench, const gchar *name, gdouble value, const gchar *unit, gdouble ratio, const gchar *against)
{
  Row *row = g_new0 (Row, 1);

  *row = (Row) { g_strdup (name), g_strdup (unit), g_strdup (against), value, ratio };
  g_ptr_array_add (bench->rows, row);
  if (bench->json)
    print_json (row);
  else
    g_printerr ("%s: %.4g %s\n", name, value, unit);
}

static void
print_table (Bench *bench)
{
  g_print ("%6s  %-24s  %-34s  %10s\n", "ratio", "against", "benchmark", "value");
  for (guint i = 0; i < bench->rows->len; i++)
    print_row (g_ptr_array_index (bench->rows, i));
}

static gboolean
is_known (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (entries); i++) {
    if (g_str_equal (entries[i].name, name))
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_names (gchar **names, GError **error)
{
  for (guint i = 0; names && names[i]; i++) {
    g_autoptr (GString) known = g_string_new (NULL);

    if (is_known (names[i]))
      continue;
    for (guint j = 0; j < G_N_ELEMENTS (entries); j++)
      g_string_append_printf (known, "%s%s", j > 0 ? ", " : "", entries[j].name);
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "there is no benchmark %s; there are %s", names[i], known->str);
    return FALSE;
  }
  return TRUE;
}

static gboolean
run_all (Bench *bench, gchar **names, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (entries); i++) {
    if (names && !g_strv_contains ((const gchar *const *) names, entries[i].name))
      continue;
    if (!entries[i].run (bench, error)) {
      g_prefix_error (error, "%s: ", entries[i].name);
      return FALSE;
    }
  }
  return TRUE;
}

static void
bench_clear (Bench *bench)
{
  for (guint i = 0; i < G_N_ELEMENTS (bench->peaks); i++)
    g_clear_pointer (&bench->peaks[i], sora_peak_free);
  g_clear_pointer (&bench->queue, sora_queue_free);
  g_clear_pointer (&bench->device, sora_device_unref);
  g_clear_pointer (&bench->rows, g_ptr_array_unref);
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("[NAME...]");
  g_autoptr (GError) error = NULL;
  g_autofree gchar *selector = NULL;
  g_auto (GStrv) names = NULL;
  Bench bench = { .rows = g_ptr_array_new_with_free_func (row_free) };
  const GOptionEntry options[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &bench.json, "One JSON object a line", NULL },
    { "device", 0, 0, G_OPTION_ARG_STRING, &selector, "As for sora --device", "SELECTOR" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &names, NULL, NULL },
    { NULL }
  };
  gboolean ok;

  if (argc == 4 && g_str_equal (argv[1], BENCH_CHILD))
    return bench_child_main (argc, argv);
  bench_openblas_choose_core (argv);
  g_option_context_add_main_entries (context, options, NULL);
  ok = g_option_context_parse (context, &argc, &argv, &error) && check_names (names, &error)
      && (bench.device = sora_device_open (selector, &error)) && (bench.queue = sora_queue_new (bench.device, FALSE, &error))
      && run_all (&bench, names, &error);
  if (!bench.json)
    print_table (&bench);
  bench_clear (&bench);
  if (!ok)
    g_printerr ("bench: %s\n", error->message);
  return ok ? 0 : 1;
}
