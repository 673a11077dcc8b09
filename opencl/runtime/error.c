/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The quarks of the error domains, and the translation of OpenCL statuses into GErrors. */

#include "runtime/device-private.h"

G_DEFINE_QUARK (sora-device-error-quark, sora_device_error)
G_DEFINE_QUARK (sora-model-error-quark, sora_model_error)
G_DEFINE_QUARK (sora-stream-error-quark, sora_stream_error)

#define STATUS(name) { name, #name }

static const struct {
  cl_int status;
  const gchar *name;
} status_names[] = {
  STATUS (CL_SUCCESS),
  STATUS (CL_DEVICE_NOT_FOUND),
  STATUS (CL_DEVICE_NOT_AVAILABLE),
  STATUS (CL_COMPILER_NOT_AVAILABLE),
  STATUS (CL_MEM_OBJECT_ALLOCATION_FAILURE),
  STATUS (CL_OUT_OF_RESOURCES),
  STATUS (CL_OUT_OF_HOST_MEMORY),
  STATUS (CL_PROFILING_INFO_NOT_AVAILABLE),
  STATUS (CL_MEM_COPY_OVERLAP),
  STATUS (CL_BUILD_PROGRAM_FAILURE),
  STATUS (CL_MAP_FAILURE),
  STATUS (CL_MISALIGNED_SUB_BUFFER_OFFSET),
  STATUS (CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
  STATUS (CL_COMPILE_PROGRAM_FAILURE),
  STATUS (CL_LINKER_NOT_AVAILABLE),
  STATUS (CL_LINK_PROGRAM_FAILURE),
  STATUS (CL_INVALID_VALUE),
  STATUS (CL_INVALID_DEVICE_TYPE),
  STATUS (CL_INVALID_PLATFORM),
  STATUS (CL_INVALID_DEVICE),
  STATUS (CL_INVALID_CONTEXT),
  STATUS (CL_INVALID_QUEUE_PROPERTIES),
  STATUS (CL_INVALID_COMMAND_QUEUE),
  STATUS (CL_INVALID_HOST_PTR),
  STATUS (CL_INVALID_MEM_OBJECT),
  STATUS (CL_INVALID_BINARY),
  STATUS (CL_INVALID_BUILD_OPTIONS),
  STATUS (CL_INVALID_PROGRAM),
  STATUS (CL_INVALID_PROGRAM_EXECUTABLE),
  STATUS (CL_INVALID_KERNEL_NAME),
  STATUS (CL_INVALID_KERNEL_DEFINITION),
  STATUS (CL_INVALID_KERNEL),
  STATUS (CL_INVALID_ARG_INDEX),
  STATUS (CL_INVALID_ARG_VALUE),
  STATUS (CL_INVALID_ARG_SIZE),
  STATUS (CL_INVALID_KERNEL_ARGS),
  STATUS (CL_INVALID_WORK_DIMENSION),
  STATUS (CL_INVALID_WORK_GROUP_SIZE),
  STATUS (CL_INVALID_WORK_ITEM_SIZE),
  STATUS (CL_INVALID_GLOBAL_OFFSET),
  STATUS (CL_INVALID_EVENT_WAIT_LIST),
  STATUS (CL_INVALID_EVENT),
  STATUS (CL_INVALID_OPERATION),
  STATUS (CL_INVALID_BUFFER_SIZE),
  STATUS (CL_INVALID_GLOBAL_WORK_SIZE),
  STATUS (CL_INVALID_PROPERTY),
  { -1001, "CL_PLATFORM_NOT_FOUND_KHR" },
};

const gchar *
sora_cl_status_name (cl_int status)
{
  for (guint i = 0; i < G_N_ELEMENTS (status_names); i++) {
    if (status_names[i].status == status)
      return status_names[i].name;
  }
  return "unknown OpenCL status";
}

void
sora_cl_set_error (GError **error, cl_int status, const gchar *call)
{
  gboolean memory = status == CL_MEM_OBJECT_ALLOCATION_FAILURE || status == CL_OUT_OF_HOST_MEMORY
      || status == CL_OUT_OF_RESOURCES;

  if (memory)
    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY,
        "the OpenCL device has not enough memory or resources: %s returned %s (%d)", call,
        sora_cl_status_name (status), status);
  else
    g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_FAILED, "%s returned %s (%d)", call,
        sora_cl_status_name (status), status);
}
