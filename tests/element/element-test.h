/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the element's tests have in common: a runner that speaks TAP, harnesses, pixels, messages. */
#pragma once

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include "fake-sora.h"
#include "gstsorasrc.h"

G_BEGIN_DECLS

/* Runs @suite; to be returned from main. */
int element_test_run (int *argc, char ***argv, Suite *suite);

/* A sorasrc with @properties ("name=value ...", or NULL) that sends to @caps (NULL: any), ready to be pulled from. It blocks
 * until each buffer is pulled. */
GstHarness *element_test_harness (const gchar *properties, const gchar *caps);

/* The colour of a pixel of @buffer, 0xRRGGBB, through GStreamer's own converter where it is not RGB. */
guint32 element_test_pixel (GstBuffer *buffer, GstCaps *caps, guint x, guint y);
/* the number of the model's frame that @buffer of a harness shows, and the blue that tells of its prompt */
guint element_test_frame (GstHarness *harness, GstBuffer *buffer);
guint8 element_test_mood (GstHarness *harness, GstBuffer *buffer);

/* "sorasrc PROPERTIES ! REST"; criticals and parse errors fail the test */
GstElement *element_test_pipeline (const gchar *description);
/* Waits for a message of @types, at most @seconds, and fails on an unexpected error. */
GstMessage *element_test_wait (GstElement *pipeline, GstMessageType types, guint seconds);
/* The next sample of its appsink named "sink". */
GstSample *element_test_pull (GstElement *pipeline);
void element_test_stop (GstElement *pipeline);
/* Nothing of the double is left alive. */
void element_test_assert_all_freed (void);

/* A pipeline that plays, and its sorasrc */
typedef struct {
  GstElement *pipeline, *source;
} ElementTest;

/* "sorasrc seed=9 PROPERTIES" at the model's rate in RGB, into an appsink that holds one buffer */
ElementTest element_test_play (const gchar *properties);
/* Stops it; nothing of the double is left alive. */
void element_test_end (ElementTest *test);
/* The next frame's blue, which the double derives from prompt, seed and LoRAs */
guint8 element_test_pull_mood (ElementTest *test);

G_END_DECLS
