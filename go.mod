module nbdkit-tmpdisk-plugin

go 1.23.0

require (
	github.com/gdamore/tcell/v2 v2.7.4
	golang.org/x/sys v0.22.0
	golang.org/x/time v0.5.0
	libguestfs.org/nbdkit v0.0.0
)

require (
	github.com/gdamore/encoding v1.0.0 // indirect
	github.com/lucasb-eyer/go-colorful v1.2.0 // indirect
	github.com/mattn/go-runewidth v0.0.15 // indirect
	github.com/rivo/uniseg v0.4.3 // indirect
	golang.org/x/term v0.17.0 // indirect
	golang.org/x/text v0.14.0 // indirect
)

replace libguestfs.org/nbdkit => ./nbdkit
