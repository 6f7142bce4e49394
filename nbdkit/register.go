// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"fmt"
)

// registration is what PluginInitialize was told. Written by init functions,
// read-only afterwards.
var registration struct {
	calls int
	name  string
	impl  PluginInterface
}

// PluginInitialize registers the plugin under name (.name: ASCII letters,
// digits and inner hyphens). Call it exactly once, from an init function, and
// do nothing else there: init functions also run in the processes that only
// check the parameters. A mistake is reported when nbdkit loads the plugin.
func PluginInitialize(name string, impl PluginInterface) {
	registration.calls++
	registration.name = name
	registration.impl = impl
}

// checkRegistration reports the mistakes that a plugin's author can make
// before the first callback.
func checkRegistration() error {
	r := &registration
	switch {
	case r.calls == 0:
		return errors.New("plugin_init: no plugin is registered: call nbdkit.PluginInitialize from an init function")
	case r.calls > 1:
		return fmt.Errorf("plugin_init: %d plugins are registered, the last as %q: call nbdkit.PluginInitialize once", r.calls, r.name)
	case r.impl == nil:
		return fmt.Errorf("plugin_init: %q: nbdkit.PluginInitialize was given a nil plugin", r.name)
	case r.name == "":
		return errors.New("plugin_init: nbdkit.PluginInitialize was given an empty name")
	}
	return checkMethods(r.impl, pluginMethods)
}
