/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   From nbdkit's callbacks to Go's. A connection is a runtime/cgo.Handle, an
   integer that is never 0, in a struct of C's. */

#include <errno.h>
#include <stdlib.h>

#include "direct.h"
#include "forward.h"
#include "_cgo_export.h"

static uintptr_t
go (void *handle)
{
  return ((struct gonbdkit_connection *) handle)->go;
}

int
gonbdkit_preconnect (int readonly)
{
  return gonbdkitPreConnect (readonly);
}

int
gonbdkit_list_exports (int readonly, int is_tls,
                       struct nbdkit_exports *exports)
{
  return gonbdkitListExports (readonly, is_tls, exports);
}

const char *
gonbdkit_default_export (int readonly, int is_tls)
{
  return gonbdkitDefaultExport (readonly, is_tls);
}

void *
gonbdkit_open (int readonly)
{
  struct gonbdkit_connection *c = malloc (sizeof *c);

  if (c == NULL) {
    nbdkit_error ("malloc: %m");
    return NULL;
  }
  c->go = gonbdkitOpen (readonly);
  if (c->go == 0) {
    free (c);
    return NULL;
  }
  c->direct_fd = gonbdkitDirectFD (c->go);
  c->direct = false;
  return c;
}

void
gonbdkit_close (void *handle)
{
  gonbdkitClose (go (handle));
  free (handle);
}

int64_t
gonbdkit_get_size (void *handle)
{
  return gonbdkitGetSize (go (handle));
}

int
gonbdkit_block_size (void *handle, uint32_t *minimum, uint32_t *preferred,
                     uint32_t *maximum)
{
  return gonbdkitBlockSize (go (handle), minimum, preferred, maximum);
}

const char *
gonbdkit_export_description (void *handle)
{
  return gonbdkitExportDescription (go (handle));
}

int
gonbdkit_can_write (void *handle)
{
  return gonbdkitCanWrite (go (handle));
}

int
gonbdkit_can_flush (void *handle)
{
  return gonbdkitCanFlush (go (handle));
}

int
gonbdkit_is_rotational (void *handle)
{
  return gonbdkitIsRotational (go (handle));
}

int
gonbdkit_can_trim (void *handle)
{
  return gonbdkitCanTrim (go (handle));
}

int
gonbdkit_can_zero (void *handle)
{
  return gonbdkitCanZero (go (handle));
}

int
gonbdkit_can_fast_zero (void *handle)
{
  return gonbdkitCanFastZero (go (handle));
}

int
gonbdkit_can_extents (void *handle)
{
  return gonbdkitCanExtents (go (handle));
}

int
gonbdkit_can_fua (void *handle)
{
  return gonbdkitCanFUA (go (handle));
}

int
gonbdkit_can_multi_conn (void *handle)
{
  return gonbdkitCanMultiConn (go (handle));
}

int
gonbdkit_can_cache (void *handle)
{
  return gonbdkitCanCache (go (handle));
}

int
gonbdkit_pread (void *handle, void *buf, uint32_t count, uint64_t offset,
                uint32_t flags)
{
  int r;

  if (gonbdkit_direct_pread (handle, buf, count, offset, flags))
    return 0;
  r = gonbdkitPRead (go (handle), buf, count, offset, flags);
  if (r == 0)
    gonbdkit_direct_allow (handle);
  return r;
}

int
gonbdkit_pwrite (void *handle, const void *buf, uint32_t count,
                 uint64_t offset, uint32_t flags)
{
  int r;

  if (gonbdkit_direct_pwrite (handle, buf, count, offset, flags))
    return 0;
  r = gonbdkitPWrite (go (handle), (void *) buf, count, offset, flags);
  if (r == 0)
    gonbdkit_direct_allow (handle);
  return r;
}

int
gonbdkit_flush (void *handle, uint32_t flags)
{
  return gonbdkitFlush (go (handle), flags);
}

int
gonbdkit_trim (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  return gonbdkitTrim (go (handle), count, offset, flags);
}

int
gonbdkit_zero (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  return gonbdkitZero (go (handle), count, offset, flags);
}

int
gonbdkit_extents (void *handle, uint32_t count, uint64_t offset,
                  uint32_t flags, struct nbdkit_extents *extents)
{
  return gonbdkitExtents (go (handle), count, offset, flags, extents);
}

int
gonbdkit_cache (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  return gonbdkitCache (go (handle), count, offset, flags);
}
