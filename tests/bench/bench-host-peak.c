/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fp32 peak of the host's cores in C with vectors, one thread each: what OpenCL's own peak must agree with on a CPU device. */
#include "bench-host-peak.h"

#include "bench.h"

#define LOOPS 3000000
/* More than latency times units (4 · 2), and as many as leave registers for the two factors. */
#define EACH(F) F (0) F (1) F (2) F (3) F (4) F (5) F (6) F (7) F (8) F (9) F (10) F (11)
#define CHAINS 12

#define BEGIN(i) Vector c##i = start + i;
/* The empty statement keeps the chain in a register and the loop as it is written. */
#if defined(__x86_64__)
#define STEP(i) c##i = c##i * a + b; __asm__ volatile ("" : "+v" (c##i));
#elif defined(__aarch64__)
#define STEP(i) c##i = c##i * a + b; __asm__ volatile ("" : "+w" (c##i));
#else
#define STEP(i) c##i = c##i * a + b;
#endif
#define ADD(i) sum += c##i;

/* Defines a kernel for vectors of @bytes. Returns a value that depends on every operation. */
#define DEFINE_KERNEL(name, bytes, ...) \
  __VA_ARGS__ static gfloat \
  name (void) \
  { \
    typedef gfloat Vector __attribute__ ((vector_size (bytes))); \
    const Vector start = { 0 }; \
    Vector a = start + 0.999f, b = start + 0.001f, sum = start; \
    EACH (BEGIN) \
    for (guint i = 0; i < LOOPS; i++) { \
      EACH (STEP) \
    } \
    EACH (ADD) \
    return sum[0]; \
  }

typedef struct {
  gfloat (*run) (void);
  guint width;                  /* floats a vector */
} Kernel;

DEFINE_KERNEL (run_16, 16)
#if defined(__x86_64__)
DEFINE_KERNEL (run_32, 32, __attribute__ ((target ("avx2,fma"))))
DEFINE_KERNEL (run_64, 64, __attribute__ ((target ("avx512f,fma"))))
#endif

static Kernel
choose_kernel (void)
{
#if defined(__x86_64__)
  if (__builtin_cpu_supports ("avx512f"))
    return (Kernel) { run_64, 16 };
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    return (Kernel) { run_32, 8 };
#endif
  return (Kernel) { run_16, 4 };
}

static gpointer
run_thread (gpointer data)
{
  const Kernel *kernel = data;
  volatile gfloat result = kernel->run ();

  (void) result;
  return NULL;
}

gdouble
bench_host_peak_sample (void)
{
  Kernel kernel = choose_kernel ();
  guint n_threads = g_get_num_processors ();
  g_autofree GThread **threads = g_new (GThread *, n_threads);
  gdouble start = bench_now ();

  for (guint i = 0; i < n_threads; i++)
    threads[i] = g_thread_new ("peak", run_thread, &kernel);
  for (guint i = 0; i < n_threads; i++)
    g_thread_join (threads[i]);
  return 2e-9 * CHAINS * LOOPS * kernel.width * n_threads / (bench_now () - start);
}
