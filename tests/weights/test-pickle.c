/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pickles that are plain data, and a table of those that are not, or are broken: each must be refused with an error that says why. */

#include <string.h>

#include "weights/pickle.h"

#define SIZED(text) (const guint8 *) (text), sizeof (text) - 1

static SoraPickle *
parse (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  SoraPickle *pickle = sora_pickle_parse (data, size, "test", &error);

  g_assert_no_error (error);
  return pickle;
}

static void
assert_refused (const guint8 *data, gsize size, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *exact = g_memdup2 (data, size);    /* ends where the data ends */
  SoraPickle *pickle = sora_pickle_parse (exact, size, "test", &error);

  g_assert_null (pickle);
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_test_message ("%.200s", error->message);
  if (!strstr (error->message, words) || !g_str_has_prefix (error->message, "test: "))
    g_error ("expected \"%s\" in \"%s\"", words, error->message);
}

/* Item @index of the root, a list or tuple */
static const SoraPickleValue *
item (SoraPickle *pickle, guint index)
{
  const SoraPickleValue *root = sora_pickle_get_root (pickle);

  g_assert_cmpuint (index, <, root->items->len);
  return root->items->pdata[index];
}

/* Every plain value once: [None, True, False, 200, 60000, -2, -1 (1 byte), 2^40, 0, 1.5, "ab", "ü", "q", (), (1,), (1, 2)] */
static void
test_values (void)
{
  static const gint64 integers[] = { 200, 60000, -2, -1, G_GINT64_CONSTANT (1) << 40, 0 };
  g_autoptr (SoraPickle) pickle = parse (SIZED ("\x80\x02](N\x88\x89K\xc8M\x60\xeaJ\xfe\xff\xff\xff\x8a\x01\xff"
      "\x8a\x06\0\0\0\0\0\x01\x8a\0G\x3f\xf8\0\0\0\0\0\0X\x02\0\0\0ab\x8c\x02\xc3\xbc\x8d\x01\0\0\0\0\0\0\0q)K\x01\x85K\x01K\x02\x86""e."));

  g_assert_cmpint (sora_pickle_get_root (pickle)->type, ==, SORA_PICKLE_LIST);
  g_assert_cmpuint (sora_pickle_get_root (pickle)->items->len, ==, 16);
  g_assert_cmpint (item (pickle, 0)->type, ==, SORA_PICKLE_NONE);
  g_assert_cmpint (item (pickle, 1)->integer, ==, 1);
  g_assert_cmpint (item (pickle, 2)->integer, ==, 0);
  g_assert_cmpint (item (pickle, 2)->type, ==, SORA_PICKLE_BOOL);
  for (guint i = 0; i < G_N_ELEMENTS (integers); i++)
    g_assert_cmpint (item (pickle, 3 + i)->integer, ==, integers[i]);
  g_assert_cmpfloat (item (pickle, 9)->number, ==, 1.5);
  g_assert_true (sora_pickle_string_equal (&item (pickle, 10)->string, "ab"));
  g_assert_true (sora_pickle_string_equal (&item (pickle, 11)->string, "ü"));
  g_assert_true (sora_pickle_string_equal (&item (pickle, 12)->string, "q"));
  g_assert_cmpuint (item (pickle, 13)->items->len, ==, 0);
  g_assert_cmpuint (item (pickle, 15)->items->len, ==, 2);
}

