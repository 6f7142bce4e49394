#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit --help lists every parameter; --dump-plugin tells the name, the
# version and the magic key; --version works.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

nbdkit "$plugin" --help >help
for key in size= type= label= command=; do
    has help "$key"
done
nbdkit --dump-plugin "$plugin" >dump
version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' "$top_srcdir/plugin/version.go")
name=$(plugin_name)
for line in "name=$name" "version=$version" magic_config_key=size; do
    grep -qx "$line" dump || {
        cat dump
        fail "--dump-plugin does not say $line"
    }
done
nbdkit "$plugin" --version >version
has version "$name $version"
