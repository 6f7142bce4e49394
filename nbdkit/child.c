/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Throw-away processes.

   What nbdkit must know before its fork (name, help, whether the parameters
   are right, the thread model) only the plugin's Go code knows, and Go must
   not start in the process that will fork. So a forked process starts Go,
   answers, and exits. Its answer comes through a pipe as records: eight bytes
   of length, a key, a NUL, a value. The last one is the job's result; a process
   that ends without it has ended by itself (os.Exit, a crash). */

#define _GNU_SOURCE             /* pipe2 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
gonbdkit_tell (const char *key, const void *value, size_t len)
{
  size_t klen = strlen (key) + 1;
  uint64_t n = klen + len;

  if (write_all (tell_fd, &n, sizeof n) == -1 ||
      write_all (tell_fd, key, klen) == -1 ||
      write_all (tell_fd, value, len) == -1) {
    nbdkit_error ("pipe to the server: %m");
    return -1;
  }
  return 0;
}

/* Reads one record, which the caller frees, or NULL for an error (errno). */
static char *
read_record (int fd, uint64_t len)
{
  char *record = malloc (len + 1);

  if (record == NULL)
    return NULL;
  if (read_all (fd, record, len) != 1) {
    free (record);
    return NULL;
  }
  record[len] = '\0';
  return record;
}

/* Reads up to the job's result, not to the end of the file: a process that the
   plugin forked may hold the other end for long. Returns 1 after the result, 0
   if the child ended without one, -1 for an error (errno). */
static int
read_records (int fd, gonbdkit_on_record *on_record, int *result)
{
  bool last = false;
  uint64_t len;
  int r;

  while (!last && (r = read_all (fd, &len, sizeof len)) == 1) {
    char *key = read_record (fd, len), *value;

    if (key == NULL)
      return -1;
    value = key + strlen (key) + 1;
    last = strcmp (key, "result") == 0;
    if (last)
      *result = strcmp (value, "0") == 0 ? 0 : -1;
    else if (on_record (key, value, key + len - value) == -1)
      r = -1;
    free (key);
    if (r == -1)
      return -1;
  }
  return r;
}

/* With nbdkit -s standard input and output are the client's, and a forgotten
   print in the plugin would garble the protocol. */
static void
protect_stdio (void)
{
  int fd;

  if (nbdkit_stdio_safe ())
    return;
  fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd == -1)
    return;
  dup2 (fd, STDIN_FILENO);
  dup2 (fd, STDOUT_FILENO);
  if (fd > STDERR_FILENO)
    close (fd);
}

static void __attribute__ ((noreturn))
child (int fd, pid_t parent, int (*job) (void))
{
  const char *result = "1";

  /* A server that is killed while the plugin checks its parameters must not
     leave the check behind. */
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (getppid () != parent)
    _exit (EXIT_FAILURE);
  protect_stdio ();
  tell_fd = fd;
  if (gonbdkit_start_go () == 0 && job () == 0)
    result = "0";
  fflush (stdout);              /* what C code of the plugin's has printed */
  gonbdkit_tell ("result", result, 1);
  /* _exit, because what nbdkit has registered with atexit is not ours. */
  _exit (EXIT_SUCCESS);
}

/* The child ended without a result. What os.Exit (0) means in a callback of
   the configuration, nbdkit-plugin(3) says: it ends the server. */
static void
ended_by_itself (const char *what, int status)
{
  if (WIFSIGNALED (status))
    nbdkit_error ("%s: the process that runs it was killed by signal %d (%s)",
                  what, WTERMSIG (status), strsignal (WTERMSIG (status)));
  else if (WEXITSTATUS (status) == EXIT_SUCCESS)
    exit (EXIT_SUCCESS);
  else
    nbdkit_error ("%s: the plugin ended the process with exit status %d",
                  what, WEXITSTATUS (status));
}

int
gonbdkit_in_child (const char *what, int (*job) (void),
                   gonbdkit_on_record *on_record)
{
  int fds[2], r, result = -1, status = -1;
  pid_t parent = getpid (), pid;

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
    child (fds[1], parent, job);
  }
  close (fds[1]);
  r = read_records (fds[0], on_record, &result);
  if (r == -1) {
    nbdkit_error ("%s: reading the answer: %m", what);
    kill (pid, SIGKILL);
  }
  close (fds[0]);
  /* ECHILD if nbdkit's parent has made it ignore SIGCHLD. */
  while (waitpid (pid, &status, 0) == -1 && errno == EINTR)
    ;
  if (r == 0)
    ended_by_itself (what, status);
  return r == 1 ? result : -1;
}
