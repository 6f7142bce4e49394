/* Copyright the nbdkit-tmpdisk-plugin authors.
   SPDX-License-Identifier: BSD-3-Clause

   The C half of the bindings. Everything here has the prefix gonbdkit_. */

#ifndef GONBDKIT_SHIM_H
#define GONBDKIT_SHIM_H

#define NBDKIT_API_VERSION 2
#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#include <nbdkit-plugin.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counts.h"

/* nbdkit's functions are weak references, for two reasons: the same package
   can then be linked into a plain program (a unit test), where they are NULL,
   and one shared object serves servers of different age. */
#pragma weak nbdkit_error
#pragma weak nbdkit_debug
#pragma weak nbdkit_set_error
#pragma weak nbdkit_export_name
#pragma weak nbdkit_is_tls
#pragma weak nbdkit_parse_size
#pragma weak nbdkit_parse_bool
#pragma weak nbdkit_parse_int
#pragma weak nbdkit_parse_int64_t
#pragma weak nbdkit_parse_uint64_t
#pragma weak nbdkit_stdio_safe
#pragma weak nbdkit_read_password
#pragma weak nbdkit_nanosleep
#pragma weak nbdkit_peer_name
#pragma weak nbdkit_peer_pid
#pragma weak nbdkit_peer_uid
#pragma weak nbdkit_peer_gid
#pragma weak nbdkit_shutdown
#pragma weak nbdkit_strndup_intern
#pragma weak nbdkit_add_extent
#pragma weak nbdkit_add_export
#pragma weak nbdkit_use_default_export

/* Functions of servers newer than the oldest header this is built with, and
   the release that each came with. A header that has them says the same. */
#define GONBDKIT_NEWER(F)                                                     \
  F ("1.34", void, nbdkit_disconnect, (int force))                            \
  F ("1.36", char *, nbdkit_peer_security_context, (void))                    \
  F ("1.36", int, nbdkit_parse_probability,                                   \
     (const char *what, const char *str, double *r))                          \
  F ("1.40", int, nbdkit_parse_delay,                                         \
     (const char *what, const char *str, unsigned *sec, unsigned *nsec))      \
  F ("1.40", char *, nbdkit_peer_tls_dn, (void))                              \
  F ("1.40", char *, nbdkit_peer_tls_issuer_dn, (void))
#define GONBDKIT_DECLARE(release, type, name, parameters)                     \
  extern type name parameters __attribute__ ((weak));
GONBDKIT_NEWER (GONBDKIT_DECLARE)

/* False in a plain program (a unit test). */
static inline bool
gonbdkit_in_server (void)
{
  return nbdkit_error != NULL;
}

/* What an exported Go function returns where nbdkit wants const. */
typedef const char *gonbdkit_string;

/* latestart.c: whether the Go runtime's first thread is being held or has been
   started, and its start, which returns -1 after nbdkit_error. */
extern bool gonbdkit_go_is_held (void);
extern bool gonbdkit_go_is_started (void);
extern int gonbdkit_start_go (void);

/* child.c: runs job in a forked process that starts Go, and hands each record
   that it tells to on_record. Returns the job's own result, or -1 after
   nbdkit_error. gonbdkit_tell is for the job's side, and does nothing in the
   server. */
typedef int gonbdkit_on_record (const char *key, const char *value);
extern int gonbdkit_in_child (const char *what, int (*job) (void),
                              gonbdkit_on_record *on_record);
extern int gonbdkit_tell (const char *key, const char *value);

/* plugin.c: what was configured before Go started, for the replay. The
   directory is NULL if it could not be determined. */
struct gonbdkit_param { const char *key, *value; };
extern struct gonbdkit_param *gonbdkit_params;
extern size_t gonbdkit_nr_params;
extern char *gonbdkit_start_directory;
extern int gonbdkit_left[2];    /* sockets, see leave.go; -1 if there are none */

/* ready.c: .get_ready, and what the server reports at the end of .after_fork: the
   error, or "". Returns what .after_fork has to return. */
extern int gonbdkit_get_ready (void);
extern int gonbdkit_report (const char *error);

/* direct.c: a connection as nbdkit holds it. */
struct gonbdkit_connection {
  uintptr_t go_handle;          /* runtime/cgo.Handle */
  uint64_t *gate;               /* what DirectGate returned, pinned, or NULL */
  uint64_t gate_read, gate_write;
  struct gonbdkit_counts *counts; /* what DirectCounts returned, likewise */
  const uint64_t *map;          /* what DirectMap returned, likewise */
  unsigned map_shift;
  int base_fd;
  uint64_t base_size;
  int direct_fd;                /* what DirectFD returned, or -1 */
  bool direct;                  /* set once, by whichever thread */
};
extern int gonbdkit_pread (void *handle, void *buf, uint32_t count,
                           uint64_t offset, uint32_t flags);
extern int gonbdkit_pwrite (void *handle, const void *buf, uint32_t count,
                            uint64_t offset, uint32_t flags);

/* passwords.c: the password that the value of a parameter stands for, which
   stays where it is, or NULL after nbdkit_error; and how the server takes what a
   child has read, whose record has the value in its key. */
extern const char *gonbdkit_password (const char *value);
extern int gonbdkit_receive_password (const char *key, const char *password);

/* helpers.c: what cgo cannot call by itself. gonbdkit_lacks returns the nbdkit
   release that has the function if this server does not, else NULL. */
extern const char *gonbdkit_lacks (const char *function);
extern void gonbdkit_error (const char *msg);
extern void gonbdkit_debug (const char *msg);
extern void gonbdkit_set_error (int err);
extern void gonbdkit_callback_failed (int err);

#endif /* GONBDKIT_SHIM_H */
