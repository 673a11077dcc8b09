/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stack machine that reads a pickle as data. Opcodes: Python's pickletools; what torch.save() writes with them:
 * torch._utils and torch.serialization. */

#include "weights/pickle.h"

#include <string.h>

struct _SoraPickle {
  GPtrArray *values;            /* all that were made, so that references need no counting and may form circles */
  const SoraPickleValue *root;
};

/* The first error sticks, and stops the machine. */
typedef struct {
  const guint8 *data;
  gsize size, at;
  const gchar *file;
  guint8 opcode;
  gsize opcode_at;
  GPtrArray *values, *stack;
  GPtrArray *memo;              /* NULL where nothing was put */
  guint n_memo;
  SoraPickleValue *result;      /* set by STOP */
  GError *error;
} Machine;

typedef enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGE_CLASS } GlobalKind;

typedef struct {
  const gchar *module, *name;
  GlobalKind kind;
  const gchar *storage_type;
} Global;

static const Global globals[] = {
  { "collections", "OrderedDict", ORDERED_DICT },
  { "torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR },
  { "torch._utils", "_rebuild_parameter", REBUILD_PARAMETER },
  { "torch", "FloatStorage", STORAGE_CLASS, "F32" },
  { "torch", "HalfStorage", STORAGE_CLASS, "F16" },
  { "torch", "BFloat16Storage", STORAGE_CLASS, "BF16" },
  { "torch", "DoubleStorage", STORAGE_CLASS, "F64" },
  { "torch", "LongStorage", STORAGE_CLASS, "I64" },
  { "torch", "IntStorage", STORAGE_CLASS, "I32" },
  { "torch", "ShortStorage", STORAGE_CLASS, "I16" },
  { "torch", "CharStorage", STORAGE_CLASS, "I8" },
  { "torch", "ByteStorage", STORAGE_CLASS, "U8" },
  { "torch", "BoolStorage", STORAGE_CLASS, "BOOL" },
};

static void
value_free (SoraPickleValue *value)
{
  if (value->type == SORA_PICKLE_TUPLE || value->type == SORA_PICKLE_LIST || value->type == SORA_PICKLE_DICT)
    g_ptr_array_unref (value->items);
  g_free (value);
}

static void G_GNUC_PRINTF (2, 3)
fail (Machine *m, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  if (m->error)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  m->error = g_error_new (SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: pickle, byte %" G_GSIZE_FORMAT ": %s", m->file,
      m->opcode_at, text);
}

/* The next @n bytes; NULL if there are fewer. */
static const guint8 *
take (Machine *m, guint64 n)
{
  const guint8 *bytes = m->data + m->at;

  if (n > m->size - m->at) {
    fail (m, "it is truncated");
    return NULL;
  }
  m->at += n;
  return bytes;
}

/* A little-endian unsigned integer of @width bytes; 0 after an error */
static guint64
take_uint (Machine *m, guint width)
{
  const guint8 *bytes = take (m, width);
  guint64 value = 0;

  for (guint i = 0; bytes && i < width; i++)
    value |= (guint64) bytes[i] << (8 * i);
  return value;
}

static SoraPickleValue *
value_new (Machine *m, SoraPickleType type)
{
  SoraPickleValue *value = g_new0 (SoraPickleValue, 1);

  value->type = type;
  if (type == SORA_PICKLE_TUPLE || type == SORA_PICKLE_LIST || type == SORA_PICKLE_DICT)
    value->items = g_ptr_array_new ();
  g_ptr_array_add (m->values, value);
  if (m->values->len > SORA_PICKLE_MAX_VALUES)
    fail (m, "more than %d values are no table of weights", SORA_PICKLE_MAX_VALUES);
  return value;
}

static SoraPickleValue *
push_new (Machine *m, SoraPickleType type)
{
  SoraPickleValue *value = value_new (m, type);

  g_ptr_array_add (m->stack, value);
  return value;
}

/* The topmost value if it is of @type, which @what names; else NULL */
static SoraPickleValue *
peek (Machine *m, SoraPickleType type, const gchar *what)
{
  SoraPickleValue *value = m->stack->len > 0 ? m->stack->pdata[m->stack->len - 1] : NULL;

  if (value && value->type == type)
    return value;
  fail (m, "opcode 0x%02x finds no %s on the stack", m->opcode, what);
  return NULL;
}

/* The topmost value, which is no mark; else NULL */
static SoraPickleValue *
pop (Machine *m)
{
  SoraPickleValue *value = m->stack->len > 0 ? m->stack->pdata[m->stack->len - 1] : NULL;

  if (!value || value->type == SORA_PICKLE_MARK) {
    fail (m, "opcode 0x%02x finds no value on the stack", m->opcode);
    return NULL;
  }
  g_ptr_array_set_size (m->stack, m->stack->len - 1);
  return value;
}

/* Index of the topmost mark; FALSE if there is none */
static gboolean
find_mark (Machine *m, guint *index)
{
  for (*index = m->stack->len; *index > 0; --*index) {
    const SoraPickleValue *value = m->stack->pdata[*index - 1];
    if (value->type == SORA_PICKLE_MARK) {
      --*index;
      return TRUE;
    }
  }
  fail (m, "opcode 0x%02x finds no mark on the stack", m->opcode);
  return FALSE;
}

/* Moves what lies above stack index @first to the end of @items. */
static void
move_items (Machine *m, guint first, GPtrArray *items)
{
  for (guint i = first; i < m->stack->len; i++)
    g_ptr_array_add (items, m->stack->pdata[i]);
  g_ptr_array_set_size (m->stack, first);
}

/* The end of a mark's items: they go to @items, and the mark goes. */
static void
move_marked (Machine *m, guint mark, GPtrArray *items)
{
  move_items (m, mark + 1, items);
  g_ptr_array_set_size (m->stack, mark);
}

static void
run_protocol (Machine *m)
{
  guint64 version = take_uint (m, 1);

  if (version < 2 || version > 5)
    fail (m, "protocol %u, expected 2 to 5", (guint) version);
}

static void
run_frame (Machine *m)
{
  take_uint (m, 8);
}

static void
run_constant (Machine *m)
{
  if (m->opcode == 'N')
    push_new (m, SORA_PICKLE_NONE);
  else
    push_new (m, SORA_PICKLE_BOOL)->integer = m->opcode == 0x88;
}

/* BININT, BININT1, BININT2 */
static void
run_int (Machine *m)
{
  guint width = m->opcode == 'J' ? 4 : m->opcode == 'M' ? 2 : 1;
  guint64 value = take_uint (m, width);

  push_new (m, SORA_PICKLE_INT)->integer = width == 4 ? (gint64) (gint32) value : (gint64) value;
}

/* LONG1, LONG4: a length, then two's complement */
static void
run_long (Machine *m)
{
  guint64 width = take_uint (m, m->opcode == 0x8a ? 1 : 4), value;

  if (width > 8) {
    fail (m, "an integer of more than 64 bits");
    return;
  }
  value = take_uint (m, width);
  if (width > 0 && width < 8 && value >> (8 * width - 1))
    value |= G_MAXUINT64 << (8 * width);
  push_new (m, SORA_PICKLE_INT)->integer = (gint64) value;
}

static void
run_float (Machine *m)
{
  const guint8 *bytes = take (m, 8);
  guint64 bits;

  if (!bytes)
    return;
  memcpy (&bits, bytes, sizeof (bits));
  bits = GUINT64_FROM_BE (bits);
  memcpy (&push_new (m, SORA_PICKLE_FLOAT)->number, &bits, sizeof (bits));
}

/* SHORT_BINUNICODE, BINUNICODE, BINUNICODE8 */
static void
run_string (Machine *m)
{
  guint64 length = take_uint (m, m->opcode == 0x8c ? 1 : m->opcode == 'X' ? 4 : 8);
  const gchar *text = (const gchar *) take (m, length);

  if (text && !g_utf8_validate_len (text, length, NULL))
    fail (m, "a string that is not UTF-8");
  else if (text)
    push_new (m, SORA_PICKLE_STRING)->string = (SoraPickleString) { text, length };
}

static void
run_empty (Machine *m)
{
  push_new (m, m->opcode == '}' ? SORA_PICKLE_DICT : m->opcode == ']' ? SORA_PICKLE_LIST : SORA_PICKLE_TUPLE);
}

static void
run_mark (Machine *m)
{
  push_new (m, SORA_PICKLE_MARK);
}

/* TUPLE, LIST, DICT: of all items above the mark */
static void
run_marked (Machine *m)
{
  guint mark;
  SoraPickleValue *value;

  if (!find_mark (m, &mark))
    return;
  value = value_new (m, m->opcode == 't' ? SORA_PICKLE_TUPLE : m->opcode == 'l' ? SORA_PICKLE_LIST : SORA_PICKLE_DICT);
  move_marked (m, mark, value->items);
  if (value->type == SORA_PICKLE_DICT && value->items->len % 2 != 0)
    fail (m, "a dictionary's key without a value");
  g_ptr_array_add (m->stack, value);
}

/* TUPLE1 ... TUPLE3 */
static void
run_short_tuple (Machine *m)
{
  guint n = m->opcode - 0x84;
  SoraPickleValue *items[3], *tuple;

  for (guint i = n; i > 0; i--) {
    items[i - 1] = pop (m);
    if (!items[i - 1])
      return;
  }
  tuple = push_new (m, SORA_PICKLE_TUPLE);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (tuple->items, items[i]);
}

/* APPEND */
static void
run_append (Machine *m)
{
  SoraPickleValue *item = pop (m), *list = item ? peek (m, SORA_PICKLE_LIST, "list") : NULL;

  if (list)
    g_ptr_array_add (list->items, item);
}

/* SETITEM */
static void
run_set_item (Machine *m)
{
  SoraPickleValue *value = pop (m), *key = value ? pop (m) : NULL, *dict = key ? peek (m, SORA_PICKLE_DICT, "dictionary") : NULL;

  if (!dict)
    return;
  g_ptr_array_add (dict->items, key);
  g_ptr_array_add (dict->items, value);
}

/* APPENDS, SETITEMS: all items above the mark go into what lies below it */
static void
run_extend (Machine *m)
{
  gboolean is_dict = m->opcode == 'u';
  g_autoptr (GPtrArray) items = g_ptr_array_new ();
  SoraPickleValue *target;
  guint mark;

  if (!find_mark (m, &mark))
    return;
  move_marked (m, mark, items);
  target = peek (m, is_dict ? SORA_PICKLE_DICT : SORA_PICKLE_LIST, is_dict ? "dictionary" : "list");
  if (is_dict && items->len % 2 != 0)
    fail (m, "a dictionary's key without a value");
  if (target && !m->error)
    g_ptr_array_extend (target->items, items, NULL, NULL);
}

/* POP: a value, or a mark; POP_MARK: down to the mark, which goes too */
static void
run_pop (Machine *m)
{
  guint mark;

  if (m->opcode == '1' && find_mark (m, &mark))
    g_ptr_array_set_size (m->stack, mark);
  else if (m->opcode == '0' && m->stack->len > 0)
    g_ptr_array_set_size (m->stack, m->stack->len - 1);
  else
    fail (m, "opcode 0x%02x finds an empty stack", m->opcode);
}

static void
run_dup (Machine *m)
{
  SoraPickleValue *value = pop (m);

  if (!value)
    return;
  g_ptr_array_add (m->stack, value);
  g_ptr_array_add (m->stack, value);
}

static void
memo_put (Machine *m, guint64 index)
{
  SoraPickleValue *value = pop (m);

  if (!value)
    return;
  g_ptr_array_add (m->stack, value);
  if (index >= SORA_PICKLE_MAX_VALUES) {
    fail (m, "memo number %" G_GUINT64_FORMAT " is too large", index);
    return;
  }
  if (index >= m->memo->len)
    g_ptr_array_set_size (m->memo, index + 1);
  m->n_memo += m->memo->pdata[index] == NULL;
  m->memo->pdata[index] = value;
}

/* BINPUT, LONG_BINPUT, MEMOIZE */
static void
run_put (Machine *m)
{
  guint64 index = m->opcode == 0x94 ? m->n_memo : take_uint (m, m->opcode == 'q' ? 1 : 4);

  if (!m->error)
    memo_put (m, index);
}

/* BINGET, LONG_BINGET */
static void
run_get (Machine *m)
{
  guint64 index = take_uint (m, m->opcode == 'h' ? 1 : 4);

  if (m->error)
    return;
  if (index < m->memo->len && m->memo->pdata[index])
    g_ptr_array_add (m->stack, m->memo->pdata[index]);
  else
    fail (m, "memo number %" G_GUINT64_FORMAT " holds nothing", index);
}

gboolean
sora_pickle_string_equal (const SoraPickleString *string, const gchar *text)
{
  return string->length == strlen (text) && memcmp (string->text, text, string->length) == 0;
}

/* Bytes of a name that are safe to show, (transfer full) */
static gchar *
show (const SoraPickleString *string)
{
  g_autofree gchar *text = g_strndup (string->text, MIN (string->length, 80));
  return g_utf8_make_valid (text, -1);
}

static void
push_global (Machine *m, const SoraPickleString *module, const SoraPickleString *name)
{
  g_autofree gchar *shown_module = NULL, *shown_name = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (globals); i++) {
    if (sora_pickle_string_equal (module, globals[i].module) && sora_pickle_string_equal (name, globals[i].name)) {
      push_new (m, SORA_PICKLE_GLOBAL)->global = &globals[i];
      return;
    }
  }
  shown_module = show (module);
  shown_name = show (name);
  fail (m, "it asks for %s.%s, which weights do not need. Only tensors are read: re-save the file as safetensors, or its state_dict () "
      "alone", shown_module, shown_name);
}

