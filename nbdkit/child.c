/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Throw-away processes.

   Only the plugin's Go code knows what nbdkit must know before its fork (name,
   help, whether the parameters are right, the thread model), and Go must not
   start in the process that will fork. So a child process starts Go, answers,
   and exits. Its answer comes through a pipe as records: a key, a NUL, a value,
   a NUL. The last one is the job's result; a process that ends without it has
   ended by itself (os.Exit, a crash). */

#define _GNU_SOURCE             /* pipe2, getdelim */

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

static FILE *tell_to;           /* only in the child */

int
gonbdkit_tell (const char *key, const char *value)
{
  if (tell_to == NULL)
    return 0;
  if (fprintf (tell_to, "%s%c%s%c", key, '\0', value, '\0') < 0 ||
      fflush (tell_to) == EOF) {
    nbdkit_error ("pipe to the server: %m");
    return -1;
  }
  return 0;
}

/* Reads up to the job's result, not to the end of the file: a process that the
   plugin forked may hold the other end for long. Returns 1 after the result, 0
   if the child ended without one, -1 for an error (errno). */
static int
read_records (FILE *from, gonbdkit_on_record *on_record, int *result)
{
  char *key = NULL, *value = NULL;
  size_t key_size = 0, value_size = 0;
  int r = 0;

  while (r == 0 &&
         getdelim (&key, &key_size, '\0', from) != -1 &&
         getdelim (&value, &value_size, '\0', from) != -1) {
    if (strcmp (key, "result") == 0) {
      *result = strcmp (value, "0") == 0 ? 0 : -1;
      r = 1;
    }
    else
      r = on_record (key, value);
  }
  if (r == 0 && !feof (from))
    r = -1;
  free (key);
  free (value);
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
child (FILE *to, pid_t parent, int (*job) (void))
{
  const char *result = "1";

  /* A server that is killed while the plugin checks its parameters must not
     leave the check behind. */
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (getppid () != parent)
    _exit (EXIT_FAILURE);
  protect_stdio ();
  tell_to = to;
  if (gonbdkit_start_go () == 0 && job () == 0)
    result = "0";
  fflush (stdout);              /* what C code of the plugin's has printed */
  gonbdkit_tell ("result", result);
  /* _exit, because what nbdkit has registered with atexit is not ours. */
  _exit (EXIT_SUCCESS);
}

/* The child ended without a result. nbdkit-plugin(3) lets callbacks of the
   configuration end the server, so os.Exit (0) does. */
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

static int
open_pipe (FILE **from, FILE **to)
{
  int fds[2];

  if (pipe2 (fds, O_CLOEXEC) == -1)
    return -1;
  *from = fdopen (fds[0], "r");
  *to = fdopen (fds[1], "w");
  return *from == NULL || *to == NULL ? -1 : 0; /* no memory: nbdkit ends */
}

int
gonbdkit_in_child (const char *what, int (*job) (void),
                   gonbdkit_on_record *on_record)
{
  FILE *from, *to;
  int r, result = -1, status = -1;
  pid_t parent = getpid (), pid;

  if (!gonbdkit_go_is_held ()) {
    nbdkit_error ("%s: this Go toolchain starts its runtime in a way that "
                  "cannot be put off until after nbdkit's fork; build the "
                  "plugin with a Go release that its documentation names",
                  what);
    return -1;
  }
  if (open_pipe (&from, &to) == -1) {
    nbdkit_error ("%s: pipe: %m", what);
    return -1;
  }
  /* The child may write to the same standard output (dump_plugin). */
  fflush (stdout);
  pid = fork ();
  if (pid == 0) {
    fclose (from);
    child (to, parent, job);
  }
  fclose (to);
  if (pid == -1) {
    nbdkit_error ("%s: fork: %m", what);
    fclose (from);
    return -1;
  }
  r = read_records (from, on_record, &result);
  if (r == -1) {
    nbdkit_error ("%s: reading the answer: %m", what);
    kill (pid, SIGKILL);
  }
  fclose (from);
  /* ECHILD if nbdkit's parent has made it ignore SIGCHLD. */
  while (waitpid (pid, &status, 0) == -1 && errno == EINTR)
    ;
  if (r == 0)
    ended_by_itself (what, status);
  return r == 1 ? result : -1;
}
