// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Command plugin is the nbdkit plugin "tmpdisk". It registers with nbdkit and
// translates; every decision is package tmpdisk's. The files follow nbdkit's
// life cycle: main.go, server.go, disk.go.
package main

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker/trial"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

var (
	_ nbdkit.PluginInterface = (*plugin)(nil)
	_ nbdkit.Describer       = (*plugin)(nil)
	_ nbdkit.Configurer      = (*plugin)(nil)
	_ nbdkit.ConfigCompleter = (*plugin)(nil)
	_ nbdkit.ThreadModeler   = (*plugin)(nil)
	_ nbdkit.DumpPluginer    = (*plugin)(nil)
	_ nbdkit.AfterForker     = (*plugin)(nil)
	_ nbdkit.PreConnecter    = (*plugin)(nil)
	_ nbdkit.ExportLister    = (*plugin)(nil)
	_ nbdkit.Cleaner         = (*plugin)(nil)
)

// plugin is what nbdkit knows of us before there are clients.
type plugin struct {
	config *config.Config
	server *tmpdisk.Server // once forked
}

// name is changed by the linker (-X) for configure --with-plugin-name.
var name = "tmpdisk"

func init() {
	nbdkit.PluginInitialize(name, &plugin{config: config.New(host{})})
}

// main is never called in a shared library.
func main() {}

// Describe gives what --help, --version and --dump-plugin show.
func (p *plugin) Describe() nbdkit.Description {
	return nbdkit.Description{
		Longname:       "temporary disk",
		Version:        version,
		Description:    "A fresh, private, formatted disk for every client, gone when its client is gone for good.",
		MagicConfigKey: "size",
		ConfigHelp:     config.Help(),
	}
}

// DumpPlugin implements .dump_plugin: for scripts that ask what this version can do.
func (p *plugin) DumpPlugin() {
	fmt.Println("tmpdisk_parameters=" + strings.Join(config.Names(), " "))
	fmt.Println("tmpdisk_types=" + strings.Join(mkfs.Names(), " "))
}

// Config implements .config.
func (p *plugin) Config(key, value string) error {
	return p.config.Set(key, value)
}

// ConfigComplete implements .config_complete.
func (p *plugin) ConfigComplete() error {
	if err := p.config.Complete(); err != nil || !nbdkit.Checking() {
		return err
	}
	disks, err := p.config.CheckFiles()
	if err != nil {
		return err
	}
	// If the server's process dies, the bindings have this one killed. The trial is told
	// to end instead, so that nothing is left behind.
	deathSignal(unix.SIGTERM)
	defer deathSignal(unix.SIGKILL)
	h := host{}
	return trial.Try(maker.Options{
		Dir: config.TMPDIR(h), Counts: &maker.Counts{}, Debug: h.Debug, Error: h.Error,
	}, disks, nbdkit.Leave)
}

// deathSignal is what the kernel sends when the parent dies of this thread, which is the
// process's first in all callbacks before the fork.
func deathSignal(signal unix.Signal) {
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(signal), 0, 0, 0)
}

// ThreadModel implements .thread_model: nothing is shared between requests.
func (p *plugin) ThreadModel() (uint32, error) {
	return nbdkit.ThreadModelParallel, nil
}