/* Lists, dictionaries, marks, the memo in all three spellings, POP, POP_MARK, DUP, and protocol 4's frames */
static void
test_machine (void)
{
  g_autoptr (SoraPickle) pickle = parse (SIZED ("\x80\x04\x95\x10\0\0\0\0\0\0\0](K\x01\x94q\x05r\x09\0\0\0K\x02""0h\x05j\x09\0\0\0h\0"
      "2(K\x07K\x08""1" "(K\x03K\x04l" "(K\x05K\x06""d" "}K\x09K\x0as" "]K\x0b""a" "(K\x0ct" "e."));

  for (guint i = 0; i < 5; i++)
    g_assert_true (item (pickle, i) == item (pickle, 0));       /* 1, got four times, once by DUP */
  g_assert_cmpint (item (pickle, 5)->type, ==, SORA_PICKLE_LIST);
  g_assert_cmpuint (item (pickle, 5)->items->len, ==, 2);
  g_assert_cmpint (item (pickle, 6)->type, ==, SORA_PICKLE_DICT);
  g_assert_cmpint (item (pickle, 7)->type, ==, SORA_PICKLE_DICT);
  g_assert_cmpint (item (pickle, 8)->type, ==, SORA_PICKLE_LIST);
  g_assert_cmpint (item (pickle, 9)->type, ==, SORA_PICKLE_TUPLE);
  g_assert_cmpuint (sora_pickle_get_root (pickle)->items->len, ==, 10);
}

#define STORAGE "(X\x07\0\0\0storagectorch\nHalfStorage\nX\x01\0\0\0" "7X\x03\0\0\0cpuK\x06tQ"

/* A parameter around a tensor, in an OrderedDict with attributes */
static void
test_tensor (void)
{
  g_autoptr (SoraPickle) pickle = parse (SIZED ("\x80\x02" "ccollections\nOrderedDict\n)RX\x01\0\0\0w"
      "ctorch._utils\n_rebuild_parameter\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\x02K\x02K\x03\x86K\x03K\x01\x86\x89}tR"
      "\x88}\x87Rs}X\x09\0\0\0_metadata}sb."));
  const SoraPickleValue *root = sora_pickle_get_root (pickle), *tensor;

  g_assert_cmpint (root->type, ==, SORA_PICKLE_DICT);
  g_assert_cmpuint (root->items->len, ==, 2);
  tensor = root->items->pdata[1];
  g_assert_cmpint (tensor->type, ==, SORA_PICKLE_TENSOR);
  g_assert_cmpint (tensor->tensor.offset, ==, 2);
  g_assert_cmpuint (tensor->tensor.shape->len, ==, 2);
  g_assert_cmpstr (tensor->tensor.storage->type, ==, "F16");
  g_assert_cmpint (tensor->tensor.storage->n_elements, ==, 6);
  g_assert_true (sora_pickle_string_equal (&tensor->tensor.storage->key, "7"));
}

/* STACK_GLOBAL does what GLOBAL does */
static void
test_stack_global (void)
{
  g_autoptr (SoraPickle) pickle = parse (SIZED ("\x80\x04\x8c\x0b" "collections\x8c\x0b" "OrderedDict\x93)R."));

  g_assert_cmpint (sora_pickle_get_root (pickle)->type, ==, SORA_PICKLE_DICT);
}

/* A list and a dictionary that contain themselves are only data. */
static void
test_circle (void)
{
  g_autoptr (SoraPickle) list = parse (SIZED ("\x80\x02]q\0h\0a."));
  g_autoptr (SoraPickle) dict = parse (SIZED ("\x80\x02}q\0X\x01\0\0\0ah\0s."));

  g_assert_true (item (list, 0) == sora_pickle_get_root (list));
  g_assert_true (item (dict, 1) == sora_pickle_get_root (dict));
}

typedef struct {
  const gchar *name;
  const guint8 *data;
  gsize size;
  const gchar *words;
} BadPickle;

