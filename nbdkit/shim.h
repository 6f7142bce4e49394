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
#pragma weak nbdkit_parse_unsigned
#pragma weak nbdkit_parse_int8_t
#pragma weak nbdkit_parse_uint8_t
#pragma weak nbdkit_parse_int16_t
#pragma weak nbdkit_parse_uint16_t
#pragma weak nbdkit_parse_int32_t
#pragma weak nbdkit_parse_uint32_t
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

/* Functions of servers newer than the oldest header this is built with.
   Where the header has them, these declarations repeat its own. */
extern void nbdkit_disconnect (int force);               /* 1.34 */
extern int nbdkit_parse_probability (const char *what, const char *str,
                                     double *r);         /* 1.36 */
extern char *nbdkit_peer_security_context (void);        /* 1.36 */
extern int nbdkit_parse_delay (const char *what, const char *str,
                               unsigned *sec, unsigned *nsec); /* 1.40 */
extern char *nbdkit_peer_tls_dn (void);                  /* 1.40 */
extern char *nbdkit_peer_tls_issuer_dn (void);           /* 1.40 */
#pragma weak nbdkit_disconnect
#pragma weak nbdkit_parse_probability
#pragma weak nbdkit_peer_security_context
#pragma weak nbdkit_parse_delay
#pragma weak nbdkit_peer_tls_dn
#pragma weak nbdkit_peer_tls_issuer_dn

/* latestart.c: whether the Go runtime's first thread is being held, and its
   release. gonbdkit_start_go returns 0, or an errno value. */
extern bool gonbdkit_go_is_held (void);
extern bool gonbdkit_go_is_started (void);
extern int gonbdkit_start_go (void);

/* What a throw-away process tells the server's process; each record is one of
   these letters and one string. */
#define GONBDKIT_NAME          'n'
#define GONBDKIT_LONGNAME      'l'
#define GONBDKIT_VERSION       'v'
#define GONBDKIT_DESCRIPTION   'd'
#define GONBDKIT_MAGIC_KEY     'm'
#define GONBDKIT_CONFIG_HELP   'h'
#define GONBDKIT_HAS           'H'   /* letters, as below */
#define GONBDKIT_THREAD_MODEL  't'   /* one digit */
#define GONBDKIT_PASSWORD      'p'   /* value, a NUL, password */
#define GONBDKIT_RESULT        'r'   /* the last one: 0 or 1, as a digit */

/* Letters of GONBDKIT_HAS: which optional plugin callbacks there are. */
#define GONBDKIT_HAS_CONFIG          'c'
#define GONBDKIT_HAS_DUMP_PLUGIN     'd'
#define GONBDKIT_HAS_CLEANUP         'C'
#define GONBDKIT_HAS_PRECONNECT      'p'
#define GONBDKIT_HAS_LIST_EXPORTS    'l'
#define GONBDKIT_HAS_DEFAULT_EXPORT  'D'

/* child.c: run job in a forked process that starts Go, and hand each record
   that it tells to on_record. Returns the job's own result, or -1 after
   nbdkit_error. gonbdkit_tell is for the job's side. */
extern int gonbdkit_in_child (const char *what, int (*job) (void),
                              int (*on_record) (char tag, const char *text,
                                                size_t len));
extern int gonbdkit_tell (char tag, const void *text, size_t len);
extern bool gonbdkit_is_child (void);

/* plugin.c: what was configured before Go started, for the replay. */
extern size_t gonbdkit_nr_params (void);
extern const char *gonbdkit_param_key (size_t i);
extern const char *gonbdkit_param_value (size_t i);
extern const char *gonbdkit_start_directory (void);
extern int gonbdkit_clamp_thread_model (int model);

/* helpers.c: what cgo cannot call by itself (varargs, weak references,
   ownership of the strings that nbdkit returns). */
extern bool gonbdkit_in_server (void);
extern void gonbdkit_error (const char *msg);
extern void gonbdkit_debug (const char *msg);
extern void gonbdkit_set_error (int err);
extern void gonbdkit_callback_failed (int err);
extern const char *gonbdkit_intern (const char *s, size_t len);
extern int gonbdkit_read_password (const char *value, char **password);
extern int gonbdkit_remember_password (const char *value, size_t vlen,
                                       const char *password, size_t plen);
extern bool gonbdkit_has_disconnect (void);
extern bool gonbdkit_has_parse_probability (void);
extern bool gonbdkit_has_peer_security_context (void);
extern bool gonbdkit_has_parse_delay (void);
extern bool gonbdkit_has_peer_tls_dn (void);
extern bool gonbdkit_has_peer_tls_issuer_dn (void);

#endif /* GONBDKIT_SHIM_H */
