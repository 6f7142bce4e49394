#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Go asks for many threads while there is room for few: each job that was taken on
# runs once, and none is written past the end of the list, however late the spare
# threads begin to run. (The address sanitizer looks at the list.)

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cat >spare.c <<'END'
#include "latestart.c"

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>

static bool room;               /* for more threads */
static void *(*waiting[1000]) (void *); /* spare threads that do not run yet */
static unsigned nr_waiting, ran[1000];
static sem_t done;

int
__real_pthread_create (pthread_t *thread, const pthread_attr_t *attr,
                       void *(*start) (void *), void *arg)
{
  if (!room)
    return EAGAIN;
  if (start == wait_until_wanted)
    waiting[nr_waiting++] = start;
  return 0;
}

static void *
job (void *arg)
{
  __atomic_fetch_add ((unsigned *) arg, 1, __ATOMIC_RELAXED);
  sem_post (&done);
  return NULL;
}

int
main (void)
{
  unsigned i, taken = 0;
  pthread_t thread;

  sem_init (&done, 0, 0);
  while (taken < 2 * SPARE_THREADS) {
    room = true;                /* this one is made, and spare threads with it */
    assert (__wrap_pthread_create (&thread, NULL, job, NULL) == 0);
    room = false;
    if (__wrap_pthread_create (&thread, NULL, job, &ran[taken]) != 0)
      break;
    taken++;
  }
  printf ("%u\n", taken);
  for (i = 0; i < nr_waiting; ++i)
    assert (pthread_create (&thread, NULL, waiting[i], NULL) == 0);
  for (i = 0; i < taken; ++i)
    sem_wait (&done);
  for (i = 0; i < taken; ++i)
    assert (ran[i] == 1);
  return 0;
}
END
read -ra flags <<<"$(pkg-config --cflags nbdkit)"
"${CC:-gcc}" -g -fsanitize=address -I"$top_srcdir/nbdkit" "${flags[@]}" -o spare \
    spare.c -lpthread || skip "needs libasan"
taken=$(ASAN_OPTIONS=detect_leaks=0 ./spare) || fail "see above"
[ "$taken" -ge 8 ] || fail "got $taken jobs taken on, want at least the 8 that there are threads for"