/* A line, without its end */
static gboolean
take_line (Machine *m, SoraPickleString *line)
{
  const guint8 *begin = m->data + m->at, *end = memchr (begin, '\n', m->size - m->at);

  if (!end) {
    fail (m, "it is truncated");
    return FALSE;
  }
  *line = (SoraPickleString) { (const gchar *) begin, end - begin };
  m->at += end - begin + 1;
  return TRUE;
}

static void
run_global (Machine *m)
{
  SoraPickleString module, name;

  if (take_line (m, &module) && take_line (m, &name))
    push_global (m, &module, &name);
}

static void
run_stack_global (Machine *m)
{
  SoraPickleValue *name = pop (m), *module = name ? pop (m) : NULL;

  if (!module)
    return;
  if (name->type == SORA_PICKLE_STRING && module->type == SORA_PICKLE_STRING)
    push_global (m, &module->string, &name->string);
  else
    fail (m, "a function's name is not a string");
}

/* Item @index of @tuple if it is of @type, else NULL */
static SoraPickleValue *
get_item (const SoraPickleValue *tuple, guint index, SoraPickleType type)
{
  SoraPickleValue *item = index < tuple->items->len ? tuple->items->pdata[index] : NULL;
  return item && item->type == type ? item : NULL;
}

/* BINPERSID: ("storage", class, key, device, elements) */
static void
run_persistent_id (Machine *m)
{
  SoraPickleValue *id = peek (m, SORA_PICKLE_TUPLE, "tuple"), *kind, *class, *key, *n_elements, *storage;
  const Global *global;

  if (!id)
    return;
  kind = get_item (id, 0, SORA_PICKLE_STRING);
  class = get_item (id, 1, SORA_PICKLE_GLOBAL);
  key = get_item (id, 2, SORA_PICKLE_STRING);
  n_elements = get_item (id, 4, SORA_PICKLE_INT);
  global = class ? class->global : NULL;
  if (!kind || !key || !n_elements || !global || global->kind != STORAGE_CLASS || !sora_pickle_string_equal (&kind->string, "storage")) {
    fail (m, "a persistent id that is no storage");
    return;
  }
  pop (m);
  storage = push_new (m, SORA_PICKLE_STORAGE);
  storage->storage = (SoraPickleStorage) { global->storage_type, key->string, n_elements->integer };
}

