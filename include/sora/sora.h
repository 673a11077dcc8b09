/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libsora: text-to-video diffusion in OpenCL. Includes the whole public API. */
#pragma once

#include <sora/device.h>
#include <sora/error.h>
#include <sora/model.h>
#include <sora/sampler.h>
#include <sora/stream.h>
#include <sora/weights.h>
