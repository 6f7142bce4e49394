/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   The struct that nbdkit sees, and the callbacks up to its fork. They may not
   start Go (see latestart.c): they ask a throw-away process instead. The
   callbacks from after_fork on go straight to Go and are in forward.c. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"
#include "forward.h"
#include "_cgo_export.h"

static struct nbdkit_plugin plugin;

/* Parameters in the order given. nbdkit keeps the strings alive. */
static struct param { const char *key, *value; } *params;
static size_t nr_params;

/* The answer to .thread_model, once a child has given it; -1 before. */
static int thread_model_answer = -1;

static char *start_directory;

size_t
gonbdkit_nr_params (void)
{
  return nr_params;
}

const char *
gonbdkit_param_key (size_t i)
{
  return params[i].key;
}

const char *
gonbdkit_param_value (size_t i)
{
  return params[i].value;
}

/* NULL if the directory could not be determined. */
const char *
gonbdkit_start_directory (void)
{
  return start_directory;
}

/* Before 1.34 (which has nbdkit_disconnect) a client that queues reads and
   hangs up ends the whole server by an assertion, if it has more than one
   thread per connection. */
int
gonbdkit_clamp_thread_model (int model)
{
  if (model == NBDKIT_THREAD_MODEL_PARALLEL && !gonbdkit_has_disconnect ())
    return NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS;
  return model;
}

static int
config (const char *key, const char *value)
{
  struct param *p = realloc (params, (nr_params + 1) * sizeof *p);

  if (p == NULL) {
    nbdkit_error ("realloc: %m");
    return -1;
  }
  params = p;
  params[nr_params].key = key;
  params[nr_params].value = value;
  nr_params++;
  return 0;
}

/* nbdkit_read_password closes the descriptor of password=-FD, but did so in
   the child. Here it is still open, and commands would inherit it. */
static void
close_password_fd (const char *value)
{
  int fd;

  if (value[0] == '-' && value[1] != '\0' &&
      nbdkit_parse_int ("password file descriptor", value + 1, &fd) == 0 &&
      fd > STDERR_FILENO)
    close (fd);
}

static int
on_config_record (char tag, const char *text, size_t len)
{
  size_t vlen;

  switch (tag) {
  case GONBDKIT_THREAD_MODEL:
    thread_model_answer = gonbdkit_clamp_thread_model (text[0] - '0');
    return 0;
  case GONBDKIT_PASSWORD:
    vlen = strlen (text);
    close_password_fd (text);
    return gonbdkit_remember_password (text, vlen,
                                       text + vlen + 1, len - vlen - 1);
  default:
    errno = EPROTO;
    return -1;
  }
}

static int
check_config (void)
{
  return gonbdkitCheckConfig (1);
}

static int
config_complete (void)
{
  return gonbdkit_in_child ("config_complete", check_config, on_config_record);
}

static int
check_config_incomplete (void)
{
  return gonbdkitCheckConfig (0);
}

/* --dump-plugin calls this without .config_complete. */
static int
thread_model (void)
{
  if (thread_model_answer == -1 &&
      gonbdkit_in_child ("thread_model", check_config_incomplete,
                         on_config_record) == -1)
    return -1;
  return thread_model_answer;
}

static int
dump_plugin_job (void)
{
  return gonbdkitDumpPlugin ();
}

static void
dump_plugin (void)
{
  gonbdkit_in_child ("dump_plugin", dump_plugin_job, on_config_record);
}

/* Go sets SA_ONSTACK for signal handlers that it finds when it is loaded, but
   nbdkit installs its own later, without. One that hits the main thread inside
   Go (after_fork, or all of a client's requests with nbdkit -s) would run on a
   goroutine's stack, which has no room for it. */