static gboolean
all_integers (const SoraPickleValue *tuple)
{
  for (guint i = 0; i < tuple->items->len; i++) {
    const SoraPickleValue *item = tuple->items->pdata[i];
    if (item->type != SORA_PICKLE_INT)
      return FALSE;
  }
  return TRUE;
}

/* (storage, offset, shape, stride, requires_grad, hooks, ...) */
static void
rebuild_tensor (Machine *m, const SoraPickleValue *args)
{
  SoraPickleValue *storage = get_item (args, 0, SORA_PICKLE_STORAGE), *offset = get_item (args, 1, SORA_PICKLE_INT);
  SoraPickleValue *shape = get_item (args, 2, SORA_PICKLE_TUPLE), *stride = get_item (args, 3, SORA_PICKLE_TUPLE);

  if (!storage || !offset || !shape || !stride || !all_integers (shape) || !all_integers (stride)
      || shape->items->len != stride->items->len)
    fail (m, "a tensor's arguments are not a storage, an offset, a shape and strides");
  else
    push_new (m, SORA_PICKLE_TENSOR)->tensor =
        (SoraPickleTensor) { &storage->storage, offset->integer, shape->items, stride->items };
}

static void
rebuild_parameter (Machine *m, const SoraPickleValue *args)
{
  SoraPickleValue *tensor = get_item (args, 0, SORA_PICKLE_TENSOR);

  if (tensor)
    g_ptr_array_add (m->stack, tensor);
  else
    fail (m, "a parameter without a tensor");
}

