/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The error domains of libsora: devices, model files, generation. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#if defined(SORA_COMPILATION)
#define SORA_API __attribute__ ((visibility ("default"))) extern
#else
#define SORA_API extern
#endif

/**
 * SoraDeviceError:
 * @SORA_DEVICE_ERROR_NO_DRIVER: no OpenCL driver is installed; the message names a package that brings one
 * @SORA_DEVICE_ERROR_NOT_FOUND: drivers exist, but no device fits the selector; the message lists those found
 * @SORA_DEVICE_ERROR_NO_MEMORY: the device's memory does not suffice
 * @SORA_DEVICE_ERROR_BUILD: a kernel did not compile; the message ends with the compiler's log
 * @SORA_DEVICE_ERROR_FAILED: an OpenCL call failed; the message names the call and its code
 */
typedef enum {
  SORA_DEVICE_ERROR_NO_DRIVER,
  SORA_DEVICE_ERROR_NOT_FOUND,
  SORA_DEVICE_ERROR_NO_MEMORY,
  SORA_DEVICE_ERROR_BUILD,
  SORA_DEVICE_ERROR_FAILED,
} SoraDeviceError;

/**
 * SoraModelError:
 * @SORA_MODEL_ERROR_NOT_FOUND: the model, or a file of it, does not exist; the message lists where it was looked for
 * @SORA_MODEL_ERROR_FORMAT: a file is truncated, malformed or contradicts itself
 * @SORA_MODEL_ERROR_WEIGHT: a tensor is missing, misshapen or of an unknown type; the message names file, tensor, expected, found
 * @SORA_MODEL_ERROR_UNSUPPORTED: the files are sound, but describe something that this version does not run
 */
typedef enum {
  SORA_MODEL_ERROR_NOT_FOUND,
  SORA_MODEL_ERROR_FORMAT,
  SORA_MODEL_ERROR_WEIGHT,
  SORA_MODEL_ERROR_UNSUPPORTED,
} SoraModelError;

/**
 * SoraStreamError:
 * @SORA_STREAM_ERROR_OPTION: an option is out of its range, or does not fit the model
 * @SORA_STREAM_ERROR_PROMPT: a prompt is not UTF-8, or longer than can be tokenized
 * @SORA_STREAM_ERROR_NUMERIC: a block's latents are not finite
 * @SORA_STREAM_ERROR_LORAS: LoRAs that were set could not be put on the device; those before stay, and the next call goes on with them
 *
 * A cancelled call returns %G_IO_ERROR_CANCELLED instead.
 */
typedef enum {
  SORA_STREAM_ERROR_OPTION,
  SORA_STREAM_ERROR_PROMPT,
  SORA_STREAM_ERROR_NUMERIC,
  SORA_STREAM_ERROR_LORAS,
} SoraStreamError;

#define SORA_DEVICE_ERROR (sora_device_error_quark ())
#define SORA_MODEL_ERROR (sora_model_error_quark ())
#define SORA_STREAM_ERROR (sora_stream_error_quark ())

SORA_API GQuark sora_device_error_quark (void);
SORA_API GQuark sora_model_error_quark (void);
SORA_API GQuark sora_stream_error_quark (void);

G_END_DECLS
