/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   What the user is told if the server cannot start.

   GetReady and AfterFork run after nbdkit's fork. An error of theirs must still
   end nbdkit with exit status 1 and be seen by the user:

   - In the foreground nbdkit has not forked. .after_fork fails, and nbdkit ends.
   - If the server goes into the background, the process that the user started
     calls exit right after the fork. It waits in an exit handler until the
     server tells how it went.
   - With --run that process runs the command and calls exit when the command
     has ended. It has the socket open as well, so a command whose server has
     ended would wait for ever. Therefore the server stays and refuses clients
     until then. */

#define _GNU_SOURCE             /* pipe2 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

static pid_t starter;           /* the process that the user started */
static int report_from, report_to; /* the pipe from the server to it */

/* The server has ended without a report. */
static void
exit_like_server (void)
{
  int status;

  /* It fails if there was no fork, and after --run, where nbdkit has waited. */
  if (waitpid (-1, &status, 0) == -1 || status == 0)
    return;
  nbdkit_error ("the server ended before it was ready");
  _exit (EXIT_FAILURE);
}

static void
at_exit (void)
{
  static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
  char report[PIPE_BUF];
  ssize_t n;
  size_t i;

  if (getpid () != starter)
    return;
  close (report_to);
  /* nbdkit's handlers would let the process go on waiting. */
  for (i = 0; i < sizeof ends / sizeof ends[0]; ++i)
    signal (ends[i], SIG_DFL);
  do
    n = read (report_from, report, sizeof report);
  while (n == -1 && errno == EINTR);
  if (n == 0)
    exit_like_server ();
  else if (n > 0 && report[0] != '\0') {
    nbdkit_error ("%s", report);
    _exit (EXIT_FAILURE);
  }
}

int
gonbdkit_get_ready (void)
{
  int fds[2];

  if (pipe2 (fds, O_CLOEXEC) == -1) {
    nbdkit_error ("get_ready: pipe: %m");
    return -1;
  }
  report_from = fds[0];
  report_to = fds[1];
  starter = getpid ();
  if (atexit (at_exit) != 0) {
    nbdkit_error ("get_ready: atexit failed");
    return -1;
  }
  return 0;
}

/* Nobody needs a server that only refuses clients once the process that the
   user started has ended. The pipe then has no reader. */
static void *
end_with_starter (void *unused)
{
  struct pollfd p = { .fd = report_to };

  while (poll (&p, 1, -1) == -1 && errno == EINTR)
    ;
  nbdkit_shutdown ();
  return NULL;
}

int
gonbdkit_report (const char *error)
{
  char report[PIPE_BUF] = "";
  pthread_t thread;

  close (report_from);
  if (getpid () == starter) {
    starter = 0;
    close (report_to);
    return error[0] == '\0' ? 0 : -1;
  }
  strncpy (report, error, sizeof report - 1);
  /* If it fails, there is nobody left to tell. Shorter than the pipe's
     capacity, it does not block. */
  if (write (report_to, report, strlen (report) + 1) == -1)
    nbdkit_debug ("the process that started the server has gone (ignored)");
  if (error[0] == '\0') {
    close (report_to);
    return 0;
  }
  return pthread_create (&thread, NULL, end_with_starter, NULL) == 0 ? 0 : -1;
}
