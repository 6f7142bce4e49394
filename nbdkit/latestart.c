/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Starting the Go runtime late.

   A Go shared library starts its runtime from an ELF constructor, that is
   during nbdkit's dlopen of the plugin. nbdkit forks after that, and only the
   forking thread lives on in the child: the runtime would be dead there. The
   constructor makes exactly one thread, through pthread_create, and everything
   else of Go happens on that thread or after it. So the package is linked with
   --wrap=pthread_create, and the first call is kept instead of made.

   Inside anything but nbdkit (a unit test of a plugin's packages) nothing is
   held, because no fork is to be expected there. */

#include <errno.h>
#include <pthread.h>

#include "shim.h"

extern int __real_pthread_create (pthread_t *thread,
                                  const pthread_attr_t *attr,
                                  void *(*start) (void *), void *arg);
extern int __wrap_pthread_create (pthread_t *thread,
                                  const pthread_attr_t *attr,
                                  void *(*start) (void *), void *arg);

/* Written by the constructor and by gonbdkit_start_go, both on nbdkit's main
   thread while it has no other. */
static struct {
  void *(*start) (void *);
  void *arg;
  bool started;
} held;

int
__wrap_pthread_create (pthread_t *thread, const pthread_attr_t *attr,
                       void *(*start) (void *), void *arg)
{
  if (gonbdkit_in_server () && held.start == NULL) {
    held.start = start;
    held.arg = arg;
    *thread = pthread_self ();
    return 0;
  }
  return __real_pthread_create (thread, attr, start, arg);
}

bool
gonbdkit_go_is_held (void)
{
  return held.start != NULL && !held.started;
}

bool
gonbdkit_go_is_started (void)
{
  return held.started;
}

int
gonbdkit_start_go (void)
{
  pthread_attr_t attr;
  pthread_t thread;
  int err;

  if (held.started)
    return 0;
  if (held.start == NULL)
    return ENOSYS;

  err = pthread_attr_init (&attr);
  if (err != 0)
    return err;
  /* Go's own call asks for a detached thread as well: nobody joins it. */
  err = pthread_attr_setdetachstate (&attr, PTHREAD_CREATE_DETACHED);
  if (err == 0)
    err = __real_pthread_create (&thread, &attr, held.start, held.arg);
  pthread_attr_destroy (&attr);
  if (err == 0)
    held.started = true;
  return err;
}
