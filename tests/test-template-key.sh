#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# A template is for one set of parameters, and for one state of the files that
# they name; a server that is started again finds it.

# shellcheck source=templates.sh
. "$(dirname "$0")/templates.sh"

# makes N ARGUMENTS...: two clients of a server with these run the command N times.
makes() {
    local want=$(($(runs) + $1))
    shift
    serve "$plugin" template-dir="$templates" "$@"
    begins hello
    begins hello
    stop_server "$server"
    ran "$want"
}
echo 1 >base
usual=(size=1M word=hello image="$work/base" command="$noting")
makes 1 "${usual[@]}"
makes 0 "${usual[@]}"
makes 1 "${usual[@]}" size=2M
makes 1 "${usual[@]}" other=
makes 1 "${usual[@]}" label=l
makes 1 "${usual[@]}" command="$noting;"
echo 22 >base
makes 1 "${usual[@]}"
touch -d '1 hour ago' base
makes 1 "${usual[@]}"
cp -p base new && mv new base
makes 1 "${usual[@]}"
makes 0 "${usual[@]}"
# Written in place, with the size and the time of modification of before.
touch -r base times
printf '33\n' | dd of=base conv=notrunc status=none
touch -r times base
makes 1 "${usual[@]}"
only_templates 9
