module nbdkit-tmpdisk-plugin

go 1.23.0

require (
	golang.org/x/sys v0.22.0
	libguestfs.org/nbdkit v0.0.0
)

replace libguestfs.org/nbdkit => ./nbdkit
