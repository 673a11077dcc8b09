/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The errors of libsora and of picture files as messages on the bus. */
#include "gstsoraerror.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <sora/sora.h>

typedef struct {
  GQuark domain;
  gint code;
} Code;

static Code
map_device_error (gint code)
{
  switch (code) {
    case SORA_DEVICE_ERROR_NO_DRIVER:
      return (Code) { GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT };
    case SORA_DEVICE_ERROR_NOT_FOUND:
      return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND };
    case SORA_DEVICE_ERROR_NO_MEMORY:
      return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT };
    case SORA_DEVICE_ERROR_BUILD:
      return (Code) { GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED };
    default:
      return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED };
  }
}

static Code
map_model_error (gint code)
{
  switch (code) {
    case SORA_MODEL_ERROR_NOT_FOUND:
      return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND };
    case SORA_MODEL_ERROR_UNSUPPORTED:
      return (Code) { GST_STREAM_ERROR, GST_STREAM_ERROR_NOT_IMPLEMENTED };
    default:
      return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ };
  }
}

static Code
map_error (const GError *error)
{
  if (error->domain == SORA_DEVICE_ERROR)
    return map_device_error (error->code);
  if (error->domain == SORA_MODEL_ERROR)
    return map_model_error (error->code);
  if (error->domain == G_FILE_ERROR && error->code == G_FILE_ERROR_NOENT)
    return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND };
  if (error->domain == G_FILE_ERROR)
    return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ };
  if (error->domain == GDK_PIXBUF_ERROR)
    return (Code) { GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE };
  if (g_error_matches (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_LORAS))
    return (Code) { GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT };
  if (error->domain == SORA_STREAM_ERROR && error->code != SORA_STREAM_ERROR_NUMERIC)
    return (Code) { GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS };
  return (Code) { GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED };
}

static void
post (GstElement *element, GstMessageType type, const GError *error)
{
  Code code = map_error (error);

  gst_element_message_full (element, type, code.domain, code.code, g_strdup (error->message),
      g_strdup_printf ("%s, code %d", g_quark_to_string (error->domain), error->code), __FILE__, G_STRFUNC, __LINE__);
}

void
gst_sora_post_error (GstElement *element, const GError *error)
{
  post (element, GST_MESSAGE_ERROR, error);
}

void
gst_sora_post_warning (GstElement *element, const GError *error)
{
  post (element, GST_MESSAGE_WARNING, error);
}