static const BadPickle bad_pickles[] = {
  { "empty", SIZED (""), "protocol" },
  { "text", SIZED ("(lp0\n."), "protocol" },
  { "protocol-1", SIZED ("\x80\x01N."), "protocol 1" },
  { "protocol-6", SIZED ("\x80\x06N."), "protocol 6" },
  { "no-stop", SIZED ("\x80\x02N"), "truncated" },
  { "too-many", SIZED ("\x80\x02NN."), "1 values too many" },
  { "nothing", SIZED ("\x80\x02."), "no value" },
  { "stop-at-mark", SIZED ("\x80\x02(."), "no value" },
  { "system", SIZED ("\x80\x02" "cposix\nsystem\nX\x02\0\0\0id\x85R."), "posix.system" },
  { "eval", SIZED ("\x80\x04\x8c\x08" "builtins\x8c\x04" "eval\x93\x8c\x01" "1\x85R."), "builtins.eval" },
  { "unreadable-global", SIZED ("\x80\x02" "c\xff\n\xfe\n."), "which weights do not need" },
  { "getattr", SIZED ("\x80\x02" "ctorch._utils\n_rebuild_tensor\n."), "torch._utils._rebuild_tensor," },
  { "global-cut", SIZED ("\x80\x02" "ccollections\nOrd"), "truncated" },
  { "global-number", SIZED ("\x80\x04K\x01K\x02\x93."), "not a string" },
  { "reduce-arguments", SIZED ("\x80\x02" "ccollections\nOrderedDict\n]\x85R."), "collections.OrderedDict with" },
  { "reduce-storage", SIZED ("\x80\x02" "ctorch\nFloatStorage\n)R."), "torch.FloatStorage with" },
  { "reduce-nothing", SIZED ("\x80\x02)R."), "no function" },
  { "reduce-value", SIZED ("\x80\x02K\x01)R."), "no function" },
  { "reduce-list", SIZED ("\x80\x02" "ccollections\nOrderedDict\n]R."), "no tuple" },
  { "newobj", SIZED ("\x80\x02" "ccollections\nOrderedDict\n)\x81."), "opcode 0x81" },
  { "inst", SIZED ("\x80\x02(iposix\nsystem\n."), "opcode 0x69" },
  { "obj", SIZED ("\x80\x02(ccollections\nOrderedDict\no."), "opcode 0x6f" },
  { "extension", SIZED ("\x80\x02\x82\x01."), "opcode 0x82" },
  { "bytes", SIZED ("\x80\x03" "C\x01" "a."), "opcode 0x43" },
  { "set", SIZED ("\x80\x04\x8f."), "opcode 0x8f" },
  { "buffer", SIZED ("\x80\x05\x97."), "opcode 0x97" },
  { "build-list", SIZED ("\x80\x02]}b."), "no dictionary" },
  { "build-state", SIZED ("\x80\x02}]b."), "no dictionary" },
  { "persistent-string", SIZED ("\x80\x02X\x01\0\0\0aQ."), "no tuple" },
  { "persistent-other", SIZED ("\x80\x02(X\x06\0\0\0module" "ctorch\nFloatStorage\nX\x01\0\0\0" "0X\x03\0\0\0cpuK\x06tQ."), "no storage" },
  { "persistent-short", SIZED ("\x80\x02X\x07\0\0\0storage\x85Q."), "no storage" },
  { "persistent-class", SIZED ("\x80\x02(X\x07\0\0\0storage" "ccollections\nOrderedDict\nX\x01\0\0\0" "0X\x03\0\0\0cpuK\x06tQ."),
    "no storage" },
  { "tensor-empty", SIZED ("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n)R."), "arguments" },
  { "tensor-rank", SIZED ("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0K\x02\x85)\x89}tR."), "arguments" },
  { "tensor-shape", SIZED ("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0N\x85K\x01\x85\x89}tR."), "arguments" },
  { "parameter", SIZED ("\x80\x02" "ctorch._utils\n_rebuild_parameter\nN\x88}\x87R."), "without a tensor" },
  { "memo-missing", SIZED ("\x80\x02h\0."), "memo number 0" },
  { "memo-hole", SIZED ("\x80\x02Nq\x05h\x04."), "memo number 4" },
  { "memo-far", SIZED ("\x80\x02Nr\xff\xff\xff\xff."), "4294967295" },
  { "memo-mark", SIZED ("\x80\x02(q\0."), "no value" },
  { "memo-nothing", SIZED ("\x80\x02q\0."), "no value" },
  { "pop-nothing", SIZED ("\x80\x02" "0."), "empty stack" },
  { "pop-mark-nothing", SIZED ("\x80\x02N1."), "no mark" },
  { "dup-nothing", SIZED ("\x80\x02" "2."), "no value" },
  { "tuple-nothing", SIZED ("\x80\x02t."), "no mark" },
  { "tuple-2-of-1", SIZED ("\x80\x02K\x01\x86."), "no value" },
  { "tuple-over-mark", SIZED ("\x80\x02K\x01(K\x01\x86."), "no value" },
  { "append-nothing", SIZED ("\x80\x02Na."), "no list" },
  { "append-dict", SIZED ("\x80\x02}Na."), "no list" },
  { "appends-dict", SIZED ("\x80\x02}(Ne."), "no list" },
  { "setitems-odd", SIZED ("\x80\x02}(NNNu."), "without a value" },
  { "dict-odd", SIZED ("\x80\x02(Nd."), "without a value" },
  { "setitems-mark", SIZED ("\x80\x02((NNu."), "no dictionary" },
  { "string-long", SIZED ("\x80\x02X\xff\xff\xff\xff" "a."), "truncated" },
  { "string-longer", SIZED ("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a."), "truncated" },
  { "string-bytes", SIZED ("\x80\x02X\x01\0\0\0\xff."), "not UTF-8" },
  { "string-zero", SIZED ("\x80\x02X\x01\0\0\0\0."), "not UTF-8" },
  { "long-long", SIZED ("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01."), "64 bits" },
  { "long4-long", SIZED ("\x80\x02\x8b\xff\xff\xff\xff."), "64 bits" },
  { "long-cut", SIZED ("\x80\x02\x8a\x08\0"), "truncated" },
  { "float-cut", SIZED ("\x80\x02G\0\0"), "truncated" },
  { "int-cut", SIZED ("\x80\x02J\0\0"), "truncated" },
};

