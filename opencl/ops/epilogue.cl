/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the arguments of a linear's epilogue are called. Put before linear-finish.cl or linear-epilogue.cl. */

/* in the order of SoraActivation */
#define SILU 1
#define GELU 2
#define GELU_TANH 3
#define RELU 4
#define GELU_QUICK 5
/* operands that are there */
#define HAS_MULTIPLIER 1
#define HAS_GATE 2
#define HAS_RESIDUAL 4
