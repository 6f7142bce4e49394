/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Throw-away processes.

   What nbdkit must know before its fork (name, help, whether the parameters
   are right, the thread model) only the plugin's Go code knows, and Go must
   not start in the process that will fork. So a forked process starts Go,
   answers, and exits. Its answer comes through a pipe as records: one byte of
   tag, eight bytes of length, the text. */

#define _GNU_SOURCE             /* pipe2 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

static int tell_fd = -1;        /* only in the child */

bool
gonbdkit_is_child (void)
{
  return tell_fd != -1;
}

static int
write_all (int fd, const void *data, size_t len)
{
  const char *p = data;

  while (len > 0) {
    ssize_t n = write (fd, p, len);

    if (n == -1 && errno == EINTR)
      continue;
    if (n == -1)
      return -1;
    p += n;
    len -= n;
  }
  return 0;
}

/* 1 for all of it, 0 for an end of file before the first byte, -1 else. */
static int
read_all (int fd, void *data, size_t len)
{
  char *p = data;
  size_t got = 0;

  while (got < len) {
    ssize_t n = read (fd, p + got, len - got);

    if (n == -1 && errno == EINTR)
      continue;
    if (n == -1)
      return -1;
    if (n == 0) {
      errno = EPIPE;
      return got == 0 ? 0 : -1;
    }
    got += n;
  }
  return 1;
}

int
gonbdkit_tell (char tag, const void *text, size_t len)
{
  uint64_t n = len;

  if (write_all (tell_fd, &tag, 1) == -1 ||
      write_all (tell_fd, &n, sizeof n) == -1 ||
      write_all (tell_fd, text, len) == -1) {
    nbdkit_error ("pipe to the server: %m");
    return -1;
  }
  return 0;
}

static int
read_records (int fd, int (*on_record) (char, const char *, size_t))
{
  char tag;
  uint64_t len;
  int r;

  while ((r = read_all (fd, &tag, 1)) == 1) {
    char *text;

    if (read_all (fd, &len, sizeof len) != 1)
      return -1;
    text = malloc (len + 1);
    if (text == NULL)
      return -1;
    if (read_all (fd, text, len) != 1 && len > 0) {
      free (text);
      return -1;
    }
    text[len] = '\0';
    r = on_record (tag, text, len);
    free (text);
    if (r == -1)
      return -1;
  }
  return r;
}

static void __attribute__ ((noreturn))
child (int fd, int (*job) (void))
{
  int err;

  tell_fd = fd;
  err = gonbdkit_start_go ();
  if (err != 0) {
    errno = err;
    nbdkit_error ("starting the Go runtime: %m");
    _exit (EXIT_FAILURE);
  }
  /* _exit, because what nbdkit has registered with atexit is not ours. */
  _exit (job () == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int
gonbdkit_in_child (const char *what, int (*job) (void),
                   int (*on_record) (char, const char *, size_t))
{
  int fds[2], r, status;
  pid_t pid;

  if (!gonbdkit_go_is_held ()) {
    nbdkit_error ("%s: this Go toolchain starts its runtime in a way that "
                  "cannot be put off until after nbdkit's fork; build the "
                  "plugin with a Go release that its documentation names",
                  what);
    return -1;
  }
  if (pipe2 (fds, O_CLOEXEC) == -1) {
    nbdkit_error ("%s: pipe: %m", what);
    return -1;
  }
  /* The child may write to the same standard output (dump_plugin). */
  fflush (stdout);
  pid = fork ();
  if (pid == -1) {
    nbdkit_error ("%s: fork: %m", what);
    close (fds[0]);
    close (fds[1]);
    return -1;
  }
  if (pid == 0) {
    close (fds[0]);
    child (fds[1], job);
  }
  close (fds[1]);
  r = read_records (fds[0], on_record);
  if (r == -1)
    nbdkit_error ("%s: reading the answer: %m", what);
  close (fds[0]);
  while (waitpid (pid, &status, 0) == -1) {
    if (errno != EINTR) {
      nbdkit_error ("%s: waitpid: %m", what);
      return -1;
    }
  }
  if (WIFSIGNALED (status)) {
    nbdkit_error ("%s: killed by signal %d (%s)", what,
                  WTERMSIG (status), strsignal (WTERMSIG (status)));
    return -1;
  }
  /* The child has printed the reason of a failure of its own, except where
     the Go runtime itself gave up, which uses exit status 2. */
  if (WEXITSTATUS (status) > 1)
    nbdkit_error ("%s: exit status %d", what, WEXITSTATUS (status));
  if (WEXITSTATUS (status) != 0 || r == -1)
    return -1;
  return 0;
}