static void
test_bad (gconstpointer data)
{
  const BadPickle *bad = data;
  assert_refused (bad->data, bad->size, bad->words);
}

/* @n times @byte after the protocol, then @end */
static GByteArray *
repeat (gchar byte, guint n, const gchar *end)
{
  GByteArray *bytes = g_byte_array_new ();

  g_byte_array_append (bytes, (const guint8 *) "\x80\x02", 2);
  g_byte_array_set_size (bytes, 2 + n);
  memset (bytes->data + 2, byte, n);
  g_byte_array_append (bytes, (const guint8 *) end, strlen (end));
  return bytes;
}

/* Floods of values, marks and copies, and lists a hundred thousand deep, end soon: in an error or not. */
static void
test_floods (void)
{
  g_autoptr (GByteArray) values = repeat (']', 2 * SORA_PICKLE_MAX_VALUES, ".");
  g_autoptr (GByteArray) marks = repeat ('(', 2 * SORA_PICKLE_MAX_VALUES, ".");
  g_autoptr (GByteArray) copies = repeat ('2', 1 << 20, ".");
  g_autoptr (GByteArray) deep = repeat (']', 100000, "");
  g_autoptr (GByteArray) ends = repeat ('a', 99999, ".");
  g_autoptr (SoraPickle) pickle = NULL;

  assert_refused (values->data, values->len, "are no table of weights");
  assert_refused (marks->data, marks->len, "are no table of weights");
  assert_refused (copies->data, copies->len, "no value");
  copies->data[2] = 'N';
  assert_refused (copies->data, copies->len, "values too many");
  g_byte_array_append (deep, ends->data + 2, ends->len - 2);
  pickle = parse (deep->data, deep->len);
  g_assert_cmpuint (sora_pickle_get_root (pickle)->items->len, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pickle/values", test_values);
  g_test_add_func ("/pickle/machine", test_machine);
  g_test_add_func ("/pickle/tensor", test_tensor);
  g_test_add_func ("/pickle/stack-global", test_stack_global);
  g_test_add_func ("/pickle/circle", test_circle);
  g_test_add_func ("/pickle/floods", test_floods);
  for (guint i = 0; i < G_N_ELEMENTS (bad_pickles); i++) {
    g_autofree gchar *name = g_strconcat ("/pickle/bad/", bad_pickles[i].name, NULL);
    g_test_add_data_func (name, &bad_pickles[i], test_bad);
  }
  return g_test_run ();
}
