/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   The callbacks that run after nbdkit's fork, with nbdkit's types. */

#ifndef GONBDKIT_FORWARD_H
#define GONBDKIT_FORWARD_H

#include "shim.h"

extern int gonbdkit_preconnect (int readonly);
extern int gonbdkit_list_exports (int readonly, int is_tls,
                                  struct nbdkit_exports *exports);
extern const char *gonbdkit_default_export (int readonly, int is_tls);
extern void *gonbdkit_open (int readonly);
extern void gonbdkit_close (void *handle);
extern int64_t gonbdkit_get_size (void *handle);
extern int gonbdkit_block_size (void *handle, uint32_t *minimum,
                                uint32_t *preferred, uint32_t *maximum);
extern const char *gonbdkit_export_description (void *handle);
extern int gonbdkit_can_write (void *handle);
extern int gonbdkit_can_flush (void *handle);
extern int gonbdkit_is_rotational (void *handle);
extern int gonbdkit_can_trim (void *handle);
extern int gonbdkit_can_zero (void *handle);
extern int gonbdkit_can_fast_zero (void *handle);
extern int gonbdkit_can_extents (void *handle);
extern int gonbdkit_can_fua (void *handle);
extern int gonbdkit_can_multi_conn (void *handle);
extern int gonbdkit_can_cache (void *handle);
extern int gonbdkit_pread (void *handle, void *buf, uint32_t count,
                           uint64_t offset, uint32_t flags);
extern int gonbdkit_pwrite (void *handle, const void *buf, uint32_t count,
                            uint64_t offset, uint32_t flags);
extern int gonbdkit_flush (void *handle, uint32_t flags);
extern int gonbdkit_trim (void *handle, uint32_t count, uint64_t offset,
                          uint32_t flags);
extern int gonbdkit_zero (void *handle, uint32_t count, uint64_t offset,
                          uint32_t flags);
extern int gonbdkit_extents (void *handle, uint32_t count, uint64_t offset,
                             uint32_t flags, struct nbdkit_extents *extents);
extern int gonbdkit_cache (void *handle, uint32_t count, uint64_t offset,
                           uint32_t flags);

#endif /* GONBDKIT_FORWARD_H */
