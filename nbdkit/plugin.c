/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   The struct that nbdkit sees, and the callbacks up to its fork. They may not
   start Go (see latestart.c): they ask a throw-away process instead. The
   callbacks from after_fork on are Go functions. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim.h"
#include "_cgo_export.h"

/* Parameters in the order given. nbdkit keeps the strings alive. */
struct gonbdkit_param *gonbdkit_params;
size_t gonbdkit_nr_params;

char *gonbdkit_start_directory;

/* The answer to .thread_model, once a child has given it; -1 before. */
static int thread_model_answer = -1;

/* Before 1.34 a client that queues reads and hangs up makes an assertion of the
   server fail, if the connection has more than one thread. nbdkit_disconnect
   came with 1.34. */
static int
clamp_thread_model (int model)
{
  if (model == NBDKIT_THREAD_MODEL_PARALLEL && nbdkit_disconnect == NULL)
    return NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS;
  return model;
}

static int
config (const char *key, const char *value)
{
  struct gonbdkit_param *p =
    realloc (gonbdkit_params, (gonbdkit_nr_params + 1) * sizeof *p);

  if (p == NULL) {
    nbdkit_error ("realloc: %m");
    return -1;
  }
  p[gonbdkit_nr_params].key = key;
  p[gonbdkit_nr_params].value = value;
  gonbdkit_params = p;
  gonbdkit_nr_params++;
  return 0;
}

static int
on_config_record (const char *key, const char *value)
{
  if (strcmp (key, "thread_model") == 0) {
    thread_model_answer = clamp_thread_model (value[0] - '0');
    return 0;
  }
  /* Else it is a password. */
  return gonbdkit_receive_password (key, value);
}

/* The process that checks the parameters sends to the second, and the server
   receives from the first, after its fork. Until then what was sent is the
   kernel's to keep, and it is gone when both processes are. */
int gonbdkit_left[2] = { -1, -1 };

static int
config_complete (void)
{
  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                  gonbdkit_left) == -1)
    nbdkit_debug ("config_complete: socketpair: %m (ignored)");
  return gonbdkit_in_child ("config_complete", gonbdkitConfigComplete,
                            on_config_record);
}

/* --dump-plugin calls this without .config_complete. */
static int
thread_model (void)
{
  if (thread_model_answer == -1 &&
      gonbdkit_in_child ("thread_model", gonbdkitThreadModel,
                         on_config_record) == -1)
    return -1;
  return thread_model_answer;
}

static void
dump_plugin (void)
{
  gonbdkit_in_child ("dump_plugin", gonbdkitDumpPlugin, on_config_record);
}

static int
after_fork (void)
{
  return gonbdkit_start_go () == -1 ? -1 : gonbdkitAfterFork ();
}

static void
cleanup (void)
{
  if (gonbdkit_go_is_started ())
    gonbdkitCleanup ();
}

static void
unload (void)
{
  if (gonbdkit_go_is_started ())
    gonbdkitUnload ();
  free (gonbdkit_params);
  gonbdkit_params = NULL;
  gonbdkit_nr_params = 0;
}

/* negotiate.go has a function for each. */
#define ASK(type, callback)                                     \
  static type                                                   \
  callback (void *handle)                                       \
  {                                                             \
    return gonbdkitAsk (handle, #callback);                     \
  }
ASK (int64_t, get_size)
ASK (int, can_write)
ASK (int, can_flush)
ASK (int, is_rotational)
ASK (int, can_trim)
ASK (int, can_zero)
ASK (int, can_fast_zero)
ASK (int, can_extents)
ASK (int, can_fua)
ASK (int, can_multi_conn)
ASK (int, can_cache)

static struct nbdkit_plugin plugin = {
  ._struct_size = sizeof plugin,
  ._api_version = NBDKIT_API_VERSION,
  ._thread_model = THREAD_MODEL,

  .unload = unload,
  .dump_plugin = dump_plugin,
  .config = config,
  .config_complete = config_complete,
  .thread_model = thread_model,
  .get_ready = gonbdkit_get_ready,
  .after_fork = after_fork,
  .cleanup = cleanup,

  .preconnect = gonbdkitPreConnect,
  .list_exports = gonbdkitListExports,
  .default_export = gonbdkitDefaultExport,

  .open = gonbdkitOpen,
  .close = gonbdkitClose,
  .get_size = get_size,
  .block_size = gonbdkitBlockSize,
  .export_description = gonbdkitExportDescription,
  .can_write = can_write,
  .can_flush = can_flush,
  .is_rotational = is_rotational,
  .can_trim = can_trim,
  .can_zero = can_zero,
  .can_fast_zero = can_fast_zero,
  .can_extents = can_extents,
  .can_fua = can_fua,
  .can_multi_conn = can_multi_conn,
  .can_cache = can_cache,
  .pread = gonbdkit_pread,
  .pwrite = gonbdkit_pwrite,
  .flush = gonbdkitFlush,
  .trim = gonbdkitTrim,
  .zero = gonbdkitZero,
  .extents = gonbdkitExtents,
  .cache = gonbdkitCache,

  /* Go's scheduler runs between a failing system call and the return. */
  .errno_is_preserved = 0,
};

/* The key is a field of the struct: one of the texts, or a callback that the
   plugin lacks. NULL says so to nbdkit, and to whoever reads --dump-plugin. */
static int
on_description_record (const char *key, const char *value)
{
#define TEXT(field)                                             \
  if (strcmp (key, #field) == 0) {                              \
    plugin.field = strdup (value); /* lives as long as the server */ \
    return plugin.field == NULL ? -1 : 0;                       \
  }
  TEXT (name)
  TEXT (longname)
  TEXT (version)
  TEXT (description)
  TEXT (magic_config_key)
  TEXT (config_help)
#define WITHOUT(callback)                         \
  if (strcmp (key, #callback) == 0) {           \
    plugin.callback = NULL;                     \
    return 0;                                   \
  }
  WITHOUT (config)
  WITHOUT (dump_plugin)
  WITHOUT (cleanup)
  WITHOUT (preconnect)
  WITHOUT (list_exports)
  WITHOUT (default_export)
  errno = EPROTO;
  return -1;
}

NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init (void);

struct nbdkit_plugin *
plugin_init (void)
{
  gonbdkit_start_directory = getcwd (NULL, 0);
  if (gonbdkit_in_child ("plugin_init", gonbdkitDescribe,
                         on_description_record) == -1)
    return NULL;
  return &plugin;
}
