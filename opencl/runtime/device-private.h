/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engine knows of an opened device: handles, limits, and which kind of linear kernel suits it. */
#pragma once

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <sora/device.h>

G_BEGIN_DECLS

/* Which linear a device runs: our packed panels (CPU devices), or CLBlast with our epilogue (GPUs). */
typedef enum {
  SORA_LINEAR_PACKED,
  SORA_LINEAR_CLBLAST,
} SoraLinearKind;

/* Instructions that multiply matrices of bf16 numbers and sum in floats; each but the first has what those before it have. */
typedef enum {
  SORA_MATRIX_UNIT_NONE,
  SORA_MATRIX_UNIT_AVX512_BF16, /* vdpbf16ps: vectors of 16 pairs */
  SORA_MATRIX_UNIT_AMX_BF16,    /* tdpbf16ps: tiles of 16 x 16 pairs */
} SoraMatrixUnit;

struct _SoraDevice {
  gatomicrefcount ref_count;
  cl_platform_id platform;
  cl_device_id id;
  cl_context context;           /* NULL until opened; one for each device and process */
  gchar *name, *platform_name, *driver;
  cl_device_type type;
  guint compute_units;
  guint vector_width;           /* native float vector width: 16 with AVX-512, 8 with AVX2, 1 on most GPUs */
  guint64 global_memory;        /* bytes */
  guint64 max_allocation;       /* bytes */
  gsize max_work_group_size;
  guint64 local_memory;         /* bytes a work-group may use */
  SoraLinearKind linear_kind;
  gboolean keeps_programs;      /* the driver caches what it compiled on disk: a cache of ours would only compile it twice */
  gboolean linear_forced;       /* linear_kind was asked for: no table changes it */
  SoraMatrixUnit matrix_unit;   /* runtime/matrix-unit.h, which alone reads and writes these two */
  gboolean matrix_unit_known;
  GMutex lock;                  /* guards all that follows */
  GHashTable *programs;         /* "name|options" → cl_program, built once */
  GHashTable *building;         /* set of those keys: each is being built by some thread, without the lock */
  GCond built;                  /* one of them less */
  guint whole_headers;          /* of the programs, with PoCL: those that builtins.cl does not suffice for; atomic */
  GKeyFile *tuning;             /* runtime/tune.h; NULL until the first lookup */
  GHashTable *linear_shapes;    /* set of (n << 32 | k): every linear that was asked about */
};

/* (transfer none) (nullable): the one of @devices, at least one, that @selector names, without spaces around it and a kind of linear. Any thread. */
SoraDevice *sora_device_find (GPtrArray *devices, const gchar *selector);

/* (transfer full): the same device with the kind of linear forced. Any thread. */
SoraDevice *sora_device_force_linear (SoraDevice *device, SoraLinearKind kind, GError **error);

/* Readable name of an OpenCL status, "CL_OUT_OF_RESOURCES". */
const gchar *sora_cl_status_name (cl_int status);

/* Sets @error from a failed OpenCL @call; a memory shortage becomes SORA_DEVICE_ERROR_NO_MEMORY. */
void sora_cl_set_error (GError **error, cl_int status, const gchar *call);

G_END_DECLS
