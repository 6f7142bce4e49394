// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

// gone are the parameters that earlier versions had, and what to use instead. They
// are refused by name: a server must not start with one of them without effect.
var gone = map[string]string{
	"session-forget": "it is known for a day that a session is lost: leave it out",
	"command-uids":   "use command-user=LOW-HIGH",
	"template-keep":  "templates that nobody has used for 30 days are removed: leave it out",
	"template-uuid": "each disk has a UUID of its own: leave it out, " +
		"or give command= with mkfs -U for one UUID for all",
}
