/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cleans prompts: white space, and for Wan character references, curly quotes, ligatures, full-width forms and control characters. */

#include "stages/prompt.h"

#include <gumbo.h>
#include <string.h>

/* A line is cleaned until that changes nothing, as each round may undo one more level of escapes; so many levels are never meant. */
#define MAX_ROUNDS 8

/* White space */

/* What Python's re calls \s: GLib's spaces and a few control characters */
static gboolean
is_space (gunichar c)
{
  return g_unichar_isspace (c) || c == 0x0b || (c >= 0x1c && c <= 0x1f) || c == 0x85;
}

gchar *
sora_prompt_collapse_spaces (const gchar *prompt)
{
  GString *text = g_string_new (NULL);
  gboolean pending = FALSE;

  for (const gchar *p = prompt; *p; p = g_utf8_next_char (p)) {
    if (is_space (g_utf8_get_char (p))) {
      pending = text->len > 0;
      continue;
    }
    if (pending)
      g_string_append_c (text, ' ');
    pending = FALSE;
    g_string_append_len (text, p, g_utf8_next_char (p) - p);
  }
  return g_string_free (text, FALSE);
}

/* Character references of HTML */

/* The text of a document that has no tags, appended */
static void
append_text (GString *text, const GumboNode *node)
{
  if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE)
    g_string_append (text, node->v.text.text);
  for (guint i = 0; node->type == GUMBO_NODE_ELEMENT && i < node->v.element.children.length; i++)
    append_text (text, node->v.element.children.data[i]);
}

/* Characters that a reference may give and Python's unescape() leaves out */
static gboolean
is_invalid (gunichar c)
{
  return (c < 0x20 && !strchr ("\t\n\f\r", c)) || (c >= 0x7f && c <= 0x9f) || (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}

static gchar *
without_invalid (const gchar *text)
{
  GString *result = g_string_new (NULL);

  for (const gchar *p = text; *p; p = g_utf8_next_char (p)) {
    if (!is_invalid (g_utf8_get_char (p)))
      g_string_append_len (result, p, g_utf8_next_char (p) - p);
  }
  return g_string_free (result, FALSE);
}

/* (transfer full): @html without numbers that are too long for the parser's integers, which made of them what is not UTF-8; one beyond the last
 * character, U+10FFFF, means the same */
static gchar *
without_long_numbers (const gchar *html)
{
  g_autoptr (GRegex) regex = g_regex_new ("&#(?:x0*[1-9a-f][0-9a-f]{6,}|0*[1-9][0-9]{7,})", G_REGEX_CASELESS, 0, NULL);

  return g_regex_replace_literal (regex, html, -1, 0, "&#x110000", 0, NULL);
}

/* (transfer full): @text with its references replaced, those without a semicolon too, by an HTML parser to which no "<" is a tag; white
 * space at the start is lost */
static gchar *
unescape (const gchar *text)
{
  g_autoptr (GString) result = g_string_new (NULL);
  g_auto (GStrv) pieces = NULL;
  g_autofree gchar *joined = NULL, *html = NULL;
  GumboOutput *document;

  if (!strchr (text, '&'))
    return g_strdup (text);
  pieces = g_strsplit (text, "<", -1);
  joined = g_strjoinv ("&lt;", pieces);
  html = without_long_numbers (joined);
  document = gumbo_parse_with_options (&kGumboDefaultOptions, html, strlen (html));
  append_text (result, document->root);
  gumbo_destroy_output (&kGumboDefaultOptions, document);
  return without_invalid (result->str);
}

/* (transfer full): what the reference @entity, "&...;", stands for; NULL if not all of it is one. Names in capitals count as well if
 * they are nothing else. */
static gchar *
decode_entity (const gchar *entity, gboolean may_be_capitals)
{
  g_autofree gchar *text = unescape (entity), *lower = g_ascii_strdown (entity, -1), *capitals = g_ascii_strup (entity, -1);

  if (!strchr (text, ';') || g_str_equal (entity, "&semi;"))
    return g_steal_pointer (&text);
  if (!may_be_capitals || entity[1] == '#' || !g_str_equal (capitals, entity) || !g_str_equal (text, entity))
    return NULL;
  g_free (text);
  text = decode_entity (lower, FALSE);
  return text ? g_utf8_strup (text, -1) : NULL;
}

/* For g_regex_replace_eval(). @decoded: those of the prompt met so far, or "" for none, which no reference stands for here */
static gboolean
replace_entity (const GMatchInfo *match, GString *result, gpointer user_data)
{
  GHashTable *decoded = user_data;
  g_autofree gchar *entity = g_match_info_fetch (match, 0);
  const gchar *text;

  if (!g_hash_table_contains (decoded, entity)) {
    gchar *found = decode_entity (entity, TRUE);

    g_hash_table_insert (decoded, g_strdup (entity), found ? found : g_strdup (entity));
  }
  text = g_hash_table_lookup (decoded, entity);
  g_string_append (result, text);
  return FALSE;
}

/* Characters */

static gboolean
is_ligature (gunichar c)
{
  return c == 0x132 || c == 0x133 || c == 0x149 || (c >= 0x1c4 && c <= 0x1cc) || (c >= 0x1f1 && c <= 0x1f3) || (c >= 0xfb00 && c <= 0xfb06);
}

/* Of which text has no use: also marks of byte order, of annotations and of objects left out */
static gboolean
is_control (gunichar c)
{
  return c < 0x09 || c == 0x0b || (c >= 0x0e && c < 0x20) || c == 0x7f || (c >= 0x206a && c <= 0x206f) || c == 0xfeff
      || (c >= 0xfff9 && c <= 0xfffc);
}

/* Half or full width, and Latin ligatures: as their compatibility forms say, but for the long s, which they would lose too */
static void
append_compatible (GString *result, const gchar *p, gunichar c)
{
  g_autofree gchar *plain = g_utf8_normalize (p, g_utf8_next_char (p) - p, G_NORMALIZE_NFKC);

  g_string_append (result, c == 0xfb05 ? "\u017ft" : plain);
}

/* (transfer full) */
static gchar *
clean_characters (const gchar *text)
{
  g_autoptr (GString) result = g_string_new (NULL);

  for (const gchar *p = text; *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (is_ligature (c) || c == 0x3000 || (c > 0xff00 && c < 0xfff0))
      append_compatible (result, p, c);
    else if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b))
      g_string_append_c (result, '\'');
    else if (c >= 0x201c && c <= 0x201f)
      g_string_append_c (result, '"');
    else if (!is_control (c))
      g_string_append_len (result, p, g_utf8_next_char (p) - p);
  }
  return g_utf8_normalize (result->str, -1, G_NORMALIZE_NFC);
}

