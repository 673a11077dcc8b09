/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin: registers sorasrc and does nothing else, so that scanning it touches no OpenCL driver. */
#include "gstsorasrc.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  return gst_element_register (plugin, "sorasrc", GST_RANK_NONE, GST_TYPE_SORA_SRC);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, sora, "Video generated from text", plugin_init, PACKAGE_VERSION,
    "LGPL", "gst-sora", "gst-sora")