static void
run_reduce (Machine *m)
{
  SoraPickleValue *args = peek (m, SORA_PICKLE_TUPLE, "tuple"), *callable;
  const Global *global;

  if (!args)
    return;
  pop (m);
  callable = peek (m, SORA_PICKLE_GLOBAL, "function");
  if (!callable)
    return;
  pop (m);
  global = callable->global;
  if (global->kind == REBUILD_TENSOR)
    rebuild_tensor (m, args);
  else if (global->kind == REBUILD_PARAMETER)
    rebuild_parameter (m, args);
  else if (global->kind == ORDERED_DICT && args->items->len == 0)
    push_new (m, SORA_PICKLE_DICT);
  else
    fail (m, "it calls %s.%s with what weights do not need", global->module, global->name);
}

/* Attributes, which torch.save() gives the dictionary of a state (its _metadata), are dropped. */
static void
run_build (Machine *m)
{
  SoraPickleValue *state = peek (m, SORA_PICKLE_DICT, "dictionary");

  if (!state)
    return;
  pop (m);
  peek (m, SORA_PICKLE_DICT, "dictionary");
}

static void
run_stop (Machine *m)
{
  m->result = pop (m);
  if (m->result && m->stack->len > 0)
    fail (m, "it ends with %u values too many", m->stack->len);
}