/* ftfy's fix_text () */

/* What is looked for in each line, and what has been found */
typedef struct {
  GRegex *entity, *terminal;    /* references; codes for a terminal's colours and the like */
  GHashTable *decoded;          /* "&...;" → what it stands for, or itself */
  gboolean escaped;             /* whether references are looked for: up to the first line with a tag, as HTML has them unescaped */
} Fixer;

/* (transfer full) */
static gchar *
fix_round (const Fixer *fixer, const gchar *line)
{
  g_autofree gchar *unescaped = fixer->escaped
      ? g_regex_replace_eval (fixer->entity, line, -1, 0, 0, replace_entity, fixer->decoded, NULL) : g_strdup (line);
  g_autofree gchar *plain = g_regex_replace_literal (fixer->terminal, unescaped, -1, 0, "", 0, NULL);

  return clean_characters (plain);
}

/* Whether there is nothing in @line that any step is about. */
static gboolean
is_plain (const gchar *line)
{
  for (; *line; line++) {
    if (*line == '&' || is_control ((guchar) *line) || (guchar) *line >= 0x80)
      return FALSE;
  }
  return TRUE;
}

/* @line: (transfer full); (transfer full) */
static gchar *
fix_line (const Fixer *fixer, gchar *line)
{
  if (is_plain (line))
    return line;
  for (guint i = 0; i < MAX_ROUNDS; i++) {
    gchar *next = fix_round (fixer, line);
    gboolean is_done = g_str_equal (next, line);

    g_free (line);
    line = next;
    if (is_done)
      break;
  }
  return line;
}

/* (transfer full) */
static gchar *
fix_text (const gchar *prompt)
{
  g_auto (GStrv) lines = g_strsplit (prompt, "\n", -1);
  Fixer fixer = {
    g_regex_new ("&#?[0-9A-Za-z]{1,24};", G_REGEX_OPTIMIZE, 0, NULL), g_regex_new ("\x1b\\[[0-9;]*[a-zA-Z]", G_REGEX_OPTIMIZE, 0, NULL),
    g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free), TRUE,
  };

  for (guint i = 0; lines[i]; i++) {
    fixer.escaped = fixer.escaped && !strchr (lines[i], '<');
    lines[i] = fix_line (&fixer, lines[i]);
  }
  g_regex_unref (fixer.entity);
  g_regex_unref (fixer.terminal);
  g_hash_table_unref (fixer.decoded);
  return g_strjoinv ("\n", lines);
}

gchar *
sora_prompt_clean_wan (const gchar *prompt)
{
  g_autofree gchar *fixed = fix_text (prompt), *once = unescape (fixed), *twice = unescape (once);

  return sora_prompt_collapse_spaces (twice);
}
