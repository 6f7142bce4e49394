/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Reads and writes without Go.

   Going into Go and out again costs a third of a microsecond, which is one
   part in ten of a small request to a file that is in memory. A connection
   that is nothing but a file can have that done here (DirectFDer). Go sees the
   first request, so that it knows that there was one, and every request that
   does not simply succeed, so that all errors are its own. */

#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <unistd.h>

#include "direct.h"

/* Relaxed: nothing else is published by it. */
static bool
direct (const struct gonbdkit_connection *c, uint32_t flags)
{
  return flags == 0 && __atomic_load_n (&c->direct, __ATOMIC_RELAXED);
}

void
gonbdkit_direct_allow (struct gonbdkit_connection *c)
{
  if (c->direct_fd >= 0 && !__atomic_load_n (&c->direct, __ATOMIC_RELAXED))
    __atomic_store_n (&c->direct, true, __ATOMIC_RELAXED);
}

static inline bool
transfer (const struct gonbdkit_connection *c, bool write,
          char *p, uint32_t count, uint64_t offset, uint32_t flags)
{
  if (!direct (c, flags))
    return false;
  while (count > 0) {
    ssize_t n = write ? pwrite (c->direct_fd, p, count, offset)
                      : pread (c->direct_fd, p, count, offset);

    if (n == -1 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    p += n;
    count -= n;
    offset += n;
  }
  return true;
}

bool
gonbdkit_direct_pread (const struct gonbdkit_connection *c, void *buf,
                       uint32_t count, uint64_t offset, uint32_t flags)
{
  return transfer (c, false, buf, count, offset, flags);
}

bool
gonbdkit_direct_pwrite (const struct gonbdkit_connection *c, const void *buf,
                        uint32_t count, uint64_t offset, uint32_t flags)
{
  return transfer (c, true, (char *) buf, count, offset, flags);
}
