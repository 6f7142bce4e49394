/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   Reads of zeroes, in C. The same as ../nullgo. */

#include <stdint.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS
#include <nbdkit-plugin.h>

static void *
null_open (int readonly)
{
  (void) readonly;
  return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t
null_get_size (void *handle)
{
  (void) handle;
  return INT64_C (1) << 30;
}

static int
null_pread (void *handle, void *buf, uint32_t count, uint64_t offset,
            uint32_t flags)
{
  (void) handle; (void) offset; (void) flags;
  memset (buf, 0, count);
  return 0;
}

static struct nbdkit_plugin plugin = {
  .name = "null-in-c",
  .open = null_open,
  .get_size = null_get_size,
  .pread = null_pread,
};

NBDKIT_REGISTER_PLUGIN (plugin)
