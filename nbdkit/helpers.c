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

const char *
gonbdkit_intern (const char *s, size_t len)
{
  return nbdkit_strndup_intern (s, len);
}

/* A password can be read only once (a terminal, a pipe), but the parameters
   are gone through more than once: by each process that checks them and by
   the server. The first passes on what it has read. */

static struct password {
  struct password *next;
  char *value, *password;
} *passwords;

int
gonbdkit_remember_password (const char *value, size_t vlen,
                            const char *password, size_t plen)
{
  struct password *p = malloc (sizeof *p);

  if (p == NULL)
    return -1;
  p->value = strndup (value, vlen);
  p->password = strndup (password, plen);
  if (p->value == NULL || p->password == NULL) {
    free (p->value);
    free (p->password);
    free (p);
    return -1;
  }
  p->next = passwords;
  passwords = p;
  return 0;
}

static int
tell_password (const char *value, const char *password)
{
  size_t vlen = strlen (value), plen = strlen (password);
  char *text = malloc (vlen + 1 + plen);
  int r;

  if (text == NULL) {
    nbdkit_error ("malloc: %m");
    return -1;
  }
  memcpy (text, value, vlen + 1);
  memcpy (text + vlen + 1, password, plen);
  r = gonbdkit_tell (GONBDKIT_PASSWORD, text, vlen + 1 + plen);
  free (text);
  return r;
}

/* The caller frees *password. */
int
gonbdkit_read_password (const char *value, char **password)
{
  const struct password *p;

  for (p = passwords; p != NULL; p = p->next) {
    if (strcmp (p->value, value) == 0) {
      *password = strdup (p->password);
      if (*password != NULL)
        return 0;
      nbdkit_error ("strdup: %m");
      return -1;
    }
  }
  if (nbdkit_read_password (value, password) == -1)
    return -1;
  if (gonbdkit_is_child () &&
      (tell_password (value, *password) == -1 ||
       gonbdkit_remember_password (value, strlen (value), *password,
                                   strlen (*password)) == -1)) {
    free (*password);
    return -1;
  }
  return 0;
}

bool
gonbdkit_has_disconnect (void)
{
  return nbdkit_disconnect != NULL;
}

bool
gonbdkit_has_parse_probability (void)
{
  return nbdkit_parse_probability != NULL;
}

bool
gonbdkit_has_peer_security_context (void)
{
  return nbdkit_peer_security_context != NULL;
}

bool
gonbdkit_has_parse_delay (void)
{
  return nbdkit_parse_delay != NULL;
}

bool
gonbdkit_has_peer_tls_dn (void)
{
  return nbdkit_peer_tls_dn != NULL;
}

bool
gonbdkit_has_peer_tls_issuer_dn (void)
{
  return nbdkit_peer_tls_issuer_dn != NULL;
}
