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
#include <signal.h>
#include <time.h>

#include "shim.h"

extern __typeof__ (pthread_create) __real_pthread_create, __wrap_pthread_create;

/* What a thread is to run. */
struct job {
  void *(*start) (void *);
  void *arg;
};

/* Written by the constructor and by gonbdkit_start_go, both on nbdkit's main
   thread while it has no other. */
static struct job held;
static bool started;

/* If Go cannot have a thread it aborts the server, and all clients lose their
   disks. So some threads are made ahead. They wait here and are used when a
   limit on threads or processes is reached. When there is room, new ones are
   made. A few are enough: Go keeps the threads that it has. */
#define SPARE_THREADS 8

/* idle + jobs are the threads that wait, and at most SPARE_THREADS. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t wanted;
  unsigned idle;                /* threads that no job has been given to */
  unsigned jobs;                /* that their threads have not begun yet */
  struct job job[SPARE_THREADS];
} spare = {
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .wanted = PTHREAD_COND_INITIALIZER,
};

static void *
wait_until_wanted (void *unused)
{
  struct job job;

  pthread_mutex_lock (&spare.lock);
  while (spare.jobs == 0)
    pthread_cond_wait (&spare.wanted, &spare.lock);
  job = spare.job[--spare.jobs];
  pthread_mutex_unlock (&spare.lock);
  return job.start (job.arg);
}

/* The threads inherit the signal mask of the caller. Go's calls, and whatever
   it starts, have all signals blocked. */
static void
make_spare_threads (const pthread_attr_t *attr)
{
  pthread_t thread;

  pthread_mutex_lock (&spare.lock);
  while (spare.idle + spare.jobs < SPARE_THREADS &&
         __real_pthread_create (&thread, attr, wait_until_wanted, NULL) == 0)
    spare.idle++;
  pthread_mutex_unlock (&spare.lock);
}

/* The caller, which is Go, does not look at which thread it got. */
static bool
use_spare_thread (struct job job)
{
  bool found;

  pthread_mutex_lock (&spare.lock);
  found = spare.idle > 0;
  if (found) {
    spare.idle--;
    spare.job[spare.jobs++] = job;
    pthread_cond_signal (&spare.wanted);
  }
  pthread_mutex_unlock (&spare.lock);
  return found;
}

/* If no spare thread is left, wait up to a second, because other threads and
   processes may end. Go asks twenty times before it gives up. */
static int
create_patiently (pthread_t *thread, const pthread_attr_t *attr, struct job job)
{
  const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
  int err, tries;

  for (tries = 0; tries < 100; ++tries) {
    err = __real_pthread_create (thread, attr, job.start, job.arg);
    if (err == 0)
      make_spare_threads (attr);
    if (err != EAGAIN)
      break;
    if (use_spare_thread (job)) {
      *thread = pthread_self ();
      return 0;
    }
    nanosleep (&pause, NULL);
  }
  return err;
}

int
__wrap_pthread_create (pthread_t *thread, const pthread_attr_t *attr,
                       void *(*start) (void *), void *arg)
{
  struct job job = { start, arg };

  if (gonbdkit_in_server () && held.start == NULL) {
    held = job;
    *thread = pthread_self ();
    return 0;
  }
  return create_patiently (thread, attr, job);
}

bool
gonbdkit_go_is_held (void)
{
  return held.start != NULL && !started;
}

bool
gonbdkit_go_is_started (void)
{
  return started;
}

/* Go sets SA_ONSTACK for signal handlers that it finds when it is loaded, but
   nbdkit installs its own later, without. One that hits the main thread inside
   Go (after_fork, or all of a client's requests with nbdkit -s) would run on a
   goroutine's stack, which has no room for it. */
static void
handle_signals_on_own_stack (void)
{
  struct sigaction sa;
  int sig;

  for (sig = 1; sig < NSIG; sig++) {
    if (sigaction (sig, NULL, &sa) == -1 ||
        sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN ||
        (sa.sa_flags & SA_ONSTACK) != 0)
      continue;
    sa.sa_flags |= SA_ONSTACK;
    sigaction (sig, &sa, NULL);
  }
  /* nbdkit may have inherited that it is ignored. Go could then not wait for
     the end of a command. */
  if (sigaction (SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
    signal (SIGCHLD, SIG_DFL);
}

/* Go's own call asks for a detached thread as well: nobody joins it. */
static int
make_held_thread (void)
{
  pthread_attr_t attr;
  pthread_t thread;
  int err = pthread_attr_init (&attr);

  if (err != 0)
    return err;
  err = pthread_attr_setdetachstate (&attr, PTHREAD_CREATE_DETACHED);
  if (err == 0)
    err = __real_pthread_create (&thread, &attr, held.start, held.arg);
  pthread_attr_destroy (&attr);
  return err;
}

int
gonbdkit_start_go (void)
{
  handle_signals_on_own_stack ();
  errno = held.start == NULL ? ENOSYS : make_held_thread ();
  if (errno != 0) {
    nbdkit_error ("starting the Go runtime: %m");
    return -1;
  }
  started = true;
  return 0;
}