static const struct {
  guint8 opcode;
  void (*run) (Machine *m);
} opcodes[] = {
  { 0x80, run_protocol }, { 0x95, run_frame }, { '.', run_stop },
  { 'N', run_constant }, { 0x88, run_constant }, { 0x89, run_constant },
  { 'J', run_int }, { 'K', run_int }, { 'M', run_int }, { 0x8a, run_long }, { 0x8b, run_long }, { 'G', run_float },
  { 0x8c, run_string }, { 'X', run_string }, { 0x8d, run_string },
  { ')', run_empty }, { ']', run_empty }, { '}', run_empty },
  { '(', run_mark }, { 't', run_marked }, { 'l', run_marked }, { 'd', run_marked },
  { 0x85, run_short_tuple }, { 0x86, run_short_tuple }, { 0x87, run_short_tuple },
  { 'a', run_append }, { 's', run_set_item }, { 'e', run_extend }, { 'u', run_extend },
  { '0', run_pop }, { '1', run_pop }, { '2', run_dup },
  { 'q', run_put }, { 'r', run_put }, { 0x94, run_put }, { 'h', run_get }, { 'j', run_get },
  { 'c', run_global }, { 0x93, run_stack_global }, { 'Q', run_persistent_id }, { 'R', run_reduce }, { 'b', run_build },
};

static void
step (Machine *m)
{
  const guint8 *opcode;

  m->opcode_at = m->at;
  opcode = take (m, 1);
  if (!opcode)
    return;
  m->opcode = *opcode;
  for (guint i = 0; i < G_N_ELEMENTS (opcodes); i++) {
    if (opcodes[i].opcode == m->opcode) {
      opcodes[i].run (m);
      return;
    }
  }
  fail (m, "opcode 0x%02x, which weights do not need", m->opcode);
}

SoraPickle *
sora_pickle_parse (const guint8 *data, gsize size, const gchar *file, GError **error)
{
  Machine m = { .data = data, .size = size, .file = file };
  SoraPickle *pickle;

  if (size < 2 || data[0] != 0x80)
    fail (&m, "it does not begin with a protocol");
  m.values = g_ptr_array_new_with_free_func ((GDestroyNotify) value_free);
  m.stack = g_ptr_array_new ();
  m.memo = g_ptr_array_new ();
  while (!m.error && !m.result)
    step (&m);
  g_ptr_array_unref (m.stack);
  g_ptr_array_unref (m.memo);
  if (m.error) {
    g_ptr_array_unref (m.values);
    g_propagate_error (error, m.error);
    return NULL;
  }
  pickle = g_new (SoraPickle, 1);
  pickle->values = m.values;
  pickle->root = m.result;
  return pickle;
}

const SoraPickleValue *
sora_pickle_get_root (SoraPickle *pickle)
{
  return pickle->root;
}

void
sora_pickle_free (SoraPickle *pickle)
{
  if (!pickle)
    return;
  g_ptr_array_unref (pickle->values);
  g_free (pickle);
}
