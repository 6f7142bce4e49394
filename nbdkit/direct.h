/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   A connection as nbdkit holds it, and the requests that need no Go. */

#ifndef GONBDKIT_DIRECT_H
#define GONBDKIT_DIRECT_H

#include "shim.h"

struct gonbdkit_connection {
  uintptr_t go;                 /* runtime/cgo.Handle */
  int direct_fd;                /* see direct.c; -1 if there is none */
  bool direct;                  /* set once, by whichever thread */
};

/* True if the request has been served; false if Go must see it. */
extern bool gonbdkit_direct_pread (const struct gonbdkit_connection *c,
                                   void *buf, uint32_t count, uint64_t offset,
                                   uint32_t flags);
extern bool gonbdkit_direct_pwrite (const struct gonbdkit_connection *c,
                                    const void *buf, uint32_t count,
                                    uint64_t offset, uint32_t flags);

/* A request of this connection has succeeded in Go. */
extern void gonbdkit_direct_allow (struct gonbdkit_connection *c);

#endif /* GONBDKIT_DIRECT_H */
