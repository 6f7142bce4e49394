/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   nbdkit's functions in a form that cgo can call. */

#include <errno.h>
#include <string.h>

#include "shim.h"

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

/* err is 0 if the callback's error has no errno. That becomes EIO here, because
   nbdkit may still have the errno of an earlier error if a filter calls again. */
void
gonbdkit_callback_failed (int err)
{
  if (err == 0 && !error_is_set)
    err = EIO;
  if (err != 0 && gonbdkit_in_server ())
    nbdkit_set_error (err);
  error_is_set = false;
}
