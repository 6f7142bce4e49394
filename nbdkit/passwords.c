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
  char text[];                  /* the value, a NUL, the password */
} *passwords;

static const char *
password_of (const struct password *p)
{
  return p->text + strlen (p->text) + 1;
}

/* text has len bytes and a NUL. */
static const char *
remember (const char *text, size_t len)
{
  struct password *p = malloc (sizeof *p + len + 1);

  if (p == NULL) {
    nbdkit_error ("malloc: %m");
    return NULL;
  }
  memcpy (p->text, text, len + 1);
  p->next = passwords;
  passwords = p;
  return password_of (p);
}

/* nbdkit_read_password has closed the descriptor of password=-FD, but in the
   child. Here it is still open, and commands would inherit it. */
int
gonbdkit_receive_password (const char *text, size_t len)
{
  int fd;

  if (text[0] == '-' && text[1] != '\0' &&
      nbdkit_parse_int ("password file descriptor", text + 1, &fd) == 0 &&
      fd > STDERR_FILENO)
    close (fd);
  return remember (text, len) == NULL ? -1 : 0;
}

/* The child remembers as well, because a value may be given twice. */
static const char *
pass_on (const char *value, const char *password)
{
  char *text;
  int len = asprintf (&text, "%s%c%s", value, '\0', password);
  const char *remembered = NULL;

  if (len == -1) {
    nbdkit_error ("asprintf: %m");
    return NULL;
  }
  if (gonbdkit_tell ("password", text, len) == 0)
    remembered = remember (text, len);
  free (text);
  return remembered;
}

const char *
gonbdkit_password (const char *value)
{
  const struct password *p;
  const char *remembered;
  char *password;

  for (p = passwords; p != NULL; p = p->next)
    if (strcmp (p->text, value) == 0)
      return password_of (p);
  if (nbdkit_read_password (value, &password) == -1)
    return NULL;
  remembered = pass_on (value, password);
  free (password);
  return remembered;
}
