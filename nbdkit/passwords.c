/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   A password can be read only once (from a terminal, or a pipe), but several
   processes go through the parameters: those that check them, and the server.
   The first one passes on what it has read. */

#define _GNU_SOURCE             /* asprintf */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

static struct password {
  struct password *next;
  char *value, *password;
} *passwords;

static const char *
remember (const char *value, const char *password)
{
  struct password *p = calloc (1, sizeof *p);

  if (p == NULL || (p->value = strdup (value)) == NULL ||
      (p->password = strdup (password)) == NULL) {
    nbdkit_error ("remembering a password: %m");
    return NULL;
  }
  p->next = passwords;
  passwords = p;
  return p->password;
}

/* The key of a record is this and the value. */
#define KEY "password="

/* nbdkit_read_password has closed the descriptor of password=-FD, but in the
   child. Here it is still open, and commands would inherit it. */
int
gonbdkit_receive_password (const char *key, const char *password)
{
  const char *value = key + strlen (KEY);
  int fd;

  if (value[0] == '-' && value[1] != '\0' &&
      nbdkit_parse_int ("password file descriptor", value + 1, &fd) == 0 &&
      fd > STDERR_FILENO)
    close (fd);
  return remember (value, password) == NULL ? -1 : 0;
}

/* The child remembers as well, because a value may be given twice. */
static const char *
pass_on (const char *value, const char *password)
{
  const char *remembered = NULL;
  char *key;

  if (asprintf (&key, KEY "%s", value) == -1) {
    nbdkit_error ("asprintf: %m");
    return NULL;
  }
  if (gonbdkit_tell (key, password) == 0)
    remembered = remember (value, password);
  free (key);
  return remembered;
}

const char *
gonbdkit_password (const char *value)
{
  const struct password *p;
  const char *remembered;
  char *password;

  for (p = passwords; p != NULL; p = p->next)
    if (strcmp (p->value, value) == 0)
      return p->password;
  if (nbdkit_read_password (value, &password) == -1)
    return NULL;
  remembered = pass_on (value, password);
  free (password);
  return remembered;
}
