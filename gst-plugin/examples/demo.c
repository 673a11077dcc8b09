/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Example: writes a prompt's video to a WebM file, shows progress, and draws a contact sheet of eight frames. */
#include <cairo.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdlib.h>
#include <string.h>

#define SHEET_FRAMES 8
#define SHEET_COLUMNS 4

typedef struct {
  GstElement *pipeline;
  guint n_frames, received;
  gint width, height;
  GPtrArray *pictures;          /* of cairo_surface_t: the frames of the contact sheet */
  gint64 first_time, last_time; /* µs, of the first and the last frame */
  gboolean failed;
  GMainLoop *loop;
} Demo;

/* Copies a BGRx frame, whose bytes are what CAIRO_FORMAT_RGB24 means on a little-endian machine. */
static cairo_surface_t *
copy_picture (GstVideoFrame *frame)
{
  gint width = GST_VIDEO_FRAME_WIDTH (frame), height = GST_VIDEO_FRAME_HEIGHT (frame);
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  guint8 *target = cairo_image_surface_get_data (surface);
  gint stride = cairo_image_surface_get_stride (surface);

  for (gint y = 0; y < height; y++)
    memcpy (target + y * stride,
        (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (frame, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0), 4 * width);
  cairo_surface_mark_dirty (surface);
  return surface;
}

/* Keeps SHEET_FRAMES frames, evenly spaced, and tells how far the video is. Streaming thread. */
static GstFlowReturn
on_sample (GstAppSink *sink, gpointer user_data)
{
  Demo *demo = user_data;
  GstSample *sample = gst_app_sink_pull_sample (sink);
  guint wanted = demo->pictures->len * (demo->n_frames - 1) / (SHEET_FRAMES - 1);
  GstVideoInfo info;
  GstVideoFrame frame;

  if (!sample)
    return GST_FLOW_EOS;
  demo->last_time = g_get_monotonic_time ();
  if (demo->received == 0)
    demo->first_time = demo->last_time;
  if (demo->received == wanted && demo->pictures->len < SHEET_FRAMES
      && gst_video_info_from_caps (&info, gst_sample_get_caps (sample))
      && gst_video_frame_map (&frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    demo->width = GST_VIDEO_INFO_WIDTH (&info);
    demo->height = GST_VIDEO_INFO_HEIGHT (&info);
    g_ptr_array_add (demo->pictures, copy_picture (&frame));
    gst_video_frame_unmap (&frame);
  }
  demo->received++;
  g_printerr ("\r%3u %% (%u of %u frames)", 100 * demo->received / demo->n_frames, demo->received, demo->n_frames);
  gst_sample_unref (sample);
  return GST_FLOW_OK;
}

static void
show_progress (GstMessage *message)
{
  GstProgressType type;
  g_autofree gchar *code = NULL, *text = NULL;

  gst_message_parse_progress (message, &type, &code, &text);
  g_printerr ("\r%-60s\r", text ? text : code);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer user_data)
{
  Demo *demo = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *detail = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_PROGRESS:
      show_progress (message);
      break;
    case GST_MESSAGE_ERROR:
      gst_message_parse_error (message, &error, &detail);
      g_printerr ("\n%s\n%s\n", error->message, detail ? detail : "");
      demo->failed = TRUE;
      g_main_loop_quit (demo->loop);
      break;
    case GST_MESSAGE_EOS:
      g_main_loop_quit (demo->loop);
      break;
    default:
      break;
  }
  return G_SOURCE_CONTINUE;
}

static gboolean
write_sheet (Demo *demo, const gchar *path)
{
  guint rows = (demo->pictures->len + SHEET_COLUMNS - 1) / SHEET_COLUMNS;
  cairo_surface_t *sheet = cairo_image_surface_create (CAIRO_FORMAT_RGB24, SHEET_COLUMNS * demo->width, rows * demo->height);
  cairo_t *cr = cairo_create (sheet);
  cairo_status_t status;

  for (guint i = 0; i < demo->pictures->len; i++) {
    cairo_set_source_surface (cr, g_ptr_array_index (demo->pictures, i), i % SHEET_COLUMNS * demo->width,
        i / SHEET_COLUMNS * demo->height);
    cairo_paint (cr);
  }
  status = cairo_surface_write_to_png (sheet, path);
  cairo_destroy (cr);
  cairo_surface_destroy (sheet);
  if (status != CAIRO_STATUS_SUCCESS)
    g_printerr ("%s: %s\n", path, cairo_status_to_string (status));
  return status == CAIRO_STATUS_SUCCESS;
}

static GstElement *
make_pipeline (Demo *demo, const gchar *prompt, const gchar *path, GError **error)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc name=source num-buffers=%u ! tee name=tee "
      "tee. ! queue ! videoconvert ! vp8enc deadline=1 cpu-used=8 target-bitrate=3000000 ! webmmux ! filesink name=file "
      "tee. ! queue ! videoconvert ! video/x-raw,format=BGRx ! appsink name=frames sync=false", demo->n_frames);
  GstElement *pipeline = gst_parse_launch (description, error);
  g_autoptr (GstElement) source = NULL, file = NULL, sink = NULL;
  GstAppSinkCallbacks callbacks = { .new_sample = on_sample };

  if (!pipeline || *error)
    return pipeline;
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  file = gst_bin_get_by_name (GST_BIN (pipeline), "file");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "frames");
  g_object_set (source, "prompt", prompt, "seed", G_GINT64_CONSTANT (3), NULL);
  g_object_set (file, "location", path, NULL);
  gst_app_sink_set_callbacks (GST_APP_SINK (sink), &callbacks, demo, NULL);
  return pipeline;
}