static void
handle_signals_on_own_stack (void)
{
  struct sigaction sa;
  int sig;

  for (sig = 1; sig < NSIG; sig++) {
    if (sigaction (sig, NULL, &sa) == -1 ||
        sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN ||
        (sa.sa_flags & SA_ONSTACK) != 0)
      continue;
    sa.sa_flags |= SA_ONSTACK;
    sigaction (sig, &sa, NULL);
  }
  /* Where it is ignored, which is inherited, Go can wait for no command. */
  if (sigaction (SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
    signal (SIGCHLD, SIG_DFL);
}

static int
after_fork (void)
{
  int err;

  handle_signals_on_own_stack ();
  err = gonbdkit_start_go ();
  if (err != 0) {
    errno = err;
    nbdkit_error ("starting the Go runtime: %m");
    return -1;
  }
  return gonbdkitAfterFork ();
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
  free (params);
  params = NULL;
  nr_params = 0;
}

static bool
has (const char *letters, char letter)
{
  return strchr (letters, letter) != NULL;
}

/* NULL pointers tell nbdkit, and --dump-plugin's reader, what the plugin does
   not have. */
static void
drop_missing_callbacks (const char *letters)
{
  if (!has (letters, GONBDKIT_HAS_CONFIG))
    plugin.config = NULL;
  if (!has (letters, GONBDKIT_HAS_DUMP_PLUGIN))
    plugin.dump_plugin = NULL;
  if (!has (letters, GONBDKIT_HAS_CLEANUP))
    plugin.cleanup = NULL;
  if (!has (letters, GONBDKIT_HAS_PRECONNECT))
    plugin.preconnect = NULL;
  if (!has (letters, GONBDKIT_HAS_LIST_EXPORTS))
    plugin.list_exports = NULL;
  if (!has (letters, GONBDKIT_HAS_DEFAULT_EXPORT))
    plugin.default_export = NULL;
}

static int
on_description_record (char tag, const char *text, size_t len)
{
  char *copy;

  (void) len;
  if (tag == GONBDKIT_HAS) {
    drop_missing_callbacks (text);
    return 0;
  }
  copy = strdup (text);         /* lives as long as the server */
  if (copy == NULL)
    return -1;
  switch (tag) {
  case GONBDKIT_NAME:        plugin.name = copy; break;
  case GONBDKIT_LONGNAME:    plugin.longname = copy; break;
  case GONBDKIT_VERSION:     plugin.version = copy; break;
  case GONBDKIT_DESCRIPTION: plugin.description = copy; break;
  case GONBDKIT_MAGIC_KEY:   plugin.magic_config_key = copy; break;
  case GONBDKIT_CONFIG_HELP: plugin.config_help = copy; break;
  default:
    free (copy);
    errno = EPROTO;
    return -1;
  }
  return 0;
}

static int
describe_job (void)
{
  return gonbdkitDescribe ();
}

static struct nbdkit_plugin plugin = {
  ._struct_size = sizeof plugin,
  ._api_version = NBDKIT_API_VERSION,
  ._thread_model = THREAD_MODEL,

  .unload = unload,
  .dump_plugin = dump_plugin,
  .config = config,
  .config_complete = config_complete,
  .thread_model = thread_model,
  .after_fork = after_fork,
  .cleanup = cleanup,

  .preconnect = gonbdkit_preconnect,
  .list_exports = gonbdkit_list_exports,
  .default_export = gonbdkit_default_export,

  .open = gonbdkit_open,
  .close = gonbdkit_close,
  .get_size = gonbdkit_get_size,
  .block_size = gonbdkit_block_size,
  .export_description = gonbdkit_export_description,
  .can_write = gonbdkit_can_write,
  .can_flush = gonbdkit_can_flush,
  .is_rotational = gonbdkit_is_rotational,
  .can_trim = gonbdkit_can_trim,
  .can_zero = gonbdkit_can_zero,
  .can_fast_zero = gonbdkit_can_fast_zero,
  .can_extents = gonbdkit_can_extents,
  .can_fua = gonbdkit_can_fua,
  .can_multi_conn = gonbdkit_can_multi_conn,
  .can_cache = gonbdkit_can_cache,
  .pread = gonbdkit_pread,
  .pwrite = gonbdkit_pwrite,
  .flush = gonbdkit_flush,
  .trim = gonbdkit_trim,
  .zero = gonbdkit_zero,
  .extents = gonbdkit_extents,
  .cache = gonbdkit_cache,

  /* Go's scheduler runs between a failing system call and the return. */
  .errno_is_preserved = 0,
};

NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init (void);

struct nbdkit_plugin *
plugin_init (void)
{
  start_directory = getcwd (NULL, 0);
  if (gonbdkit_in_child ("plugin_init", describe_job,
                         on_description_record) == -1)
    return NULL;
  return &plugin;
}
