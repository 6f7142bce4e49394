/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   What direct.c counts for a DirectCounter. The struct is Go's DirectCounts,
   and counts.go checks that it is.

   A request costs two additions to numbers of its own connection. Few requests
   are timed, because asking for the time costs as much as all the rest. A
   request that finds pause cleared sets it and is timed. Every 256th read and
   every 256th write that succeeds clears it. */

#ifndef GONBDKIT_COUNTS_H
#define GONBDKIT_COUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define GONBDKIT_LATENCIES 24
#define GONBDKIT_TIMED_OF 256

struct gonbdkit_counts {
  char apart[64];               /* from what others change */
  uint64_t reads, read_bytes, writes, written_bytes;
  uint64_t pause;               /* 0: the next request is to be timed */
  uint64_t latency_sum;         /* nanoseconds */
  uint64_t latency[GONBDKIT_LATENCIES];
};

/* Relaxed: nothing is published by a number. */
static inline uint64_t
gonbdkit_add (uint64_t *to, uint64_t n)
{
  return __atomic_fetch_add (to, n, __ATOMIC_RELAXED);
}

/* The index is that of the first bound, 1, 2, 4 ... microseconds, which the
   time does not exceed. The last place has no bound. */
static inline void
gonbdkit_count_time (struct gonbdkit_counts *c, uint64_t ns)
{
  uint64_t above = ns > 0 ? (ns - 1) / 1000 : 0;
  unsigned i = above > 0 ? 64 - __builtin_clzll (above) : 0;

  gonbdkit_add (&c->latency_sum, ns);
  gonbdkit_add (&c->latency[i < GONBDKIT_LATENCIES ? i : GONBDKIT_LATENCIES - 1], 1);
}

static inline uint64_t
gonbdkit_now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec * UINT64_C (1000000000) + t.tv_nsec;
}

/* Returns what gonbdkit_count wants: when the request began, or 0 if it is not
   to be timed. */
static inline uint64_t
gonbdkit_count_begin (struct gonbdkit_counts *c)
{
  if (__atomic_load_n (&c->pause, __ATOMIC_RELAXED) != 0 ||
      __atomic_exchange_n (&c->pause, 1, __ATOMIC_RELAXED) != 0)
    return 0;
  return gonbdkit_now ();
}

static inline void
gonbdkit_count (struct gonbdkit_counts *c, bool write, uint32_t count,
                uint64_t begun)
{
  if (begun != 0)
    gonbdkit_count_time (c, gonbdkit_now () - begun);
  gonbdkit_add (write ? &c->written_bytes : &c->read_bytes, count);
  if ((gonbdkit_add (write ? &c->writes : &c->reads, 1) + 1) % GONBDKIT_TIMED_OF == 0)
    __atomic_store_n (&c->pause, 0, __ATOMIC_RELAXED);
}

#endif /* GONBDKIT_COUNTS_H */