/* FILE.webm → FILE.png */
static gchar *
make_sheet_path (const gchar *path)
{
  gsize length = strlen (path);

  if (g_str_has_suffix (path, ".webm"))
    length -= strlen (".webm");
  return g_strdup_printf ("%.*s.png", (int) length, path);
}

static void
run (Demo *demo)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (demo->pipeline);

  gst_bus_add_watch (bus, on_message, demo);
  gst_element_set_state (demo->pipeline, GST_STATE_PLAYING);
  g_main_loop_run (demo->loop);
  gst_element_set_state (demo->pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
}

static gboolean
report (Demo *demo, const gchar *path, const gchar *sheet_path)
{
  gdouble seconds = (demo->last_time - demo->first_time) / (gdouble) G_USEC_PER_SEC;

  g_printerr ("\n");
  if (demo->failed || demo->pictures->len == 0 || !write_sheet (demo, sheet_path))
    return FALSE;
  g_print ("%s\n%s\n%u frames, %.1f frames a second\n", path, sheet_path, demo->received,
      seconds > 0 ? (demo->received - 1) / seconds : 0);
  return TRUE;
}

int
main (int argc, char **argv)
{
  Demo demo = { .n_frames = 96 };
  g_autoptr (GError) error = NULL;
  g_autofree gchar *sheet_path = NULL;
  gboolean ok;

  gst_init (&argc, &argv);
  if (argc < 3) {
    g_printerr ("Usage: demo PROMPT FILE.webm [FRAMES]\n");
    return EXIT_FAILURE;
  }
  if (argc > 3)
    demo.n_frames = CLAMP (g_ascii_strtoull (argv[3], NULL, 10), SHEET_FRAMES, 100000);
  sheet_path = make_sheet_path (argv[2]);
  demo.pictures = g_ptr_array_new_with_free_func ((GDestroyNotify) cairo_surface_destroy);
  demo.loop = g_main_loop_new (NULL, FALSE);
  demo.pipeline = make_pipeline (&demo, argv[1], argv[2], &error);
  if (error) {
    g_printerr ("%s\n", error->message);
    ok = FALSE;
  } else {
    run (&demo);
    ok = report (&demo, argv[2], sheet_path);
  }
  gst_clear_object (&demo.pipeline);
  g_ptr_array_unref (demo.pictures);
  g_main_loop_unref (demo.loop);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
