/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Reads and writes, without Go where that is possible.

   Calling Go costs a third of a microsecond, a tenth of a small request to a
   file that is in memory. If a connection is nothing but a file, its requests
   can be served here instead (DirectFDer).

   A connection may have a map (DirectMapper), which tells for each block whether
   it is in the connection's own file or still in one that many share.

   Go gets a connection's requests until one has succeeded, and so knows that
   the client has begun. After that it gets only the requests that do not simply
   succeed here. So all errors are Go's.

   A gate (DirectGater) can stop that at any time. One word has the number of
   requests in progress and says whether the next may begin. Only single
   read-modify-write instructions change it. So the instruction that clears the
   bits also returns how many requests it was too late for: a request comes
   before it and is in that number, or after it and sees the bits cleared. */

#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <unistd.h>

#include "shim.h"
#include "_cgo_export.h"

static inline bool
transfer (int fd, bool write, char *p, uint32_t count, uint64_t offset)
{
  while (count > 0) {
    ssize_t n = write ? pwrite (fd, p, count, offset)
                      : pread (fd, p, count, offset);

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

/* Where to read, or write, or -1 if that is for Go to do: of a connection with
   a map, blocks that are partly here and partly there, a change of those that
   are the base's, and what is behind the end of the base. A bit that is set
   stays so, and what it stands for was written before. */
static inline int
where (const struct gonbdkit_connection *c, bool write, uint32_t count,
       uint64_t offset)
{
  uint64_t first, last, i, any = 0, lacks = 0;

  if (c->map == NULL)
    return c->direct_fd;
  if (count == 0)
    return -1;
  first = offset >> c->map_shift;
  last = (offset + count - 1) >> c->map_shift;
  for (i = first / 64; i <= last / 64; i++) {
    uint64_t word = __atomic_load_n (&c->map[i], __ATOMIC_ACQUIRE);
    uint64_t mask = UINT64_MAX;

    if (i == first / 64)
      mask &= UINT64_MAX << first % 64;
    if (i == last / 64)
      mask &= UINT64_MAX >> (63 - last % 64);
    any |= word & mask;
    lacks |= ~word & mask;
  }
  if (lacks == 0)
    return c->direct_fd;
  if (any == 0 && !write && offset + count <= c->base_size)
    return c->base_fd;
  return -1;
}

static inline bool
serve (struct gonbdkit_connection *c, bool write,
       void *buf, uint32_t count, uint64_t offset)
{
  uint64_t begun;
  int fd = where (c, write, count, offset);

  if (fd == -1)
    return false;
  if (c->counts == NULL)
    return transfer (fd, write, buf, count, offset);
  begun = gonbdkit_count_begin (c->counts);
  if (!transfer (fd, write, buf, count, offset))
    return false;
  gonbdkit_count (c->counts, write, count, begun);
  return true;
}

static inline void
leave (struct gonbdkit_connection *c)
{
  if (c->gate != NULL)
    __atomic_fetch_sub (c->gate, 1, __ATOMIC_RELEASE);
}

/* Whether a request may be done here. If so, leave must follow. */
static inline bool
enter (struct gonbdkit_connection *c, bool write)
{
  uint64_t old;

  if (c->gate == NULL)
    return true;
  old = __atomic_fetch_add (c->gate, 1, __ATOMIC_ACQ_REL);
  if (old & (write ? c->gate_write : c->gate_read))
    return true;
  leave (c);
  return false;
}

static inline int
request (struct gonbdkit_connection *c, bool write,
         void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
  /* Relaxed: nothing else is published by it. */
  bool direct = __atomic_load_n (&c->direct, __ATOMIC_RELAXED);
  int r;

  if (direct && flags == 0 && enter (c, write)) {
    bool done = serve (c, write, buf, count, offset);

    leave (c);                  /* after it has been counted */
    if (done)
      return 0;
  }
  r = write ? gonbdkitPWrite (c, buf, count, offset, flags)
            : gonbdkitPRead (c, buf, count, offset, flags);
  if (r == 0 && !direct && c->direct_fd >= 0)
    __atomic_store_n (&c->direct, true, __ATOMIC_RELAXED);
  return r;
}

int
gonbdkit_pread (void *handle, void *buf, uint32_t count, uint64_t offset,
                uint32_t flags)
{
  return request (handle, false, buf, count, offset, flags);
}

int
gonbdkit_pwrite (void *handle, const void *buf, uint32_t count,
                 uint64_t offset, uint32_t flags)
{
  return request (handle, true, (void *) buf, count, offset, flags);
}
