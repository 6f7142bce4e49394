// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"fmt"
)

// Plugin has neither methods nor fields. It may be embedded in the type that
// implements [PluginInterface], which plugins written for other bindings do.
type Plugin struct{}

// PluginInterface is what every plugin must have. The rest is optional: a
// plugin that has the methods of [Configurer], [AfterForker] and so on gets
// those callbacks.
type PluginInterface interface {
	// Open (.open) is called when a client has finished its handshake, and
	// also when it only asks for information. readonly is the server's -r
	// option. It may run in several threads at once. An error refuses the
	// client; so does a nil connection.
	Open(readonly bool) (ConnectionInterface, error)
}

// Description is the descriptive part of struct nbdkit_plugin. Empty fields
// are left out.
type Description struct {
	Longname       string // .longname
	Version        string // .version
	Description    string // .description, may have several lines
	MagicConfigKey string // .magic_config_key
	ConfigHelp     string // .config_help, may have several lines
}

// Describer gives the fields that --help, --version and --dump-plugin show. It
// is called in a process of its own, before everything else.
type Describer interface {
	Describe() Description
}

// Loader gets .load, in every process that runs the plugin's Go code except
// the one that calls Describe.
type Loader interface {
	Load()
}

// Unloader gets .unload, in the serving process only.
type Unloader interface {
	Unload()
}

// DumpPluginer gets .dump_plugin. It prints key=value lines to standard
// output.
type DumpPluginer interface {
	DumpPlugin()
}

// Configurer gets .config for each key=value parameter. It is called in two
// processes, first in one that only checks: see the package documentation.
type Configurer interface {
	Config(key, value string) error
}

// ConfigCompleter gets .config_complete, under the same conditions as
// [Configurer].
type ConfigCompleter interface {
	ConfigComplete() error
}

// ThreadModeler answers .thread_model with one of the ThreadModel constants,
// after Config and ConfigComplete. A plugin without it is ThreadModelParallel.
// On servers before 1.34, where a parallel plugin can be killed by one client
// that hangs up, ThreadModelParallel becomes ThreadModelSerializeRequests.
type ThreadModeler interface {
	ThreadModel() (uint32, error)
}

// GetReadyer gets .get_ready. Unlike in C it is called after the fork, right
// before AfterFork, in the process that serves. An error ends nbdkit with exit
// status 1.
type GetReadyer interface {
	GetReady() error
}

// AfterForker gets .after_fork. An error ends nbdkit with exit status 1. An nbdkit
// that sends its server into the background waits for AfterFork to return.
type AfterForker interface {
	AfterFork() error
}

// Cleaner gets .cleanup, when all connections are closed.
type Cleaner interface {
	Cleanup()
}

// PreConnecter gets .preconnect, before the handshake. An error refuses the
// client.
type PreConnecter interface {
	PreConnect(readonly bool) error
}

// ExportLister gets .list_exports. exports is valid during the call only.
type ExportLister interface {
	ListExports(readonly, isTLS bool, exports *Exports) error
}

// DefaultExporter gets .default_export: the name that the export "" stands
// for, UTF-8 of at most 4096 bytes. An error refuses the client.
type DefaultExporter interface {
	DefaultExport(readonly, isTLS bool) (string, error)
}

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
