/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   From nbdkit's callbacks to Go's. A connection is a runtime/cgo.Handle, an
   integer that is never 0; only this file takes it for a pointer, because
   Go's garbage collector must not. */

#include "forward.h"
#include "_cgo_export.h"

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
  return (void *) gonbdkitOpen (readonly);
}

void
gonbdkit_close (void *handle)
{
  gonbdkitClose ((uintptr_t) handle);
}

int64_t
gonbdkit_get_size (void *handle)
{
  return gonbdkitGetSize ((uintptr_t) handle);
}

int
gonbdkit_block_size (void *handle, uint32_t *minimum, uint32_t *preferred,
                     uint32_t *maximum)
{
  return gonbdkitBlockSize ((uintptr_t) handle, minimum, preferred, maximum);
}

const char *
gonbdkit_export_description (void *handle)
{
  return gonbdkitExportDescription ((uintptr_t) handle);
}

int
gonbdkit_can_write (void *handle)
{
  return gonbdkitCanWrite ((uintptr_t) handle);
}

int
gonbdkit_can_flush (void *handle)
{
  return gonbdkitCanFlush ((uintptr_t) handle);
}

int
gonbdkit_is_rotational (void *handle)
{
  return gonbdkitIsRotational ((uintptr_t) handle);
}

int
gonbdkit_can_trim (void *handle)
{
  return gonbdkitCanTrim ((uintptr_t) handle);
}

int
gonbdkit_can_zero (void *handle)
{
  return gonbdkitCanZero ((uintptr_t) handle);
}

int
gonbdkit_can_fast_zero (void *handle)
{
  return gonbdkitCanFastZero ((uintptr_t) handle);
}

int
gonbdkit_can_extents (void *handle)
{
  return gonbdkitCanExtents ((uintptr_t) handle);
}

int
gonbdkit_can_fua (void *handle)
{
  return gonbdkitCanFUA ((uintptr_t) handle);
}

int
gonbdkit_can_multi_conn (void *handle)
{
  return gonbdkitCanMultiConn ((uintptr_t) handle);
}

int
gonbdkit_can_cache (void *handle)
{
  return gonbdkitCanCache ((uintptr_t) handle);
}

int
gonbdkit_pread (void *handle, void *buf, uint32_t count, uint64_t offset,
                uint32_t flags)
{
  return gonbdkitPRead ((uintptr_t) handle, buf, count, offset, flags);
}

int
gonbdkit_pwrite (void *handle, const void *buf, uint32_t count,
                 uint64_t offset, uint32_t flags)
{
  return gonbdkitPWrite ((uintptr_t) handle, (void *) buf, count, offset,
                         flags);
}

int
gonbdkit_flush (void *handle, uint32_t flags)
{
  return gonbdkitFlush ((uintptr_t) handle, flags);
}

int
gonbdkit_trim (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  return gonbdkitTrim ((uintptr_t) handle, count, offset, flags);
}

int
gonbdkit_zero (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  return gonbdkitZero ((uintptr_t) handle, count, offset, flags);
}

int
gonbdkit_extents (void *handle, uint32_t count, uint64_t offset,
                  uint32_t flags, struct nbdkit_extents *extents)
{
  return gonbdkitExtents ((uintptr_t) handle, count, offset, flags, extents);
}

int
gonbdkit_cache (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  return gonbdkitCache ((uintptr_t) handle, count, offset, flags);
}
