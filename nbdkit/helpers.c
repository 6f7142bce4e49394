/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   nbdkit's functions in a form that cgo can call. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

bool
gonbdkit_in_server (void)
{
  return nbdkit_error != NULL;
}

const char *
gonbdkit_lacks (const char *function)
{
#define LACKS(release, type, name, parameters)                  \
  if (strcmp (function, #name) == 0)                            \
    return name == NULL ? release : NULL;
  GONBDKIT_NEWER (LACKS)
  return NULL;
}

/* Outside the server (unit tests) there is nobody to report to. */
void
gonbdkit_error (const char *msg)
{
  if (gonbdkit_in_server ())
    nbdkit_error ("%s", msg);
}

void
gonbdkit_debug (const char *msg)
{
  if (gonbdkit_in_server ())
    nbdkit_debug ("%s", msg);
}

/* Whether the callback that runs on this thread has used SetError. */
static __thread bool error_is_set;

void
gonbdkit_set_error (int err)
{
  if (gonbdkit_in_server ())
    nbdkit_set_error (err);
  error_is_set = true;
}

/* err is 0 if the callback's error has no errno. A filter may call again before
   nbdkit has cleared its own record, so EIO has to be said. */
void
gonbdkit_callback_failed (int err)
{
  if (err == 0 && !error_is_set)
    err = EIO;
  if (err != 0 && gonbdkit_in_server ())
    nbdkit_set_error (err);
  error_is_set = false;
}

/* A password can be read only once (from a terminal, or a pipe), but several
   processes go through the parameters: those that check them, and the server.
   The first one passes on what it has read. */

static struct password {
  struct password *next;
  char text[];                  /* the value, a NUL, the password */
} *passwords;

int
gonbdkit_remember_password (const char *text, size_t len)
{
  struct password *p = malloc (sizeof *p + len + 1);

  if (p == NULL)
    return -1;
  memcpy (p->text, text, len);
  p->text[len] = '\0';
  p->next = passwords;
  passwords = p;
  return 0;
}

/* The child remembers as well, because a value may be given twice. */
static int
pass_on_password (const char *value, const char *password)
{
  size_t vlen = strlen (value) + 1, plen = strlen (password);
  char *text = malloc (vlen + plen);
  int r;

  if (text == NULL) {
    nbdkit_error ("malloc: %m");
    return -1;
  }
  memcpy (text, value, vlen);
  memcpy (text + vlen, password, plen);
  r = gonbdkit_tell ("password", text, vlen + plen);
  if (r == 0)
    r = gonbdkit_remember_password (text, vlen + plen);
  free (text);
  return r;
}

/* The caller frees *password. */
int
gonbdkit_read_password (const char *value, char **password)
{
  const struct password *p;

  for (p = passwords; p != NULL; p = p->next) {
    if (strcmp (p->text, value) == 0) {
      *password = strdup (p->text + strlen (p->text) + 1);
      if (*password != NULL)
        return 0;
      nbdkit_error ("strdup: %m");
      return -1;
    }
  }
  if (nbdkit_read_password (value, password) == -1)
    return -1;
  if (gonbdkit_is_child () && pass_on_password (value, *password) == -1) {
    free (*password);
    return -1;
  }
  return 0;
}
