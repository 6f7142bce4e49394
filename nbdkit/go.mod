module libguestfs.org/nbdkit

go 1.23.0
